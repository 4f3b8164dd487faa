"""A server whose CPU time and memory are read from /proc, and clients on plain sockets."""

import base64
import contextlib
import json
import os
import pathlib
import re
import socket
import struct
import threading
import time
import zlib

from support.confab_process import Confab
from support.raw_client import HANDSHAKE, frame, head

RICH = "chat.confab.v1"
DEFLATE = "permessage-deflate"
#: Header bytes of a TCP connection's packets without data: SYN, ACK, two FIN and an ACK.
CONNECTION_BYTES = 200


class Measured(Confab):
    """A server. `cpu` is the CPU time of its threads."""

    def cpu(self):
        """Returns nanoseconds."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def settle(self, *clients):
        """Waits until the server is idle and the clients receive nothing more."""
        before = None
        while (now := (self.cpu() // 300_000, *(client.received for client in clients))) != before:
            before = now
            time.sleep(0.03)

    def trimmed_memory(self):
        """Returns the resident memory in bytes, the least of four samples."""
        least = self.memory()
        for _ in range(3):
            time.sleep(0.05)
            least = min(least, self.memory())
        return least


@contextlib.contextmanager
def measured(*options):
    server = Measured(*options)
    try:
        yield server
    finally:
        server.stop()


def deflated(data):
    """Returns the payload of a compressed message."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def message(data, *, binary=False, compressed=False, opcode=None, final=True):
    """Returns a message as one frame."""
    opcode = (2 if binary else 1) if opcode is None else opcode
    if isinstance(data, str):
        data = data.encode()
    return bytes_frame(opcode | (0x40 if compressed else 0), deflated(data) if compressed else data, final)


def bytes_frame(opcode, payload, final=True):
    """Builds a frame like `frame`, but masked with zeros, which takes no time."""
    return frame(opcode, b"", final)[:1] + length_field(len(payload)) + b"\0\0\0\0" + payload


def length_field(length):
    if length < 126:
        return bytes([0x80 | length])
    return b"\xfe" + struct.pack("!H", length) if length < 65536 else b"\xff" + struct.pack("!Q", length)


def upgrade(path="/", rich=False, compressed=False):
    return head(HANDSHAKE | {
        "Sec-WebSocket-Protocol": RICH if rich else None,
        "Sec-WebSocket-Extensions": DEFLATE if compressed else None}, f"GET {path} HTTP/1.1")


class Client:
    """A WebSocket connection that reads continuously and counts the bytes."""

    def __init__(self, server, path="/", *, rich=False, compressed=False, name=None, source=None, **hello):
        self.received = 0
        self.socket = socket.create_connection(("127.0.0.1", server.port), 10, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(upgrade(path, rich, compressed))
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self.socket.recv(4096)
            assert data, f"no handshake: {answer}"
            answer += data
        assert answer.startswith(b"HTTP/1.1 101"), answer
        self.first = answer.partition(b"\r\n\r\n")[2]
        if name:
            self.send(message(json.dumps({"type": "hello", "name": name, "history": 0, **hello})))
            # A compressed welcome cannot be searched; it is assumed to arrive in one read.
            while not self.first or not compressed and b'"welcome"' not in self.first:
                self.first += self.socket.recv(1 << 16)
        self.socket.settimeout(None)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 20):
                self.received += len(data)

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def welcome(self):
        """Returns the welcome, which must have arrived uncompressed."""
        return json.loads(re.search(rb'\{.*"type":"welcome"\}', self.first, re.S)[0])


def request(server, pieces, until=None):
    """Opens a connection and sends each piece after the reply to the previous one. Reads until the connection ends or
    `until` arrives. Returns the number of received bytes."""
    count = 0
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        for index, piece in enumerate(pieces):
            connection.sendall(piece)
            ending = until if index == len(pieces) - 1 else b"\r\n\r\n"
            tail = b""
            while not (ending and ending in tail) and (data := connection.recv(1 << 20)):
                count += len(data)
                tail = tail[-200:] + data
    return count


def random_text(size):
    """Returns text that does not compress below three quarters."""
    return base64.b64encode(os.urandom(size * 3 // 4 + 3)).decode()[:size]
