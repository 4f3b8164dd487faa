"""Attacks on a server that speaks TLS, before and within its handshake."""

import asyncio
import ssl

from abuse.attack import Case, attack
from abuse.peer import OPEN
from support.raw_client import head

GET = head({"Host": "localhost"})


class Handshake:
    """The client side of TLS in memory. The caller sends its bytes."""

    def __init__(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.side = context.wrap_bio(self.arrived, self.leaving, server_hostname="localhost")

    def step(self, data=b""):
        """Returns the bytes to send next, and whether the handshake is complete."""
        self.arrived.write(data)
        try:
            self.side.do_handshake()
            return self.leaving.read(), True
        except ssl.SSLWantReadError:
            return self.leaving.read(), False

    def encrypted(self, data):
        self.side.write(data)
        return self.leaving.read()


HELLO = Handshake().step()[0]


async def send(peer, case):
    await peer.send(case.data)


@attack("--handshake-timeout", 1, reason="notUnderstood", is_encrypted=True)
async def tls_garbage(target):
    """Sends data that is not a complete TLS handshake to the encrypted port."""
    gone = {"end", "reset"}
    await target.repeat(send, [
        Case("a page without TLS", GET, "308"),
        Case("a WebSocket without TLS", OPEN, "400"),
        Case("nothing", b"", *gone),
        Case("a byte", HELLO[:1], *gone),
        Case("half a hello", HELLO[:len(HELLO) // 2], *gone),
        Case("a hello, and nothing more", HELLO, *gone),
        Case("two hellos", HELLO * 2, *gone),
        Case("a hello, then garbage", HELLO + b"\xff" * 5000, *gone),
        Case("a record of no kind", b"\x16\x03\x01\xff\xff" + b"\x00" * 70_000, *gone),
        Case("empty records", b"\x16\x03\x01\x00\x00" * 5000, *gone),
        Case("alerts", b"\x15\x03\x01\x00\x02\x01\x00" * 5000, *gone),
    ], at_once=40, rate=100)


@attack("--handshake-timeout", 1, reason="handshakeTimeout", each=64 << 10, is_encrypted=True)
async def tls_handshakes(target):
    """Completes TLS handshakes, which cost the server more than the client, then sends nothing or garbage."""
    async def shake(peer, case):
        loop = asyncio.get_running_loop()
        handshake = Handshake()
        data, is_over = handshake.step()
        try:
            async with asyncio.timeout(8):
                while True:
                    await loop.sock_sendall(peer.socket, data)
                    if is_over:
                        break
                    data, is_over = handshake.step(await loop.sock_recv(peer.socket, 1 << 16))
                await loop.sock_sendall(peer.socket, case.data(handshake))
                while await loop.sock_recv(peer.socket, 1 << 16):
                    pass
        except ConnectionError:
            return "reset"
        except TimeoutError:
            return "open"
        return "end"

    await target.repeat(shake, [
        Case("and nothing more", lambda handshake: b"", "end", "reset"),
        Case("half a request", lambda handshake: handshake.encrypted(OPEN[:50]), "end", "reset"),
        Case("a record that is cut", lambda handshake: handshake.encrypted(OPEN)[:40], "end", "reset"),
        Case("a record that is wrong", lambda handshake: handshake.encrypted(OPEN)[:-1] + b"x", "end", "reset"),
        Case("plain text", lambda handshake: OPEN, "end", "reset"),
        Case("a request that is rejected", lambda handshake: handshake.encrypted(head({"Host": "a"}, "BREW / HTTP/1.1")),
             "end", "reset"),
    ], at_once=30, rate=60, reads=False)
