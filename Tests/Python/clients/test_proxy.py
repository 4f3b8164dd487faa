"""Clients behind a proxy: the PROXY protocol and X-Forwarded-For, from trusted proxies and others."""

import contextlib
import ipaddress
import re
import socket
import ssl
import struct

import pytest

from support.confab_process import confab, make_certificate, run
from support.raw_client import RawClient, frame, handshake, head

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY = "127.0.0.9"
TRUST = ["--trusted-proxy", PROXY]
V1 = b"PROXY TCP4 192.0.2.1 127.0.0.1 4242 80\r\n"


class Client(RawClient):
    """A client that connects from an address of this machine, by default the trusted proxy's."""

    def __init__(self, port, source=PROXY):
        self.socket = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        self.file = self.socket.makefile("rb")


def v2(source="192.0.2.1", port=4242, *, command=0x21, family=None, rest=b"", length=None):
    address = ipaddress.ip_address(source)
    addresses = address.packed * 2 + struct.pack("!HH", port, 80)
    family = (0x11 if address.version == 4 else 0x21) if family is None else family
    return SIGNATURE + struct.pack(
        "!BBH", command, family, len(addresses + rest) if length is None else length) + addresses + rest


def unix(command=0x21):
    return SIGNATURE + struct.pack("!BBH", command, 0x31, 216) + b"/run/proxy.sock".ljust(108, b"\0") * 2


def rejected_as(server, *, header=b"", source=PROXY, **changes):
    """Returns the address that the log names when an origin is rejected."""
    before = len(server.said())
    with Client(server.port, source) as client:
        client.send(header + handshake(Origin="https://evil.example", **changes))
        assert client.answer()[0] == 403
    return re.search(r"peer=(\S+) reason=originNotAllowed", server.said()[before:])[1]


def dropped(server, client):
    """Checks that the connection was dropped without a response, and counted."""
    with contextlib.suppress(ConnectionResetError):
        assert client.answer() is None
    assert f"peer={PROXY}:" in server.said() and "reason=badProxyHeader" in server.said()


@pytest.mark.parametrize("header, peer", [
    (v2(), "192.0.2.1:4242"), (v2("2001:db8::1", 1), "[2001:db8::1]:1"), (v2("::ffff:192.0.2.7"), "192.0.2.7:4242"),
    (v2(rest=b"\x04\x00\x10" + b"x" * 16), "192.0.2.1:4242"), (v2(rest=b"\x20" + b"x" * 4083), "192.0.2.1:4242"),
    (V1, "192.0.2.1:4242"), (b"PROXY TCP6 2001:db8::1 ::1 65535 80\r\n", "[2001:db8::1]:65535"),
], ids=["IPv4", "IPv6", "IPv4 in IPv6", "TLVs", "much of them", "version 1", "version 1, IPv6"])
def test_proxy_header_sets_the_client_address(header, peer):
    with confab(*TRUST, "--proxy-protocol") as server:
        assert rejected_as(server, header=header) == peer


@pytest.mark.parametrize("header", [
    v2(command=0x20), SIGNATURE + b"\x20\0\0\0", SIGNATURE + b"\x21\0\0\0", unix(), b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n",
], ids=["LOCAL", "LOCAL without address", "no address", "AF_UNIX", "unknown", "unknown, with addresses"])
def test_proxy_header_without_address_keeps_the_proxys(header):
    with confab(*TRUST, "--proxy-protocol") as server:
        assert rejected_as(server, header=header).startswith(f"{PROXY}:")


@pytest.mark.parametrize("header", [v2(rest=b"\x04\0\x01x"), V1], ids=["version 2", "version 1"])
def test_proxy_header_is_read_in_pieces_and_with_following_data(header):
    with confab(*TRUST, "--proxy-protocol") as server:
        with Client(server.port) as client, Client(server.port) as other:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header:
                client.send(bytes([byte]))
            # Other clients are served meanwhile.
            other.send(header + handshake())
            assert other.answer()[0] == 101
            client.open()
            client.send(frame(1, b"hello"))
            assert client.frame() == other.frame() == (1, b"hello")


