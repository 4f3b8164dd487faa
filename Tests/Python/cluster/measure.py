"""Measures two servers of one chat: messages per second, and latency from a client of one to a client of the other.

Each sender writes as fast as the server reads, and a reader at the other server counts. Latency is measured with single
messages, a hundred per second, without other load.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import statistics
import struct
import time

from support.confab_process import confab
from support.nats_process import broker, cluster


class Client(asyncio.Protocol):
    """A WebSocket client with just enough of the protocol to count messages of one size."""

    def __init__(self, size):
        self.size, self.bytes, self.head = size, 0, b""
        self.is_open = asyncio.get_running_loop().create_future()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.waiter = None

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())

    def data_received(self, data):
        if not self.is_open.done():
            self.head += data
            if b"\r\n\r\n" in self.head:
                assert b" 101 " in self.head, self.head
                self.is_open.set_result(None)
            return
        self.bytes += len(data)
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(time.perf_counter())

    def pause_writing(self):
        self.may_write.clear()

    def resume_writing(self):
        self.may_write.set()

    @property
    def count(self):
        return self.bytes // (self.size + (2 if self.size < 126 else 4))

    def frame(self):
        length = bytes([0x80 | self.size]) if self.size < 126 else b"\xfe" + struct.pack(">H", self.size)
        return b"\x81" + length + bytes(4) + b"x" * self.size

    async def write_for_ever(self):
        chunk = self.frame() * 32
        while True:
            await self.may_write.wait()
            self.transport.write(chunk)
            await asyncio.sleep(0)


async def client(server, size):
    _, one = await asyncio.get_running_loop().create_connection(lambda: Client(size), "127.0.0.1", server.port)
    await one.is_open
    return one


async def measure(first, second, arguments):
    reader, pinger = await client(second, arguments.size), await client(first, arguments.size)
    await asyncio.sleep(1)
    times = []
    for _ in range(arguments.pings):
        reader.waiter = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        pinger.transport.write(pinger.frame())
        times.append((await reader.waiter - start) * 1000)
        await asyncio.sleep(0.01)
    times.sort()
    print(f"latency, ms: median {statistics.median(times):.2f}, 99 % {times[int(len(times) * 0.99)]:.2f}, max {times[-1]:.2f}")
    senders = [await client(first, arguments.size) for _ in range(arguments.senders)]
    tasks = [asyncio.create_task(sender.write_for_ever()) for sender in senders]
    await asyncio.sleep(2)
    before, start = reader.count, time.perf_counter()
    await asyncio.sleep(arguments.seconds)
    print(f"messages per second: {(reader.count - before) / (time.perf_counter() - start):.0f}"
          f" ({arguments.senders} senders, {arguments.size} bytes)")
    for task in tasks:
        task.cancel()
    for one in [*senders, reader, pinger]:
        one.transport.abort()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--senders", type=int, default=32)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--pings", type=int, default=300)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.brokers == 1:
            urls = [stack.enter_context(broker()).url]
        else:
            urls = [one.url for one in stack.enter_context(cluster())]
        options = [word for url in urls for word in ("--nats", url)]
        options += ["--nats-replicas", arguments.brokers, "--max-message-rate", 0, "--max-byte-rate", 0]
        options += ["--no-compression", "--max-backlog", "64MiB"]
        first, second = (stack.enter_context(confab(*options)) for _ in range(2))
        asyncio.run(measure(first, second, arguments))


if __name__ == "__main__":
    main()
