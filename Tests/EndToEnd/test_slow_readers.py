"""Readers that stop reading: they hold a place in the log, and hold up nobody."""

import asyncio
import base64
import os
import socket
import struct
import time

import pytest
import websockets

from confab_process import confab

PIECE = 60_000


class Reader:
    """A raw client that reads when it is told to, with a small window."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline() != b"\r\n":
            pass

    def close(self):
        self.file.close()
        self.socket.close()

    def messages(self):
        """Whole messages until the close frame, whose code comes last."""
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


async def say(server, count):
    """Says `count` messages and waits for each, which tells the longest wait."""
    longest = 0
    async with websockets.connect(server.ws, max_size=None, compression=None) as speaker:
        for number in range(count):
            start = time.monotonic()
            await speaker.send(message(number))
            assert await speaker.recv() == message(number)
            longest = max(longest, time.monotonic() - start)
    return longest


def test_a_reader_that_pauses_gets_every_byte():
    with confab("--max-backlog", "16MiB", "--send-buffer", "64KiB") as server:
        reader = Reader(server.port)
        asyncio.run(asyncio.wait_for(say(server, 200), 60))
        heard = reader.messages()
        for number in range(200):
            assert next(heard) == message(number)
        reader.close()


@pytest.mark.memory
def test_a_reader_beyond_the_backlog_is_closed_with_1013_and_holds_up_nobody():
    with confab("--send-buffer", "64KiB") as server:
        readers = [Reader(server.port) for _ in range(20)]
        before = server.memory()
        longest = asyncio.run(asyncio.wait_for(say(server, 100), 60))
        assert longest < 1
        # 20 readers share 1 MiB of backlog; each has at most one segment of its own.
        assert server.memory() - before < 8 << 20
        for reader in readers:
            heard = list(reader.messages())
            assert heard[-1] == 1013
            assert heard[:-1] == [message(number) for number in range(len(heard) - 1)]
            reader.close()


def test_one_message_larger_than_the_backlog_limit_evicts_nobody():
    with confab("--max-backlog", "64KiB", "--max-message-size", "8MiB", "--send-buffer", "64KiB") as server:
        reader = Reader(server.port)

        async def main():
            async with websockets.connect(server.ws, max_size=None, compression=None) as speaker:
                await speaker.send(b"x" * (8 << 20))
                assert await speaker.recv() == b"x" * (8 << 20)

        asyncio.run(asyncio.wait_for(main(), 60))
        assert next(reader.messages()) == b"x" * (8 << 20)
        reader.close()