BAD = {
    "a request": handshake(), "another signature": b"\r\n\r\n\0\r\nQUIT\r" + v2()[12:],
    "another version": v2(command=0x11), "another command": v2(command=0x22), "UDP": v2(family=0x12),
    "another family": v2(family=0x41), "too short for IPv4": v2(length=11), "too short for IPv6": v2(family=0x21),
    "too short for AF_UNIX": v2(family=0x31), "too much beside": v2(rest=b"\x04" * 4096),
    "a line that does not end": b"PROXY TCP4 " + b"1" * 200, "no address": b"PROXY TCP4 x y 1 2\r\n",
    "the wrong family": b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", "a port too high": V1.replace(b"4242", b"65536"),
    "words": b"PROXY TCP4 192.0.2.1\r\n", "a combining mark": b"PROXY \xcc\x81AAAAAAAAAAAA\r\n", "no words": b"PROXY \r\n" + b"x" * 120, "TLS": b"\x16\x03\x01" + b"x" * 40,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_invalid_proxy_header_drops_the_connection(data):
    with confab(*TRUST, "--proxy-protocol") as server, Client(server.port) as client:
        client.send(data)
        dropped(server, client)


@pytest.mark.parametrize("data", [b"", v2()[:5], v2()[:20], V1[:9]], ids=["none", "a start", "most", "a word"])
def test_missing_proxy_header_times_out(data):
    with confab(*TRUST, "--proxy-protocol", "--handshake-timeout", 0.3) as server, Client(server.port) as client:
        client.send(data)
        dropped(server, client)


def test_handshake_timeout_includes_the_proxy_header():
    with confab(*TRUST, "--proxy-protocol", "--handshake-timeout", 0.5) as server, Client(server.port) as client:
        client.send(v2())
        assert client.answer()[0] == 408
        assert "peer=192.0.2.1:4242 reason=handshakeTimeout" in server.said()


def test_proxy_may_disconnect_before_its_header():
    with confab(*TRUST, "--proxy-protocol") as server, Client(server.port) as client:
        client.send(v2()[:15])
        client.socket.shutdown(socket.SHUT_WR)
        dropped(server, client)


def test_server_stops_while_proxy_headers_are_pending():
    with confab(*TRUST, "--proxy-protocol") as server, Client(server.port) as client:
        client.send(v2()[:15])
        rejected_as(server, header=v2())
        assert server.stop() == 0


def test_proxy_header_of_untrusted_client_is_rejected():
    with confab(*TRUST, "--proxy-protocol") as server:
        # A client that is not a trusted proxy needs no header.
        assert rejected_as(server, source="127.0.0.8", X_Forwarded_For="192.0.2.1").startswith("127.0.0.8:")
        for header in [v2(), V1]:
            with Client(server.port, "127.0.0.8") as client:
                client.send(header + handshake(Origin="https://evil.example"))
                with contextlib.suppress(ConnectionResetError):
                    assert (client.answer() or [400])[0] in (400, 403, 405)
        assert "peer=192.0.2.1" not in server.said()


def test_proxy_header_precedes_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with confab(*TRUST, "--proxy-protocol", "--tls-cert", certificate, "--tls-key", key) as server:
        with Client(server.port) as client:
            client.send(v2())
            client.file.close()
            client.socket = context.wrap_socket(client.socket)
            client.file = client.socket.makefile("rb")
            client.send(handshake(Origin="https://evil.example"))
            assert client.answer()[0] == 403
        assert "peer=192.0.2.1:4242" in server.said()


def test_limits_by_address_use_the_clients_address():
    with confab(*TRUST, "--proxy-protocol", "--max-connections-per-address", 2) as server:
        with contextlib.ExitStack() as stack:
            def connect(header):
                client = stack.enter_context(Client(server.port))
                client.send(header + handshake())
                return client.answer()[0]
            assert [connect(v2()) for _ in range(3)] == [101, 101, 429]
            assert [connect(v2("192.0.2.2")), connect(V1.replace(b"2.1 ", b"2.3 "))] == [101, 101]
            # The proxy's own connections, and those of clients it does not name, count for the proxy's address.
            assert [connect(v2(command=0x20)) for _ in range(3)] == [101, 101, 429]
            assert connect(b"PROXY UNKNOWN\r\n") == 429
        # The earlier connections are closed by now.
        for _ in range(100):
            with Client(server.port) as client:
                client.send(v2() + handshake())
                if client.answer()[0] == 101:
                    return
        pytest.fail("a client's place is not given back")


@pytest.mark.parametrize("forwarded, peer", [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
    ("192.0.2.1:80", "192.0.2.1:80"), (f"6.6.6.6, 192.0.2.1 ,{PROXY}", "192.0.2.1"), ("127.1.1.1, 10.1.2.3", "127.1.1.1"),
    ("", None), (None, None), ("6.6.6.6, evil\x07, 192.0.2.1", "192.0.2.1"), ("192.0.2.1,", "192.0.2.1"),
    ("6.6.6.6\u0600, 192.0.2.1", "192.0.2.1"), ("\u0301, 192.0.2.1", "192.0.2.1"),
])
def test_client_is_the_rightmost_address_that_is_not_a_trusted_proxy(forwarded, peer):
    with confab(*TRUST, "--trusted-proxy", "10.0.0.0/8") as server:
        found = rejected_as(server, X_Forwarded_For=forwarded)
        assert found == peer if peer else found.startswith(f"{PROXY}:")


@pytest.mark.parametrize("forwarded", [
    "192.0.2.1, unknown", "unknown, 10.1.2.3", ",,", "1.2.3", "1" * 300, "192.0.2.1\u0301", "fe80::1%lo", '"192.0.2.1"'])
def test_unreadable_forwarded_address_is_rejected_with_400(forwarded):
    with confab(*TRUST, "--trusted-proxy", "10.0.0.0/8") as server, Client(server.port) as client:
        client.send(handshake(X_Forwarded_For=forwarded))
        assert client.answer()[0] == 400
        assert "reason=badRequest" in server.said()


def test_requests_without_forwarded_address_count_for_the_proxy():
    with confab("--trusted-proxy", "127.0.0.1", "--max-connections-per-address", 2) as server:
        with contextlib.ExitStack() as stack:
            def connect(forwarded):
                client = stack.enter_context(Client(server.port, "127.0.0.1"))
                client.send(handshake(X_Forwarded_For=forwarded))
                return client.answer()[0]
            assert [connect(None), connect(""), connect(None)] == [101, 101, 429]
            assert connect("192.0.2.1") == 101


def test_last_forwarded_header_counts():
    with confab(*TRUST) as server:
        two = "6.6.6.6\r\nX-Other: 1\r\nx-forwarded-for: 192.0.2.1"
        assert rejected_as(server, X_Forwarded_For=two) == "192.0.2.1"


def test_forwarded_header_is_ignored():
    with confab(*TRUST) as server:
        assert rejected_as(server, Forwarded="for=192.0.2.1").startswith(f"{PROXY}:")


def test_forwarded_requests_count_by_client_address():
    with confab(*TRUST, "--max-connections-per-address", 1) as server, contextlib.ExitStack() as stack:
        def connect(address):
            client = stack.enter_context(Client(server.port))
            client.send(handshake(X_Forwarded_For=address))
            return client.answer()[0]
        assert [connect("192.0.2.1"), connect("192.0.2.1"), connect("192.0.2.2")] == [101, 429, 101]
        with Client(server.port) as client:
            # A proxy uses a connection for one client after the other.
            for address, status in [("192.0.2.3", 200), ("192.0.2.4", 200), ("192.0.2.1", 429)]:
                client.send(head({"Host": "localhost", "X-Forwarded-For": address}))
                assert client.answer()[0] == status
        assert "peer=192.0.2.1 reason=tooManyFromAddress" in server.said()


def test_kept_alive_requests_count_once(tmp_path):
    (tmp_path / "index.html").write_text("index")
    with confab(*TRUST, "--max-connections-per-address", 1, "--web-root", tmp_path) as server:
        with Client(server.port) as client, Client(server.port) as other:
            for _ in range(3):
                client.send(head({"Host": "localhost", "X-Forwarded-For": "192.0.2.1"}))
                assert client.answer()[0] == 200
            other.send(head({"Host": "localhost", "X-Forwarded-For": "192.0.2.1"}))
            assert other.answer()[0] == 429
            client.send(head({"Host": "localhost", "X-Forwarded-For": "192.0.2.2"}))
            assert client.answer()[0] == 200


def test_rates_apply_to_forwarded_clients_of_local_proxy():
    with confab(*TRUST, "--max-message-rate", 10, "--log-level", "info") as server, Client(server.port) as client:
        client.open(X_Forwarded_For="192.0.2.1")
        client.send(frame(1, b"x") * 50)
        for _ in range(20):
            assert client.frame() == (1, b"x")
        assert "peer=192.0.2.1 reason=messageRate" in server.said()


@pytest.mark.parametrize("arguments, reason", [
    (["--trusted-proxy", "10.0.0.0/33"], "'10.0.0.0/33' is not an address or network"),
    (["--trusted-proxy", "proxy.example"], "'proxy.example' is not an address"),
    (["--proxy-protocol"], "--proxy-protocol needs --trusted-proxy"),
])
def test_invalid_proxy_options_are_errors(arguments, reason):
    result = run("check", *arguments)
    assert result.returncode == 1 and reason in result.stderr
