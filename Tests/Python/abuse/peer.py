"""An attacker's connection, and a parser for what the server sends."""

import asyncio
import socket
import struct

from support.raw_client import HANDSHAKE, head

OPEN = head(HANDSHAKE, "GET /attacked HTTP/1.1")
# Longer than every timeout of the attacked servers, in seconds.
PATIENCE = 8


class Answers:
    """Parses statuses, close codes and the number of other frames from the server's bytes."""

    def __init__(self):
        self.told = []
        self.headers = b""
        self.frames = 0
        self.data = bytearray()
        self.is_websocket = False
        self.skip = 0

    def take(self, data):
        self.data += data
        while self.takes_one():
            pass

    def takes_one(self):
        if self.skip:
            count = min(self.skip, len(self.data))
            del self.data[:count]
            self.skip -= count
            return not self.skip
        return self.takes_frame() if self.is_websocket else self.takes_answer()

    def takes_answer(self):
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.headers = bytes(self.data[:end]).lower()
        del self.data[:end + 4]
        self.told.append(self.headers[9:12].decode())
        self.is_websocket = self.told[-1] == "101"
        _, found, rest = self.headers.partition(b"content-length:")
        self.skip = int(rest.split()[0]) if found else 0
        return True

    def takes_frame(self):
        if len(self.data) < 2:
            return False
        length, start = self.data[1] & 127, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self.data) < start:
                return False
            length = int.from_bytes(self.data[2:start])
        if self.data[0] & 15 == 8:
            if len(self.data) < start + length:
                return False
            code, = struct.unpack("!H", self.data[start:start + 2]) if length >= 2 else (1005,)
            self.told.append(str(code))
        else:
            self.frames += 1
        del self.data[:start]
        self.skip = length
        return True


class Peer:
    """A connection that reads continuously, unless `reads` is false."""

    def __init__(self, port, *, reads=True, receive_buffer=None):
        self.port = port
        self.reads = reads
        self.answers = Answers()
        self.how = None
        self.changed = asyncio.Condition()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.reading = None

    async def connect(self):
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        if self.reads:
            self.reading = asyncio.create_task(self.read())

    async def read(self):
        loop = asyncio.get_running_loop()
        how = "end"
        try:
            while data := await loop.sock_recv(self.socket, 1 << 18):
                self.answers.take(data)
                async with self.changed:
                    self.changed.notify_all()
        except ConnectionError:
            how = "reset"
        async with self.changed:
            self.how = how
            self.changed.notify_all()

    async def until(self, condition, patience=PATIENCE):
        """Waits for the condition. Returns false when the connection ends or the time is over first."""
        try:
            async with asyncio.timeout(patience), self.changed:
                await self.changed.wait_for(lambda: condition() or self.how)
        except TimeoutError:
            pass
        return condition()

    async def send(self, data):
        """Sends as much as the server takes. The server may stop reading or end the connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except (ConnectionError, TimeoutError):
            pass

    async def open(self, request=OPEN):
        """Sends the handshake. Returns false when it is rejected."""
        await self.send(request)
        return await self.until(lambda: self.answers.is_websocket)

    async def ending(self):
        """Returns the last status or close code once the server has ended the connection, "open" if it does not."""
        if not await self.until(lambda: self.how):
            return "open"
        told = [one for one in self.answers.told if one != "101"]
        if told:
            return told[-1]
        return f"101 {self.how}" if self.answers.told else self.how

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        """Closes the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if self.socket.fileno() < 0:
            return
        if self.reading:
            self.reading.cancel()
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
