"""Sends inputs from one address as fast as the server reads: `python -m cost.attacker PORT SECONDS CONNECTIONS NAME...`.

Each connection sends one of the inputs repeatedly, in its own room or in one that is prepared for the input, and reads
everything it receives. The program prints "ready" when all are connected, and "done" at the end.
"""

import contextlib
import itertools
import os
import selectors
import socket
import sys
import time

from cost.inputs import INPUTS
from cost.server import message, upgrade

#: Bytes written to a socket at once. A batch has at least one message.
BATCH = 64 << 10


def batch(one):
    """Returns the data that a connection repeats: the input up to 16 times."""
    first = one.data(0, [])
    return memoryview(b"".join(one.data(number, []) for number in range(max(1, min(16, BATCH // len(first))))))


class Target:
    """The server, as those who prepare rooms know it."""

    def __init__(self, port):
        self.port = port

    def settle(self, *clients):
        before = None
        while (now := [client.received for client in clients]) != before:
            before = now
            time.sleep(0.2)


class Connection:
    def __init__(self, port, path, one, batch):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.sendall(upgrade(path, one.rich, one.compressed))
        self.socket.recv(4096)
        if one.rich:
            self.socket.sendall(message('{"type":"hello","name":"n%d"}' % self.socket.fileno()))
        self.socket.setblocking(False)
        self.batch = self.rest = batch

    def write(self):
        with contextlib.suppress(BlockingIOError):
            self.rest = self.rest[self.socket.send(self.rest):] or self.batch

    def read(self):
        """Discards received data. Returns false at the end of the stream."""
        try:
            return bool(self.socket.recv(1 << 20, socket.MSG_TRUNC))
        except BlockingIOError:
            return True


def main(port, seconds, count, *names):
    # Runs at low priority, as if on another machine: it must not take CPU time from the server and the victims.
    os.nice(15)
    inputs = [next(one for one in INPUTS if one.name == name) for name in names]
    kept = [one.room(Target(port), f"/attack-{index}") for index, one in enumerate(inputs) if one.room]
    selector = selectors.DefaultSelector()
    inputs = [(index, one, batch(one)) for index, one in enumerate(inputs)]
    for number, (index, one, data) in zip(range(count - sum(map(len, kept))), itertools.cycle(inputs)):
        connection = Connection(port, f"/attack-{index}" if one.room else f"/attack{number}", one, data)
        selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end and selector.get_map():
        for key, events in selector.select(0.1):
            try:
                if events & selectors.EVENT_READ and not key.data.read():
                    raise ConnectionResetError
                if events & selectors.EVENT_WRITE:
                    key.data.write()
            except ConnectionError:
                selector.unregister(key.fileobj)
    print("done", flush=True)
    # Exits without reading the rest.
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
