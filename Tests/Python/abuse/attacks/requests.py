"""Attacks that never become a WebSocket connection, or should not."""

import asyncio
import time

from abuse.attack import Case, attack
from abuse.peer import OPEN
from support.raw_client import frame, handshake, head

GET = head({"Host": "localhost"})
HOST = "GET / HTTP/1.1\r\nHost: localhost\r\n"


@attack()
async def calm(target):
    """Does not attack: measures the victims' delays without load."""
    await asyncio.sleep(target.until - time.monotonic())


@attack("--handshake-timeout", 2, reason="handshakeTimeout")
async def slow_loris(target):
    """Sends a request on a thousand sockets, one byte a second."""
    async def dribble(peer, case):
        for byte in case.data:
            await peer.send(bytes([byte]))
            if await peer.until(lambda: peer.how, 1) or target.is_over:
                return
    await target.repeat(dribble, [Case("dribble", OPEN, "408")], at_once=1000, rate=1000)


@attack("--handshake-timeout", 2, reason="handshakeTimeout")
async def silence(target):
    """Opens five hundred sockets and sends nothing."""
    async def wait(peer, case):
        pass
    await target.repeat(wait, [Case("silence", None, "408")], at_once=500, rate=500)


async def send(peer, case):
    await peer.send(case.data)


@attack("--handshake-timeout", 1, reason="headersTooLarge")
async def header_flood(target):
    """Sends request header sections that are too large in every way."""
    text = HOST.encode()
    await target.repeat(send, [
        Case("a header of 9 KB", text + b"Cookie: " + b"x" * 9_000 + b"\r\n\r\n", "431"),
        Case("a header of 1 MB", text + b"Cookie: " + b"x" * 1_000_000 + b"\r\n\r\n", "431", "end", "reset"),
        Case("a header without end", text + b"X: " + b"x" * 100_000, "408", "431", "end", "reset"),
        Case("a name without end", text + b"x" * 100_000, "408", "431", "end", "reset"),
        Case("a name of every byte", text + bytes(range(128, 256)) * 99, "400", "408", "431", "end", "reset"),
        Case("5,000 headers", text + b"X-A: b\r\n" * 5_000 + b"\r\n", "431", "200", "end", "reset"),
        Case("5,000 cookies", text + b"Cookie: a\r\n" * 5_000 + b"\r\n", "431", "end", "reset"),
        Case("5,000 empty lines", b"\r\n" * 5_000, "431"),
        Case("a path of 2 KB", head({"Host": "a"}, f"GET /{'x' * 2000} HTTP/1.1"), "414"),
        Case("a path of 1 MB", head({"Host": "a"}, f"GET /{'x' * 1_000_000} HTTP/1.1"), "414", "431", "end", "reset"),
        Case("a query of 6 KB", head({"Host": "a"}, f"GET /?{'a=b&' * 1500} HTTP/1.1"), "200", "414", "431", "end"),
        Case("2,000 folders up", head({"Host": "a"}, f"GET /{'../' * 2000} HTTP/1.1"), "200"),
        Case("percent signs", head({"Host": "a"}, f"GET /{'%' * 900} HTTP/1.1"), "400", "403", "404", "end"),
    ], at_once=8, rate=80)


@attack("--handshake-timeout", 1, reason="bodyNotAllowed")
async def pipelined(target):
    """Sends more data behind a request before it is answered."""
    hello = frame(1, b"too early")
    close = frame(8, b"\x03\xe8")
    await target.repeat(send, [
        Case("a request, then garbage", GET + b"\x00\xff garbage \r\n\r\n" * 20, "400", "405", "408", "end", "reset"),
        Case("frames before the 101", OPEN + hello + close, "1000"),
        Case("1,000 frames before the 101", OPEN + hello * 1000 + close, "1000"),
        Case("an oversized frame before the 101", OPEN + b"\x82\xff" + b"\x7f" * 13, "1002", "1009"),
        Case("garbage before the 101", OPEN + b"\xff" * 5000, "1002", "101 end", "101 reset"),
        Case("the handshake twice", OPEN + OPEN, "1002", "101 end", "101 reset"),
        Case("two requests", GET * 2, "200"),
        Case("two long requests", head({"Host": "a", "Cookie": "x" * 2000}) * 2, "200"),
        Case("100 requests", GET * 100, "200"),
        Case("a request, then the handshake", GET + OPEN + close, "1000"),
        Case("two lines of a request", b"GET / HTTP/1.1\r\n" + GET, "400", "end", "reset"),
        Case("a body, then a request", HOST.encode() + b"Content-Length: 9\r\n\r\n" + b"a" * 9 + GET, "413"),
        Case("chunks, then a request", HOST.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET, "413"),
        Case("a smuggled upgrade", handshake(Content_Length="500") + OPEN, "413"),
    ], at_once=8, rate=100)


@attack("--handshake-timeout", 1, reason="methodNotAllowed")
async def other_protocols(target):
    """Speaks TLS, HTTP/2 and other protocols on the plain port."""
    hello = (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2)[:517]
    await target.repeat(send, [
        Case("a TLS hello", hello, "400"),
        Case("a TLS hello, then more", hello * 100, "400"),
        Case("a record of TLS that is cut", hello[:7], "400"),
        Case("SSL 2", b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + b"\x01" * 37, "400"),
        Case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "405", "reset"),
        Case("HTTP/2 by upgrade", handshake(Upgrade="h2c", HTTP2_Settings="AAMAAABkAAQAAP__"), "200"),
        Case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", "400"),
        Case("zeros", bytes(10_000), "400"),
        Case("PROXY", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET, "400"),
    ], at_once=8, rate=200)


@attack("--handshake-timeout", 1)
async def unread_pages(target):
    """Sends hundreds of requests on a connection that never reads a response."""
    async def ask(peer, case):
        await peer.send(case.data)
        await peer.until(lambda: False, 1)
        return "left"
    requests = head({"Host": "a", "Cookie": "x" * 2000}) * 500
    await target.repeat(
        ask, [Case("requests", requests, "left")], at_once=30, rate=30, reads=False, receive_buffer=4096)
