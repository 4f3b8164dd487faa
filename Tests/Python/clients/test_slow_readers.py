"""Clients that stop reading have a cursor in the log and do not delay others."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
import threading
import time

import pytest
import websockets

from support.confab_process import confab, free_port
from support.metrics import metrics
from support.raw_client import RawClient

PIECE = 60_000


class Reader:
    """A raw client with a small window that reads only on request."""

    def __init__(self, port, path="/", segment=None):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if segment:
            # With the loopback device's segments of 64 KiB, a small window would advance only by a timer.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def close(self):
        self.file.close()
        self.socket.close()

    def messages(self):
        """Yields complete messages until the close frame, then the close code."""
        whole = b""
        while True:
            first, second = self.file.read(2)
            length = second
            if length == 126:
                length, = struct.unpack("!H", self.file.read(2))
            payload = self.file.read(length)
            if first & 15 == 8:
                yield struct.unpack("!H", payload[:2])[0]
                return
            whole += payload
            if first & 0x80:
                yield whole
                whole = b""


def message(number):
    return number.to_bytes(4, "big") + bytes([number & 255]) * (PIECE - 4)


def frame(payload):
    """Returns a masked frame. The mask is 0."""
    is_long = len(payload) > 0xFFFF
    length = bytes([255 if is_long else 254]) + len(payload).to_bytes(8 if is_long else 2, "big")
    return b"\x82" + length + bytes(4) + payload


async def say(server, count):
    """Sends `count` messages, waits for each, and returns the longest delay."""
    longest = 0
    async with websockets.connect(server.ws, max_size=None, compression=None) as speaker:
        for number in range(count):
            start = time.monotonic()
            await speaker.send(message(number))
            assert await speaker.recv() == message(number)
            longest = max(longest, time.monotonic() - start)
    return longest


def test_paused_reader_gets_every_byte():
    with confab("--max-backlog", "16MiB", "--send-buffer", "64KiB") as server:
        reader = Reader(server.port)
        asyncio.run(asyncio.wait_for(say(server, 200), 60))
        heard = reader.messages()
        for number in range(200):
            assert next(heard) == message(number)
        reader.close()


@pytest.mark.memory
def test_slow_reader_is_closed_with_1013_and_delays_no_other():
    with confab("--max-backlog", "1MiB", "--send-buffer", "64KiB") as server:
        readers = [Reader(server.port) for _ in range(20)]
        before = server.memory()
        longest = asyncio.run(asyncio.wait_for(say(server, 100), 60))
        assert longest < 1
        # 20 readers share 1 MiB of backlog; each also has at most one segment.
        assert server.memory() - before < 8 << 20
        for reader in readers:
            heard = list(reader.messages())
            assert heard[-1] == 1013
            assert heard[:-1] == [message(number) for number in range(len(heard) - 1)]
            reader.close()


@pytest.mark.slow
def test_single_message_over_backlog_limit_evicts_no_client():
    with confab("--max-backlog", "64KiB", "--max-message-size", "8MiB", "--send-buffer", "64KiB") as server:
        reader = Reader(server.port)

        async def main():
            async with websockets.connect(server.ws, max_size=None, compression=None) as speaker:
                await speaker.send(b"x" * (8 << 20))
                assert await speaker.recv() == b"x" * (8 << 20)

        asyncio.run(asyncio.wait_for(main(), 60))
        assert next(reader.messages()) == b"x" * (8 << 20)
        reader.close()


def test_single_message_over_backlog_limit_evicts_no_member_of_a_large_room():
    """The loop takes many turns to write 1 MiB to each of 60 members."""
    options = ["--loops", 1, "--max-backlog", "128KiB", "--max-message-size", "8MiB", "--no-compression"]
    with confab(*options) as server, contextlib.ExitStack() as stack:
        members = [stack.enter_context(RawClient(server.port)) for _ in range(60)]
        for member in members:
            member.open()
        members[0].send(frame(b"x" * (1 << 20)))
        for member in members:
            assert next(member.messages()) == (2, b"x" * (1 << 20))


def test_burst_evicts_no_client_that_reads():
    """24 clients in one process that reads as fast as it can. 2 MiB for each arrive at once."""
    with confab() as server:

        async def main():
            async with contextlib.AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(websockets.connect(server.ws, max_size=None, compression=None))
                    for _ in range(24)]
                speaker = Reader(server.port)
                burst = b"".join(frame(message(number)) for number in range(40))
                threading.Thread(target=speaker.socket.sendall, args=[burst], daemon=True).start()

                async def read(client):
                    for number in range(40):
                        assert await client.recv() == message(number)

                await asyncio.gather(*(read(client) for client in clients))
                speaker.close()

        asyncio.run(asyncio.wait_for(main(), 60))


def test_client_that_writes_before_it_reads_gets_its_echo():
    with confab("--limit-loopback", "--max-byte-rate", "0") as server:
        writer = Reader(server.port)
        payload = bytes(1 << 20)
        for _ in range(3):
            writer.socket.sendall(frame(payload))
        heard = writer.messages()
        for _ in range(3):
            assert next(heard) == payload
        writer.close()


@pytest.mark.slow
def test_reading_pauses_for_client_far_behind():
    """The client writes 40 MiB in all and reads slowly at the same time: its own echo never evicts it."""
    with confab("--max-backlog", "1MiB", "--send-buffer", "64KiB", "--limit-loopback", "--max-byte-rate", "0",
                "--max-message-rate", "0") as server:
        client = Reader(server.port)
        payload = bytes(PIECE)

        def write():
            for _ in range(700):
                client.socket.sendall(frame(payload))

        client.socket.settimeout(60)
        writing = threading.Thread(target=write)
        writing.start()
        heard = client.messages()
        for _ in range(700):
            assert next(heard) == payload
        writing.join()
        client.close()


def test_total_backlog_of_all_rooms_is_limited():
    """16 rooms, each with a client that never reads. 4 MiB are sent in each, and 16 MiB may be kept in all."""
    admin = f"127.0.0.1:{free_port()}"
    with confab("--admin", admin, "--max-total-backlog", "16MiB", "--send-buffer", "64KiB", "--limit-loopback", "--max-byte-rate", "0",
                "--max-message-rate", "0", "--max-connections-per-address", "0") as server:
        readers = [Reader(server.port, f"/{room}") for room in range(16)]

        async def fill(room):
            async with websockets.connect(f"{server.ws}{room}", max_size=None, compression=None) as speaker:
                for number in range(70):
                    await speaker.send(message(number))
                    assert await speaker.recv() == message(number)

        async def main():
            for room in range(16):
                await fill(room)

        asyncio.run(asyncio.wait_for(main(), 60))
        now = metrics(admin)
        assert now["confab_backlog_bytes",] < 17 << 20
        evicted = now["confab_rejections_total", "tooFarBehind"]
        assert 8 <= evicted < 16
        for reader in readers:
            reader.close()


def test_backlog_of_silent_rooms_is_freed_for_others():
    """Clients that have stopped reading are evicted when memory is short, even if their rooms are silent."""
    admin = f"127.0.0.1:{free_port()}"
    with confab("--admin", admin, "--max-backlog", "8MiB", "--max-total-backlog", "8MiB", "--send-buffer", "64KiB",
                "--limit-loopback", "--max-byte-rate", "0", "--max-message-rate", "0", "--loops", 1) as server:
        readers = [Reader(server.port, f"/{room}") for room in range(3)]

        async def main():
            for room in range(3):
                async with websockets.connect(f"{server.ws}{room}", max_size=None, compression=None) as speaker:
                    for number in range(60):
                        await speaker.send(message(number))
                        assert await speaker.recv() == message(number)

        asyncio.run(asyncio.wait_for(main(), 60))
        deadline = time.monotonic() + 20
        while (now := metrics(admin))["confab_backlog_bytes",] > 5 << 20:
            assert time.monotonic() < deadline, now
        assert now["confab_rejections_total", "tooFarBehind"] >= 1
        for reader in readers:
            reader.close()


async def speak(server, size):
    async with websockets.connect(server.ws, compression=None, max_size=None) as speaker:
        await speaker.send(bytes(size))
        await speaker.recv()


@pytest.mark.slow
def test_slow_reader_with_progress_is_not_idle():
    options = ("--idle-timeout", 2, "--ping-interval", 1, "--send-buffer", "4KiB", "--no-compression")
    with confab(*options) as server, contextlib.closing(Reader(server.port)) as slow:
        size = 400_000

        asyncio.run(asyncio.wait_for(speak(server, size), 20))
        start, count = time.monotonic(), 0
        # Behind the message are pings, which the client can answer only after it has read the message.
        while count < size:
            data = slow.socket.recv(6000)
            assert data, f"dropped after {count} bytes, {time.monotonic() - start} s"
            count += len(data)
            time.sleep(0.1)
        assert time.monotonic() - start > 4


def test_client_that_has_answered_a_ping_is_pinged_again():
    """It reads slowly just after its answer. After that it has nothing to read but pings."""
    ping, pong = b"\x89\0", b"\x8a\x80\0\0\0\0"
    with confab("--idle-timeout", 2, "--ping-interval", 1, "--no-compression") as server, \
            contextlib.closing(Reader(server.port, segment=1000)) as client:
        assert client.socket.recv(100) == ping
        client.socket.sendall(pong)
        asyncio.run(asyncio.wait_for(speak(server, 60_000), 20))
        count = pings = 0
        while pings < 3:
            data = client.socket.recv(2000)
            assert data, f"dropped although it has answered {pings} pings"
            count += len(data)
            if ping in data:
                pings += 1
                client.socket.sendall(pong)
            if count < 60_000:
                time.sleep(0.05)


def test_reader_without_progress_is_idle():
    admin = f"127.0.0.1:{free_port()}"
    options = ("--idle-timeout", 2, "--ping-interval", 1, "--send-buffer", "4KiB", "--no-compression", "--admin", admin)
    with confab(*options) as server, contextlib.closing(Reader(server.port)):
        async def speak():
            async with websockets.connect(server.ws, compression=None, max_size=None) as speaker:
                await speaker.send(bytes(900_000))
                await speaker.recv()
                while metrics(admin)["confab_connections",] > 1:
                    await asyncio.sleep(0.1)
        asyncio.run(asyncio.wait_for(speak(), 20))
