"""Each limit's effect on the client that exceeds it, and on others."""

import asyncio
import contextlib
import pathlib
import re
import signal
import time

import pytest
import websockets

from support import libwebsockets
from support.confab_process import confab
from support.raw_client import RawClient, frame, handshake, head, request

GET = {"Host": "localhost"}


def test_connection_over_the_limit_gets_503_until_another_leaves():
    with confab("--max-connections", 3, "--loops", 2) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port)) for _ in range(3)]
        for client in clients:
            client.open()
        status, headers, body = request(server.port, handshake())
        assert status == 503 and headers["retry-after"] and b"3 connections" in body
        clients[0].close()
        for _ in range(100):
            if request(server.port, handshake())[0] == 101:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the place of one who has left is not given to another")


def test_descriptor_limit_is_raised_for_connections():
    with confab("--max-connections", 100) as server:
        limits = pathlib.Path(f"/proc/{server.process.pid}/limits").read_text()
    assert re.search(r"Max open files +356 ", limits), limits


def test_address_over_its_limit_gets_429():
    with confab("--max-connections-per-address", 2, "--limit-loopback") as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(RawClient(server.port)).open()
        status, _, body = request(server.port, handshake())
        assert status == 429 and b"2 connections from this address" in body
        assert request(server.port, handshake(), host="::1")[0] == 101


def test_loopback_is_exempt_unless_limited():
    with confab("--max-connections-per-address", 1) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(RawClient(server.port)).open()


def test_accept_rate_is_limited():
    with confab("--max-accept-rate", 20, "--loops", 1, "--limit-loopback") as server:
        start = time.monotonic()
        for _ in range(40):
            assert request(server.port, handshake())[0] == 101
        assert 0.9 < time.monotonic() - start < 5


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x", head(GET)[:-2]], ids=["none", "some", "most"])
def test_late_request_gets_408(sent):
    with confab("--handshake-timeout", 0.3) as server:
        with RawClient(server.port) as client:
            start = time.monotonic()
            client.send(sent)
            status, _, body = client.answer()
            assert status == 408 and b"within 0.300 s" in body
            assert client.ends()
            assert 0.25 < time.monotonic() - start < 3


def test_single_bytes_do_not_extend_the_handshake_timeout():
    with confab("--handshake-timeout", 0.5) as server:
        with RawClient(server.port) as client:
            start = time.monotonic()
            client.socket.settimeout(0.1)
            for byte in handshake() * 3:
                client.send(bytes([byte]))
                try:
                    assert client.socket.recv(12) == b"HTTP/1.1 408"
                    break
                except TimeoutError:
                    pass
            assert 0.4 < time.monotonic() - start < 3


def test_upgraded_connection_has_no_handshake_timeout():
    with confab("--handshake-timeout", 0.2) as server:
        async def main():
            async with websockets.connect(server.ws) as client:
                await asyncio.sleep(1)
                await client.send("still here")
                assert await client.recv() == "still here"
        asyncio.run(asyncio.wait_for(main(), 20))


def test_idle_client_is_pinged_then_dropped():
    with confab("--ping-interval", 0.5, "--idle-timeout", 2) as server:
        with RawClient(server.port) as silent, RawClient(server.port) as answering:
            silent.open()
            answering.open()
            start = time.monotonic()
            assert silent.frame() == (9, b"")
            assert time.monotonic() - start > 0.2
            while time.monotonic() - start < 5:
                assert answering.frame() == (9, b"")
                answering.send(frame(10))
            assert silent.ends()
            answering.send(frame(1, b"hello"))
            while (one := answering.frame())[0] == 9:
                pass
            assert one == (1, b"hello")


def test_suspended_server_pings_before_dropping_clients():
    with confab("--ping-interval", 0.5, "--idle-timeout", 2) as server:
        with RawClient(server.port) as asked, RawClient(server.port) as answering, RawClient(server.port) as silent:
            for client in asked, answering, silent:
                client.open()
            assert asked.frame() == answering.frame() == silent.frame() == (9, b"")
            asked.send(frame(10))
            time.sleep(0.3)
            server.process.send_signal(signal.SIGSTOP)
            answering.send(frame(10))
            time.sleep(3)
            server.process.send_signal(signal.SIGCONT)
            for client in asked, answering:
                assert client.frame() == (9, b"")
                client.send(frame(10) + frame(1, b"still here"))
                while (one := client.frame()) == (9, b""):
                    pass
                assert one == (1, b"still here")
            assert silent.ends()


