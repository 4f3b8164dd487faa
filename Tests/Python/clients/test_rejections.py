"""Each reason to reject, close or slow down a client has its counter and its line in the log."""

import contextlib
import time

import pytest

from support.confab_process import confab, free_port, make_certificate
from support.metrics import metrics
from support.raw_client import RawClient, frame, handshake, head, request

GET = {"Host": "localhost"}
DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate"}


def asks(data, status):
    """Sends a request that gets `status`."""
    def act(server, stack):
        assert request(server.port, data)[0] == status
    return act


def sends(*frames, code, **handshake):
    """Opens a client that is closed with `code` for the frames it sends."""
    def act(server, stack):
        client = stack.enter_context(RawClient(server.port))
        client.open(**handshake)
        client.send(b"".join(frames))
        assert client.close_code() == code
    return act


def joined_by(count, data, status):
    """Opens `count` clients that stay, and one more that gets `status`."""
    def act(server, stack):
        for _ in range(count):
            stack.enter_context(RawClient(server.port)).open()
        assert request(server.port, data)[0] == status
    return act


def is_dropped(data):
    """Sends data for which the connection is dropped without a response."""
    def act(server, stack):
        client = stack.enter_context(RawClient(server.port, timeout=20))
        client.send(data)
        assert client.ends()
    return act


def goes(data):
    """Sends a part of a request and closes the connection."""
    def act(server, stack):
        with RawClient(server.port) as client:
            client.send(data)
    return act


def says_nothing(status):
    def act(server, stack):
        assert stack.enter_context(RawClient(server.port)).answer()[0] == status
    return act


def does_not_answer_pings(server, stack):
    client = stack.enter_context(RawClient(server.port))
    client.open()
    assert client.frame() == (9, b"")
    assert client.ends()


def does_not_close(server, stack):
    client = stack.enter_context(RawClient(server.port))
    client.open()
    client.send(frame(1, b"\xff"))
    assert client.close_code() == 1007
    assert client.ends()


def does_not_read(server, stack):
    reader = stack.enter_context(RawClient(server.port, receive_buffer=4096))
    reader.open()
    writer = stack.enter_context(RawClient(server.port))
    writer.open()
    # The kernel buffers some of it.
    data = frame(2, bytes(60_000))
    for _ in range(200):
        writer.send(data)
        assert len(next(writer.messages())[1]) == 60_000


def sends_much(kind, payload, answer):
    """Sends frames that are all answered, but at a limited rate."""
    def act(server, stack):
        client = stack.enter_context(RawClient(server.port))
        client.open()
        client.send(frame(kind, payload) * 30)
        assert [client.frame() for _ in range(30)] == [(answer, payload)] * 30
    return act


def comes_often(server, stack):
    for _ in range(12):
        stack.enter_context(RawClient(server.port)).open()


# The reason, the server's options, and the client that causes it.
REASONS = {
    "badRequest": ([], asks(handshake(Host=None), 400)),
    "originNotAllowed": ([], asks(handshake(Origin="https://example.org"), 403)),
    "hostNotAllowed": (["--allow-host", "localhost"], asks(handshake(Host="example.org"), 403)),
    "notEncrypted": (["TLS"], asks(handshake(), 400)),
    "notFound": ([], asks(head(GET, "GET /missing HTTP/1.1"), 404)),
    "methodNotAllowed": ([], asks(head(GET, "POST / HTTP/1.1"), 405)),
    "handshakeTimeout": (["--handshake-timeout", 0.2], says_nothing(408)),
    "bodyNotAllowed": ([], asks(head(GET | {"Content-Length": "5"}) + b"hello", 413)),
    "pathTooLong": (["--max-path-length", 10], asks(head(GET, "GET /2345678901 HTTP/1.1"), 414)),
    "versionNotSupported": ([], asks(handshake(Sec_WebSocket_Version="8"), 426)),
    "tooManyFromAddress": (["--max-connections-per-address", 2, "--limit-loopback"], joined_by(2, handshake(), 429)),
    "headersTooLarge": (["--max-header-size", "1KiB"], asks(handshake(Cookie="x" * 1000), 431)),
    "tooManyConnections": (["--max-connections", 2], joined_by(2, handshake(), 503)),
    "rejectedByHandler": (["--max-rooms", 1], joined_by(1, head(
        dict(line.split(": ") for line in handshake().decode().split("\r\n")[1:] if line), "GET /tea HTTP/1.1"), 503)),
    "notUnderstood": ([], goes(b"GET /")),
    "badProxyHeader": (["--trusted-proxy", "127.0.0.1", "--proxy-protocol"], is_dropped(b"GET / HTTP/1.1\r\n\r\n")),
    "messageTooBig": (["--max-message-size", 10], sends(frame(1, b"x" * 11), code=1009)),
    "tooManyFragments": (["--max-fragments", 2], sends(
        frame(1, b"a", final=False), frame(0, b"b", final=False) * 2, code=1008)),
    "notUtf8": ([], sends(frame(1, b"\xff"), code=1007)),
    "notDeflate": ([], sends(frame(0x41, b"\xff\xff\xff"), code=1007, **DEFLATE)),
    "protocolError": ([], sends(frame(3), code=1002)),
    "tooManyUnfinished": (["--max-unfinished-bytes", 1000], sends(frame(1, b"x" * 1001, final=False), code=1013)),
    "tooFarBehind": (["--max-backlog", "1MiB"], does_not_read),
    "idle": (["--ping-interval", 0.3, "--idle-timeout", 1], does_not_answer_pings),
    "closeTimeout": (["--close-timeout", 0.2], does_not_close),
    "acceptRate": (["--max-accept-rate", 10, "--loops", 1, "--limit-loopback"], comes_often),
    "messageRate": (["--max-message-rate", 10, "--limit-loopback"], sends_much(1, b"hello", 1)),
    "byteRate": (["--max-byte-rate", 100, "--limit-loopback"], sends_much(1, b"hello", 1)),
    "pingRate": (["--max-ping-rate", 10, "--limit-loopback"], sends_much(9, b"hello", 10)),
}
# Reasons that only programs with the embedded server can cause.
OF_PROGRAMS = {"authorizationTimeout"}


def counts(admin):
    return {labels[1]: value for labels, value in metrics(admin).items() if labels[0] == "confab_rejections_total"}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_counted_and_logged(reason, tmp_path):
    options, act = REASONS[reason]
    if options == ["TLS"]:
        certificate, key = make_certificate(tmp_path)
        options = ["--tls-cert", certificate, "--tls-key", key]
    admin = f"127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(confab("--admin", admin, "--log-level", "info", *options))
        assert set(counts(admin).values()) == {0}
        act(server, stack)
        deadline = time.monotonic() + 10
        while not (now := counts(admin))[reason]:
            assert time.monotonic() < deadline, now
        others = {name: value for name, value in now.items() if value and name != reason}
        # A connection that is dropped for not closing was closed for another reason before.
        if reason == "tooFarBehind":
            others.pop("closeTimeout", None)
        assert others == ({"notUtf8": 1} if reason == "closeTimeout" else {})
        assert f"reason={reason}" in server.said()


def test_each_reason_has_a_test():
    admin = f"127.0.0.1:{free_port()}"
    with confab("--admin", admin):
        assert set(counts(admin)) == set(REASONS) | OF_PROGRAMS
