"""Rejected requests: the status, the reason in the response and the log, and how the connection ends."""

import pytest

from support.confab_process import confab
from support.raw_client import HANDSHAKE, RawClient, frame, handshake, head, request

GET = {"Host": "localhost"}


REJECTED = [
    (handshake(Sec_WebSocket_Version="8"), 426, "version 13"),
    (handshake(Sec_WebSocket_Version=None), 426, "version 13"),
    (handshake(Sec_WebSocket_Key="short"), 400, "Sec-WebSocket-Key"),
    (handshake(Sec_WebSocket_Key=None), 400, "Sec-WebSocket-Key"),
    (handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=!"), 400, "Sec-WebSocket-Key"),
    (handshake(Connection=None), 400, "Connection: Upgrade"),
    (handshake(Connection="keep-alive"), 400, "Connection: Upgrade"),
    (handshake(Host=None), 400, "Host"),
    (handshake(Host="a b"), 400, "Host is 'a b'"),
    (handshake(Sec_WebSocket_Protocol=","), 400, "Sec-WebSocket-Protocol"),
    (handshake(Sec_WebSocket_Protocol="a b"), 400, "Sec-WebSocket-Protocol"),
    (head(HANDSHAKE, "GET / HTTP/1.0"), 400, "HTTP/1.1"),
    (head(HANDSHAKE, "GET / HTTP/2.0"), 400, "HTTP/1.1"),
    (head(HANDSHAKE, "POST / HTTP/1.1"), 405, "GET and HEAD"),
    (head(GET, "POST / HTTP/1.1"), 405, "GET and HEAD"),
    (head(GET, "DELETE / HTTP/1.1"), 405, "GET and HEAD"),
    (head(GET, "CONNECT localhost:1 HTTP/1.1"), 405, "GET and HEAD"),
    (head(GET, "BREW / HTTP/1.1"), 405, "GET and HEAD"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405, "GET and HEAD"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not an HTTP request"),
    (b"GET /\r\n\r\n", 400, "not an HTTP request"),
    (b"GET  / HTTP/1.1\r\n", 400, "not an HTTP request"),
    (b"GET / HTTP/1.1\r\nHost : localhost\r\n", 400, "not a token"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n", 400, "folded"),
    (b"GET / HTTP/1.1\r\nnonsense\r\n", 400, "without a colon"),
    (b"GET / HTTP/1.1\r\nX: a\0", 400, "control character"),
    (b"GET / HTTP/1.1\r\nX: a\rb", 400, "carriage return"),
    (head(GET)[:-2] + b"Host: localhost\r\n\r\n", 400, "several Host"),
    (head(GET, "GET tea HTTP/1.1"), 400, "request target"),
    (head(GET, "GET http://user@localhost/ HTTP/1.1"), 400, "request target"),
    (head(GET, "GET /100% HTTP/1.1"), 400, "/100%"),
    (head(GET | {"Content-Length": "5", "Transfer-Encoding": "chunked"}), 400, "both"),
    (head(GET | {"Transfer-Encoding": "gzip"}), 400, "gzip"),
    (head(GET | {"Transfer-Encoding": "chun\u212aed"}), 400, "Transfer-Encoding is"),
    (head(GET | {"Content-Length": "5"}) + b"hello", 413, "5 bytes"),
    (head(GET | {"Content-Length": "-1"}), 400, "'-1'"),
    (head(GET | {"Content-Length": "99999999999999999999"}), 413, "bytes"),
    (head(GET | {"Content-Length": "0"})[:-2] + b"Content-Length: 5\r\n\r\nhello", 400, "Content-Length"),
    (head(GET | {"Transfer-Encoding": "chunked"}) + b"0\r\n\r\n", 413, "Transfer-Encoding"),
    (head({}), 400, "Host"),
    (head(GET, "GET /missing HTTP/1.1"), 404, "/missing"),
    (head(GET, f"GET /{'x' * 1024} HTTP/1.1"), 414, "1024"),
    (head(GET | {"Cookie": "x" * 9000}), 431, "8192"),
    (handshake(Cookie="x" * 9000), 431, "8192"),
]


@pytest.mark.parametrize("data, status, reason", REJECTED, ids=[f"{status} {reason}" for _, status, reason in REJECTED])
def test_invalid_requests_are_rejected(server, data, status, reason):
    answer, headers, body = request(server.port, data)
    assert answer == status
    assert reason in body.decode() and body.count(b"\n") == 1
    assert headers["connection"] == "close" and headers["content-type"] == "text/plain; charset=utf-8"
    if status == 405:
        assert headers["allow"] == "GET, HEAD, OPTIONS"
    if status == 426:
        assert headers["sec-websocket-version"] == "13"
    assert request(server.port, head(GET))[0] == 200
    server.stop()
    if status != 404:
        assert len(server.errors.splitlines()) == 1 and reason in server.errors and "127.0.0.1:" in server.errors


@pytest.mark.parametrize("offer", ["soap", "v12.stomp, v11.stomp", "chat.v1_b-2", "x" * 200, "a,b", "a , b", "1.2"])
@pytest.mark.parametrize("extensions", [None, "permessage-deflate"])
def test_unknown_subprotocols_are_declined(server, offer, extensions):
    with RawClient(server.port) as client:
        headers = client.open(Sec_WebSocket_Protocol=offer, Sec_WebSocket_Extensions=extensions)
        assert "sec-websocket-protocol" not in headers
        assert ("sec-websocket-extensions" in headers) == bool(extensions)
        client.send(frame(1, b"hello"))
        assert client.frame() == (1, b"hello")


def test_head_has_no_body(server):
    with RawClient(server.port) as client:
        client.send(head(GET, "HEAD / HTTP/1.1"))
        assert client.file.readline().startswith(b"HTTP/1.1 200")
    with RawClient(server.port) as client:
        client.send(head(GET, "HEAD /missing HTTP/1.1"))
        text = client.file.read()
        assert text.startswith(b"HTTP/1.1 404") and text.endswith(b"\r\n\r\n")


def test_headers_over_the_limit_are_rejected_early(server):
    for headers in ({f"X-{number}": "x" * 100 for number in range(5000)}, {"X": "x" * 100_000}):
        assert request(server.port, head(GET | headers))[0] == 431
    assert request(server.port, head(GET))[0] == 200


@pytest.mark.parametrize("origin, host, is_let_in", [
    (None, "localhost", True),
    ("null", "localhost", True),
    ("file://", "localhost", True),
    ("http://localhost:3000", "localhost", True),
    ("https://127.0.0.1", "localhost", True),
    ("http://[::1]:8080", "localhost", True),
    ("http://example.org", "localhost", False),
    ("http://example.org", "example.org", False),
    ("http://127.0.0.1.example.org", "localhost", False),
    ("http://localhost.example.org", "localhost", False),
    ("", "localhost", True),
    ("http://", "localhost", False),
])
def test_loopback_listener_accepts_only_local_origins(server, origin, host, is_let_in):
    status, _, body = request(server.port, handshake(Origin=origin, Host=host))
    assert status == (101 if is_let_in else 403)
    if not is_let_in and origin:
        assert f"--allow-origin {origin}".encode() in body


def test_allowed_origins_are_accepted():
    with confab("--allow-origin", "https://app.example.com") as server:
        for origin in ("https://app.example.com", "https://APP.example.com:443", "http://localhost"):
            assert request(server.port, handshake(Origin=origin))[0] == 101
        assert request(server.port, handshake(Origin="http://app.example.com"))[0] == 403


def test_wildcard_origin_and_required_origin():
    with confab("--allow-origin", "*", "--require-origin") as server:
        assert request(server.port, handshake(Origin="https://any.example"))[0] == 101
        status, _, body = request(server.port, handshake())
        assert status == 403 and b"--require-origin" in body


def test_allowed_hosts():
    with confab("--allow-host", "chat.example.org", "--allow-host", "localhost") as server:
        assert request(server.port, handshake(Host="Chat.Example.Org:8080"))[0] == 101
        assert request(server.port, head({"Host": "localhost"}))[0] == 200
        for data in (handshake(Host="other.example"), head({"Host": "other.example"})):
            status, _, body = request(server.port, data)
            assert status == 403 and b"--allow-host other.example" in body


def test_logged_data_is_escaped_and_rate_limited(server):
    for _ in range(50):
        assert request(server.port, handshake(Origin="http://x\x1b[31m\x07evil"))[0] == 403
    server.stop()
    lines = server.errors.splitlines()
    assert 10 <= len(lines) <= 30
    assert all(character.isprintable() for line in lines for character in line)


def test_upgrade_on_a_persistent_connection(server):
    """CVE-2025-11677: libwebsockets 4.1.6 passes on a pointer to freed memory for unknown upgrades."""
    for upgrade in ("anything", "h2c", "websocket", "x" * 3000):
        with RawClient(server.port) as client:
            client.send(head(GET))
            assert client.answer()[0] == 200
            client.send(handshake(Upgrade=upgrade))
            assert client.answer()[0] == (101 if upgrade == "websocket" else 200)
    assert request(server.port, handshake())[0] == 101


def test_messages_in_the_segment_of_the_handshake_are_received(server):
    # Each client's end makes libwebsockets serve the next one's data at another moment.
    for _ in range(50):
        with RawClient(server.port) as client:
            client.send(handshake() + frame(2, bytes(range(256))) + frame(1, b"the end"))
            assert client.answer()[0] == 101
            assert client.frame() == (2, bytes(range(256)))
            assert client.frame() == (1, b"the end")
