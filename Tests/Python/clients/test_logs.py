"""The log: one line for each event, in text or JSON, whatever data of peers it contains."""

import datetime
import json
import re

from support.confab_process import confab
from support.raw_client import RawClient, frame, handshake, request

# Line breaks, direction marks, quotes, and invalid UTF-8.
EVIL = b"http://x\x1b[31m\x07\xc2\x85\xe2\x80\xa8\xe2\x80\xae\"\\ evil\xff\xc3("


def log_of(*options):
    """Returns the log after an origin was rejected and a message was too large."""
    with confab("--max-message-size", 100, *options) as server:
        assert request(server.port, handshake(Origin="ORIGIN").replace(b"ORIGIN", EVIL))[0] == 403
        with RawClient(server.port) as client:
            client.open()
            client.send(frame(1, b"x" * 101))
            assert client.frame()[0] == 8
        server.stop()
        return server.errors


def test_json_log_has_one_object_per_line():
    rejected, closed = map(json.loads, log_of("--log-format", "json").removesuffix("\n").split("\n"))
    for event in [rejected, closed]:
        time = datetime.datetime.fromisoformat(event["time"])
        assert abs(time - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=30)
        assert re.fullmatch(r"[0-9-]{10}T[0-9:]{8}\.\d{3}Z", event["time"])
        assert (event["level"], event["logger"]) == ("notice", "confab")
        assert re.fullmatch(r"127\.0\.0\.1:\d+", event["peer"])
    assert (rejected["reason"], rejected["path"]) == ("originNotAllowed", "/")
    assert rejected["message"].isprintable() and "\"\\ evil" in rejected["message"]
    assert (closed["reason"], closed["message"]) == ("messageTooBig", "more than 100 bytes")


def test_text_log_has_fields_before_the_message():
    rejected, closed = log_of().removesuffix("\n").split("\n")
    head = r"[0-9-]{10}T[0-9:]{8}\.\d{3}Z notice confab "
    assert re.fullmatch(head + r"path=/ peer=127\.0\.0\.1:\d+ reason=originNotAllowed: .*evil.*", rejected)
    assert re.fullmatch(head + r"peer=127\.0\.0\.1:\d+ reason=messageTooBig: more than 100 bytes", closed)
    assert rejected.isprintable()


def test_suppressed_lines_are_counted():
    with confab("--log-format", "json") as server:
        for _ in range(30):
            assert request(server.port, handshake(Origin="http://evil.example"))[0] == 403
        with RawClient(server.port) as client:
            # The next second has its own limit of lines.
            first = json.loads(server.said().splitlines()[0])["time"]
            while datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(first) < datetime.timedelta(
                    seconds=1.1):
                pass
            client.send(handshake(Origin="http://evil.example"))
            assert client.answer()[0] == 403
        server.stop()
        events = [json.loads(line) for line in server.errors.splitlines()]
        assert len(events) + sum(event.get("leftOut", 0) for event in events) == 31


def test_logged_path_has_no_spaces():
    with confab("--log-level", "info") as server:
        assert request(server.port, b"GET /a%20reason=x:%22 HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 404
        server.stop()
        line, stopped = server.errors.splitlines()
        assert 'path="/a reason=x:\\""' in line and "SIGTERM" in stopped
