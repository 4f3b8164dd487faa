"""A WebSocket and HTTP client on plain sockets, for data that well-behaved libraries don't send."""

import socket
import struct

HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def head(headers, line="GET / HTTP/1.1"):
    """Returns a request header section. A header that is None is left out."""
    lines = [line] + [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def handshake(**changes):
    """Returns an opening handshake. `_` in a name stands for `-`."""
    return head(HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()})


def frame(opcode, payload=b"", final=True, mask=b"\x12\x34\x56\x78"):
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else (
        b"\xfe" + struct.pack("!H", length) if length < 65536 else b"\xff" + struct.pack("!Q", length))
    return bytes([opcode | (0x80 if final else 0)]) + size + mask + masked(payload, mask)


def masked(payload, mask):
    """Returns the payload with the mask applied. One number is much faster than single bytes."""
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(len(payload))


class RawClient:
    def __init__(self, port, *, host="127.0.0.1", receive_buffer=None, timeout=10):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """Returns status, headers and body of the next response, None when the connection ends instead."""
        line = self.file.readline()
        if not line:
            return None
        headers = {}
        while (header := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        return int(line.split()[1]), headers, self.file.read(length)

    def open(self, **changes):
        """Sends the handshake and expects 101. Returns the response's headers."""
        self.send(handshake(**changes))
        status, headers, body = self.answer()
        assert status == 101, (status, body)
        return headers

    def fragment(self):
        """Returns FIN, opcode and payload of the next frame, None when the connection ends."""
        start = self.file.read(2)
        if len(start) < 2:
            return None
        length = start[1] & 127
        if length >= 126:
            length, = struct.unpack("!H" if length == 126 else "!Q", self.file.read(2 if length == 126 else 8))
        return start[0] >> 7 == 1, start[0] & 15, self.file.read(length)

    def frame(self):
        """Returns opcode and payload of the next frame, None when the connection ends."""
        fragment = self.fragment()
        return fragment and fragment[1:]

    def messages(self):
        """Yields opcode and payload until the connection ends: messages, with their fragments joined, and control
        frames, also from between fragments."""
        opcode, pieces = None, []
        while (fragment := self.fragment()) is not None:
            is_final, kind, payload = fragment
            if kind >= 8:
                yield kind, payload
                continue
            opcode = kind or opcode
            pieces.append(payload)
            if is_final:
                yield opcode, b"".join(pieces)
                pieces = []

    def close_code(self):
        """Skips frames up to a close frame and returns its code, None when the connection ends without one."""
        while (one := self.frame()) is not None:
            if one[0] == 8:
                return struct.unpack("!H", one[1][:2])[0] if len(one[1]) >= 2 else 1005
        return None

    def ends(self):
        """Returns whether the server ends the connection without sending anything more."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def request(port, data, **keywords):
    """Returns the response to one request."""
    with RawClient(port, **keywords) as client:
        client.send(data)
        return client.answer()
