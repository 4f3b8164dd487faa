"""HTTP by RFC 9110 and 9112: requests of unusual clients and proxies, several requests on one connection, and files
that change while they are read."""

import contextlib
import email.utils
import os
import socket
import threading
import time

import pytest

from support.confab_process import confab
from support.raw_client import RawClient, frame, handshake, head, request

GET = {"Host": "localhost"}


def get(path="/", line="GET {} HTTP/1.1", **headers):
    return head(GET | {name.replace("_", "-"): value for name, value in headers.items()}, line.format(path))


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("index")
    (root / "sub" / "index.html").write_text("sub")
    (root / "big.bin").write_bytes(os.urandom(3 << 20))
    with confab("--web-root", root, "--loops", 1) as server:
        yield server, root


# Names that are a prefix of a name that libwebsockets knows: it would lose the next header.
@pytest.mark.parametrize("name", ["X-Auth", "Auth", "X", "If", "User", "Sec-WebSocket", "Accept-L", "P"])
def test_header_after_one_that_libwebsockets_misreads_is_read(server, name):
    evil = {name: "1", "Origin": "https://evil.example"}
    assert request(server.port, handshake(**evil))[0] == 403
    assert request(server.port, head({name: "1"} | GET))[0] == 200
    assert request(server.port, head(GET | {name: "1"}))[0] == 200
    with RawClient(server.port) as client:
        assert "sec-websocket-protocol" in client.open(**{name: "1", "Sec-WebSocket-Protocol": "chat.confab.v1"})
    body = get(**{name: "1", "Content-Length": "30"}) + get("/hidden")
    assert request(server.port, body)[0] == 413


@pytest.mark.parametrize("changes", [
    {"Upgrade": "foo/1, websocket"}, {"Upgrade": "websocket, foo/1"}, {"Upgrade": "WebSocket"},
    {"Connection": "keep-alive, Upgrade"}, {"Connection": "close, upgrade"}, {"Sec-WebSocket-Version": "13 \t"},
    {"Sec-WebSocket-Key": "\t dGhlIHNhbXBsZSBub25jZQ==  "}, {"Host": "localhost "}, {"Content-Length": "0"},
])
def test_upgrade_is_accepted(server, changes):
    assert request(server.port, handshake(**changes))[0] == 101


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0", "foo/1, h2c", "websoc\u212aet"])
def test_upgrade_to_something_else_is_ignored(server, upgrade):
    assert request(server.port, get(Upgrade=upgrade, Connection="Upgrade, HTTP2-Settings"))[0] == 200


def heard_in(server, path, data):
    """Returns whether a client with this handshake receives messages of the room."""
    with RawClient(server.port) as member, RawClient(server.port) as other:
        member.send(handshake().replace(b"GET / ", f"GET {path} ".encode()))
        other.send(data)
        assert member.answer()[0] == 101 and other.answer()[0] == 101
        member.send(frame(1, b"here"))
        member.frame()
        other.send(frame(1, b"there"))
        return other.frame() == (1, b"here")


@pytest.mark.parametrize("path, target, is_same", [
    ("/tea", "http://localhost/tea", True), ("/tea", "WS://localhost:80/tea?x=1", True), ("/", "http://localhost", True),
    ("/r&d", "/r%26d", True), ("/r&d", "/r;d", False), ("/c+", "/c%2B", True), ("/c+", "/c%20", False),
    ("/a=b", "/a%3Db", True), ("/a/./b", "/a/x/../b", True), ("/%ff", "/%fe", False), ("/%ff", "/%FF", True),
    ("/x%3Fy", "/x?y", False),
])
def test_room_of_a_request_target(server, path, target, is_same):
    assert heard_in(server, path, handshake().replace(b"GET / ", f"GET {target} ".encode())) == is_same


def test_authority_of_the_target_precedes_the_host_header():
    with confab("--allow-host", "localhost") as server:
        assert request(server.port, get("http://evil.example/"))[0] == 403
        assert request(server.port, get("http://localhost/", Host="evil.example"))[0] == 200


@pytest.mark.parametrize("name", ["a b+c.txt", "a&b;c=d.txt", "a%20b.txt", "群.txt", "a?b#c.txt", "a\\b.txt", "a'b\"c|^[].txt"])
def test_file_names_are_compared_as_bytes(site, name):
    server, root = site
    (root / name).write_text("content")
    path = "/" + "".join(f"%{byte:02X}" for byte in name.encode())
    assert request(server.port, get(path))[2] == b"content"


def test_web_root_may_have_a_long_name(tmp_path):
    root = tmp_path
    for letter in "abcd":
        root = root / (letter * 100)
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "index.html").write_text("sub")
    (root / ("x" * 240 + ".txt")).write_text("long")
    with confab("--web-root", root) as server:
        assert request(server.port, get("/sub/"))[2] == b"sub"
        status, headers, body = request(server.port, get("/" + "x" * 240 + ".txt"))
        assert (status, body, headers["content-type"]) == (200, b"long", "text/plain; charset=utf-8")


def test_pipelined_requests_are_answered_in_order(site):
    server, root = site
    with RawClient(server.port) as client:
        paths = ["/", "/big.bin", "/sub/", "/big.bin", "/"] * 3
        sent = threading.Thread(target=client.send, args=(b"".join(map(get, paths)) + b"\r\n" + handshake(),))
        sent.start()
        for path in paths:
            file = root / (path[1:] + "index.html" if path.endswith("/") else path[1:])
            status, headers, body = client.answer()
            assert (status, body, headers["connection"]) == (200, file.read_bytes(), "keep-alive")
        assert client.answer()[0] == 101
        sent.join()
        client.send(frame(1, b"hello"))
        assert client.frame() == (1, b"hello")


