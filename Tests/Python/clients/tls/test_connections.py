"""TLS: https and wss on one port, and the versions and handshakes of TLS."""

import asyncio
import contextlib
import socket
import struct
import subprocess
import time

import pytest
import websockets

from clients.tls.client import Encrypted, encrypted, get, trust
from support.confab_process import confab, free_port
from support.metrics import metrics
from support.raw_client import RawClient, handshake, head, request


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_page_and_chat_work_over_tls(server, files, compression):
    context = trust(files[0])
    assert get(server, context).startswith(b"HTTP/1.1 200 OK\r\n")

    async def main():
        options = {"ssl": context, "compression": compression, "max_size": None}
        async with websockets.connect(server.ws, **options) as alice, websockets.connect(server.ws, **options) as bob:
            for text in ("hello", "x" * 100_000, "y" * 1_000_000, "", "end"):
                await alice.send(text)
                assert await alice.recv() == text and await bob.recv() == text
            for ping in [await alice.ping() for _ in range(20)]:
                await ping

    asyncio.run(asyncio.wait_for(main(), 30))


def test_slow_reader_gets_every_message(files):
    messages = [bytes([number]) * 50_000 for number in range(100)]

    async def main(server):
        options = {"ssl": trust(files[0]), "compression": None, "max_size": None}
        async with websockets.connect(server.ws, **options) as sender:
            async with websockets.connect(server.ws, max_queue=1, **options) as slow:
                for message in messages:
                    await sender.send(message)
                    assert await sender.recv() == message
                assert [await slow.recv() for _ in messages] == messages

    with confab("--tls-cert", files[0], "--tls-key", files[1], "--max-backlog", "16MiB") as server:
        asyncio.run(asyncio.wait_for(main(server), 30))


def test_cleartext_page_request_is_redirected_and_others_rejected(server, files):
    status, headers, _ = request(server.port, head({"Host": "localhost:1234"}, "GET /a%20b/%E7%BE%A4?x=1&y=%20 HTTP/1.1"))
    assert (status, headers["location"]) == (308, "https://localhost:1234/a%20b/%E7%BE%A4?x=1&y=%20")
    status, _, body = request(server.port, handshake())
    assert status == 400 and b"wss" in body
    assert request(server.port, head({"Host": "a b"}))[0] == 400
    assert request(server.port, head({"Host": "localhost"}, "POST / HTTP/1.1"))[0] == 400
    assert get(server, trust(files[0])).startswith(b"HTTP/1.1 200")


def test_http_2_is_not_negotiated(server, files):
    context = trust(files[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    with encrypted(server, context) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize("version, is_spoken", [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_only_tls_1_2_and_1_3_are_accepted(server, files, version, is_spoken):
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", files[0], "-verify_return_error",
         "-cipher", "DEFAULT@SECLEVEL=0", version], input=b"", capture_output=True, timeout=20)
    assert (result.returncode == 0) == is_spoken


def test_tls_1_2_renegotiation_is_rejected(server, files):
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", files[0], "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        output = client.communicate(b"R\n", timeout=20)[0]
    assert b"no renegotiation" in output


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508), b"\x16" * 5000,
                                  bytes(100), b"\x80\x2e\x01\x00\x02" + bytes(40)],
                         ids=["nothing", "half a hello", "one type", "zeros", "SSL 2"])
def test_garbage_handshake_is_dropped(server, files, data):
    with RawClient(server.port) as client:
        with contextlib.suppress(OSError):
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            while client.file.read(4096):
                pass
    assert get(server, trust(files[0])).startswith(b"HTTP/1.1 200")


def test_unfinished_tls_handshake_times_out(files):
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--handshake-timeout", 0.3) as server:
        with RawClient(server.port) as client:
            client.send(b"\x16\x03\x01\x02\x00\x01\x00")
            assert client.ends()


def test_failed_handshakes_count_once(files):
    admin = f"127.0.0.1:{free_port()}"
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--admin", admin, "--limit-loopback",
                "--max-connections-per-address", 3) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Encrypted(server, files[0])).open()
        for _ in range(50):
            # Reset before it is accepted, most of the time: the handshake fails at once.
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stack.pop_all().close()
        # Bytes that are not TLS fail at once, too. The server closes the connection.
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port), 10) as client, contextlib.suppress(OSError):
                client.sendall(b"\x16\x03\x01\x00\x05AAAAA")
                while client.recv(100):
                    pass
        deadline = time.monotonic() + 10
        while (count := metrics(admin)[("confab_connections",)]) > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert count == 0
        for _ in range(3):
            stack.enter_context(Encrypted(server, files[0])).open()
        with pytest.raises(OSError):
            Encrypted(server, files[0])
