"""Ten well-behaved clients in two rooms, in a separate process: `python -m abuse.victims PORT ADDRESS [tls]`.

Each sends a message every 50 ms in each room. All must receive each message exactly once, in one order. The program
prints "ready" once they receive each other's messages and runs until its standard input ends. Then it waits until all
messages have arrived, and prints its measurements.
"""

import array
import asyncio
import json
import ssl
import sys
import time
import zlib

from support.raw_client import HANDSHAKE, frame, head

COUNT = 10
PAUSE = 0.05
ROOMS = ["victims", "attacked"]
MARK = b"victim "
PATIENCE = 10


class Client(asyncio.Protocol):
    """A client's connection. Messages of other clients in its room are ignored."""

    def __init__(self, room, number):
        self.room, self.number = room, number
        self.said = 0
        self.heard = [0] * COUNT
        self.waits = array.array("d")
        self.order = 0
        self.data = bytearray()
        self.is_open = False
        self.problem = None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(head(HANDSHAKE, f"GET /{self.room} HTTP/1.1"))

    def data_received(self, data):
        now = time.monotonic()
        self.data += data
        if not self.is_open:
            answer, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return
            self.is_open = answer.startswith(b"HTTP/1.1 101")
            if not self.is_open:
                self.fail(f"no handshake: {answer[:60]}")
            self.data = rest
        position = 0
        while (found := parse(self.data, position)) is not None:
            opcode, payload, position = found
            if opcode == 8:
                self.fail(f"closed with {payload[:2].hex()}")
            elif opcode == 9:
                self.transport.write(frame(10, payload))
            elif payload.startswith(MARK):
                self.hear(payload, now)
        del self.data[:position]

    def say(self):
        self.transport.write(frame(1, MARK + b"%d %d %f" % (self.number, self.said, time.monotonic())))
        self.said += 1

    def hear(self, payload, now):
        _, number, count, at = payload.split()
        if int(count) != self.heard[int(number)]:
            self.fail(f"received message {int(count)} of {int(number)} instead of {self.heard[int(number)]}")
        self.heard[int(number)] = int(count) + 1
        self.order = zlib.crc32(payload, self.order)
        self.waits.append(now - float(at))

    def fail(self, problem):
        self.problem = self.problem or f"{self.room} {self.number}: {problem}"

    def connection_lost(self, error):
        self.fail(f"connection lost: {error}")


def parse(data, position):
    """Returns opcode and payload of the frame at `position`, and the position after it; None if it is incomplete."""
    if len(data) < position + 2:
        return None
    length, start = data[position + 1] & 127, position + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        length, start = int.from_bytes(data[start:start + size]), start + size
    if len(data) < start + length:
        return None
    return data[position] & 15, bytes(data[start:start + length]), start + length


async def until(condition):
    """Polls the condition. Returns false after the deadline."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def encryption():
    """Returns options for TLS without checks of the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return {"ssl": context, "server_hostname": "localhost"}


async def main(port, address, *protocol):
    loop = asyncio.get_running_loop()
    keywords = encryption() if protocol else {}
    clients = []
    for number in range(COUNT):
        for room in ROOMS:
            clients.append((await loop.create_connection(
                lambda: Client(room, number), "127.0.0.1", port, local_addr=(address, 0), **keywords))[1])

    def is_settled():
        return any(client.problem for client in clients) or all(
            client.is_open and client.heard == [other.said for other in clients if other.room == client.room]
            for client in clients)

    async def talk(client):
        while not client.problem:
            client.say()
            await asyncio.sleep(PAUSE)

    stopped = asyncio.Event()
    loop.add_reader(sys.stdin, stopped.set)
    await until(is_settled)
    talks = []
    for client in clients:
        talks.append(asyncio.create_task(talk(client)))
        await asyncio.sleep(PAUSE / len(clients))
    await until(lambda: any(client.problem for client in clients) or all(min(client.heard) >= 5 for client in clients))
    print("ready", flush=True)
    await stopped.wait()
    loop.remove_reader(sys.stdin)
    for task in talks:
        task.cancel()
    if not await until(is_settled):
        for client in clients:
            client.fail(f"has not received all messages within {PATIENCE} s")
    problems = [client.problem for client in clients if client.problem]
    for room in ROOMS:
        if len({client.order for client in clients if client.room == room}) > 1:
            problems.append(f"{room}: clients received different orders")
    waits = sorted(wait for client in clients for wait in client.waits)
    for client in clients:
        client.transport.close()
    print(json.dumps({
        "heard": len(waits), "problems": problems,
        "p99": waits[len(waits) * 99 // 100] if waits else None, "longest": waits[-1] if waits else None}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