@pytest.mark.parametrize("options, expected", [
    (["--max-message-rate", 100], "messageRate"), (["--max-byte-rate", "1KiB"], "byteRate"),
])
def test_fast_sender_is_throttled_without_loss(options, expected):
    """Sends 300 messages: 100 at once, the other 200 at 100 a second."""
    with confab("--limit-loopback", *options, "--log-level", "info") as server:
        async def main():
            async with websockets.connect(server.ws) as fast, websockets.connect(server.ws) as other:
                start = time.monotonic()
                for number in range(300):
                    await fast.send(f"{number:010}")
                for client in (fast, other):
                    for number in range(300):
                        assert await client.recv() == f"{number:010}"
                return time.monotonic() - start
        assert 1.5 < asyncio.run(asyncio.wait_for(main(), 30)) < 8
        server.stop()
        assert expected in server.errors


def test_fast_pings_are_throttled_and_all_answered():
    pings = [f"{number}".encode() for number in range(300)]
    with confab("--limit-loopback", "--max-ping-rate", 100, "--log-level", "info") as server:
        with RawClient(server.port) as client:
            client.open()
            start = time.monotonic()
            client.send(b"".join(frame(9, payload) for payload in pings))
            assert [client.frame() for _ in pings] == [(10, payload) for payload in pings]
            assert 1.5 < time.monotonic() - start < 8
        server.stop()
        assert "pingRate" in server.errors


def test_room_over_the_limit_gets_503():
    with confab("--max-rooms", 2) as server:
        async def main():
            async with websockets.connect(server.ws), websockets.connect(server.ws + "tea"):
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await websockets.connect(server.ws + "coffee")
                assert caught.value.response.status_code == 503
                async with websockets.connect(server.ws + "tea"):
                    pass
        asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("length, code", [(1 << 20, None), ((1 << 20) + 1, 1009), (1 << 40, 1009), ((1 << 63) - 1, 1009)])
def test_oversized_frame_is_rejected_by_its_header(server, length, code):
    with RawClient(server.port) as client:
        client.open()
        before = server.memory()
        client.send(b"\x82\xff" + length.to_bytes(8, "big") + b"\x12\x34\x56\x78" + b"start")
        if code and length > 256 << 20 and libwebsockets.version() >= (5,):
            # libwebsockets drops the connection itself.
            assert client.close_code() is None
        elif code:
            assert client.close_code() == code
        assert server.memory() - before < 1 << 20


def test_invalid_frame_length_is_a_protocol_error(server):
    with RawClient(server.port) as client:
        client.open()
        client.send(b"\x82\xff" + b"\xff" * 8 + b"\x12\x34\x56\x78")
        assert client.close_code() in (None, 1002, 1009)


def test_empty_fragments_are_limited():
    with confab("--max-fragments", 1000) as server, RawClient(server.port) as client:
        client.open()
        client.send(frame(1, final=False) + frame(0, final=False) * 998 + frame(0, b"end"))
        assert client.frame() == (1, b"end")
        client.send(frame(1, final=False) + frame(0, final=False) * 1001)
        assert client.close_code() == 1008


def test_total_of_unfinished_messages_is_limited():
    with confab("--max-unfinished-bytes", "1MiB", "--loops", 1) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port)) for _ in range(5)]
        for client in clients[:3]:
            client.open()
            client.send(frame(2, bytes(300_000), final=False) + frame(9))
            assert client.frame() == (10, b"")
        clients[3].open()
        clients[3].send(frame(2, bytes(300_000), final=False))
        assert clients[3].close_code() == 1013
        # Completed messages and those of closed connections no longer count.
        clients[0].send(frame(0))
        clients[1].close()
        assert next(clients[0].messages()) == (2, bytes(300_000))
        clients[4].open()
        clients[4].send(frame(2, bytes(300_000), final=False) + frame(0))
        assert clients[4].frame()[0] == 2


def test_peer_without_closing_handshake_is_dropped():
    with confab("--max-fragments", 1, "--close-timeout", 0.3) as server, RawClient(server.port) as client:
        client.open()
        client.send(frame(1, b"a", final=False) + frame(0, b"b"))
        assert client.close_code() == 1008
        start = time.monotonic()
        assert client.ends()
        assert time.monotonic() - start < 3