def test_requests_byte_by_byte(server):
    with RawClient(server.port) as client:
        for byte in get() + handshake():
            client.send(bytes([byte]))
        assert client.answer()[0] == 200 and client.answer()[0] == 101


@pytest.mark.parametrize("version, options, stays", [
    ("1.0", None, False), ("1.0", "Keep-Alive", True), ("1.1", None, True), ("1.1", "TE, close", False), ("1.1", "Close", False),
])
def test_connection_persists_as_its_response_says(server, version, options, stays):
    with RawClient(server.port) as client:
        client.send(get(line=f"GET {{}} HTTP/{version}", Connection=options))
        assert client.answer()[1]["connection"] == ("keep-alive" if stays else "close")
        if stays:
            client.send(get())
            assert client.answer()[0] == 200
        else:
            assert client.ends()


@pytest.mark.parametrize("path, status", [("/", 200), ("/big.bin", 200), ("/missing", 404)])
def test_half_closed_client_gets_the_body(site, path, status):
    server, _ = site
    with RawClient(server.port) as client:
        client.send(get(path))
        client.socket.shutdown(socket.SHUT_WR)
        answer = client.answer()
        assert answer[0] == status and len(answer[2]) == int(answer[1]["content-length"])


def test_rejected_large_post_gets_its_response(server):
    with RawClient(server.port) as client:
        client.send(head(GET | {"Content-Length": "30000000"}, "POST / HTTP/1.1") + bytes(30_000_000))
        assert client.answer()[0] == 405
        assert client.ends()


@pytest.mark.parametrize("target", ["/", "*", "/nothing"])
def test_options_request_gets_allowed_methods(server, target):
    status, headers, _ = request(server.port, get(target, "OPTIONS {} HTTP/1.1"))
    assert (status, headers["allow"]) == (204, "GET, HEAD, OPTIONS")


def test_folder_without_a_slash_redirects(site):
    server, _ = site
    status, headers, _ = request(server.port, get("/sub?x=1"))
    assert (status, headers["location"]) == (301, "/sub/?x=1")


def test_validators(site):
    server, root = site
    file = root / "index.html"
    _, headers, _ = request(server.port, get())
    tag = headers["etag"]
    assert tag[0] == tag[-1] == '"'
    assert email.utils.parsedate_to_datetime(headers["last-modified"]).timestamp() == int(file.stat().st_mtime)
    assert abs(email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 5
    later = email.utils.formatdate(time.time() + 60, usegmt=True)
    for condition in ({"If-None-Match": tag}, {"If-None-Match": f'"x", W/{tag}'}, {"If-None-Match": "*"},
                      {"If-Modified-Since": later}):
        with RawClient(server.port) as client:
            client.send(get(**condition) + get("/sub/"))
            assert client.file.readline().startswith(b"HTTP/1.1 304"), condition
            lines = iter(client.file.readline, b"\r\n")
            assert f"ETag: {tag}\r\n".encode() in list(lines)
            assert client.answer()[2] == b"sub"
    for condition in ({"If-None-Match": '"x"'}, {"If-None-Match": tag[:-2] + '"', "If-Modified-Since": later}, {"If-Match": tag}):
        assert request(server.port, get(**condition))[0] == 200, condition
    for condition in ({"If-Match": '"x"'}, {"If-Match": "W/" + tag}, {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}):
        assert request(server.port, get(**condition))[0] == 412, condition
    # With the same length and the same modification time.
    times = file.stat()
    file.write_text("other")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert request(server.port, get(If_None_Match=tag))[::2] == (200, b"other")


def test_truncated_file_drops_only_its_response(site):
    server, root = site
    with RawClient(server.port, receive_buffer=4096) as slow, RawClient(server.port) as other:
        other.open()
        slow.send(get("/big.bin"))
        assert slow.file.readline().startswith(b"HTTP/1.1 200")
        os.truncate(root / "big.bin", 1000)
        try:
            assert len(slow.file.read()) < 3 << 20
        except ConnectionError:
            pass
        other.send(frame(1, b"hello"))
        assert other.frame() == (1, b"hello")


def test_stopping_server_finishes_downloads(site):
    server, root = site
    with RawClient(server.port, receive_buffer=4096) as client:
        client.send(get("/big.bin"))
        assert client.file.readline().startswith(b"HTTP/1.1 200")
        server.process.terminate()
        while client.file.readline() != b"\r\n":
            pass
        assert client.file.read() == (root / "big.bin").read_bytes()
    assert server.process.wait(10) == 0


def test_idle_http_connections_do_not_delay_stopping(site):
    server, _ = site
    with RawClient(server.port) as silent, RawClient(server.port) as kept:
        kept.send(get())
        assert kept.answer()[0] == 200
        silent.send(b"GET / HT")
        server.process.terminate()
        assert server.process.wait(3) == 0
        assert silent.ends() and kept.ends()


def test_stalled_downloads_leave_descriptors_for_connections(tmp_path):
    (tmp_path / "large").write_bytes(bytes(8 << 20))
    limited = ("sh", "-c", 'ulimit -n 300; exec "$@"', "sh")
    with confab("--web-root", tmp_path, "--loops", 1, under=limited) as server, contextlib.ExitStack() as stack:
        statuses = []
        for _ in range(60):
            client = stack.enter_context(RawClient(server.port, receive_buffer=4096))
            client.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            statuses.append(int(client.file.readline().split()[1]))
        assert set(statuses) == {200, 503} and statuses[0] == 200
        for _ in range(20):
            stack.enter_context(RawClient(server.port)).open()
