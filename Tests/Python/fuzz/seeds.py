"""The data of well-behaved and some ill-behaved clients, in pieces for the mutator."""

import struct
import zlib

from support.raw_client import HANDSHAKE, frame, handshake, head

GET = {"Host": "localhost"}
OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover, permessage-deflate",
    'permessage-deflate; client_max_window_bits="8"; unknown=1, x-webkit-deflate-frame',
]
MANY = {f"X-Header-{number}": "value" * number for number in range(40)}
BROWSER = {
    "User-Agent": "Mozilla/5.0", "Accept": "*/*", "Accept-Language": "zh-CN,zh;q=0.9", "Accept-Encoding": "gzip, br",
    "Cache-Control": "no-cache", "Cookie": "a=b; c=d", "Origin": "http://localhost", "Referer": "http://localhost/",
    "Sec-WebSocket-Extensions": OFFERS[1], "Sec-WebSocket-Protocol": "chat, superchat", "X-Forwarded-For": "10.0.0.1",
}


def deflated(data):
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def with_rsv1(one):
    return bytes([one[0] | 0x40]) + one[1:]


UPGRADES = [handshake(), handshake(Origin="null"), head(HANDSHAKE | BROWSER), head(HANDSHAKE | MANY)]
UPGRADES += [handshake(Sec_WebSocket_Extensions=offer) for offer in OFFERS]
UPGRADES += [head(HANDSHAKE, "GET /tea/%E7%BE%A4?token=1&x=%20&x HTTP/1.1"), handshake(Connection="keep-alive, Upgrade")]
RICH = handshake(Sec_WebSocket_Protocol="chat.confab.v1")
UPGRADES += [RICH, RICH]

REQUESTS = [
    head(GET), head(GET, "GET /index.html?x=1 HTTP/1.1"), head(GET, "HEAD / HTTP/1.1"), head(GET | BROWSER),
    head(GET | {"If-None-Match": '"1"', "Range": "bytes=0-1"}), head(GET, "GET /missing/../x HTTP/1.1"),
    head(GET | {"Connection": "close"}), head({}, "GET / HTTP/1.0"), head(GET | {"Content-Length": "5"}) + b"hello",
    head(GET | {"Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n0\r\n\r\n", head(GET, "POST / HTTP/1.1"),
    handshake(Upgrade="h2c"), handshake(Upgrade="anything"), handshake(Sec_WebSocket_Version="8"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]

FRAMES = [frame(opcode, payload) for opcode, payload in [
    (1, b"hello"), (1, "群聊 👋".encode()), (1, b""), (2, bytes(range(256))), (2, b"x" * 70_000), (1, b"y" * 125),
    (2, b"z" * 126), (9, b""), (9, b"ping" * 30), (10, b"pong"), (10, b""), (3, b"reserved"), (11, b"reserved"),
    (1, b"\xc3\x28"), (9, b"too long" * 20)]]
FRAMES += [
    frame(1, "群".encode()[:2], final=False) + frame(9, b"between") + frame(0, "群".encode()[2:]),
    frame(2, b"a", final=False) + frame(0, b"", final=False) * 10 + frame(0, b"c"),
    frame(1, b"begun", final=False) + frame(1, b"and begun again"), frame(0, b"never begun"),
    with_rsv1(frame(1, deflated(b"hello" * 100))), with_rsv1(frame(2, deflated(bytes(100_000)))),
    with_rsv1(frame(1, deflated(b"hello")[:3], final=False)) + frame(0, deflated(b"hello")[3:]),
    b"\x81\x05hello", b"\x82\xff" + struct.pack("!Q", 1 << 62) + b"\0\0\0\0", b"\x82\xfe\x00\x01\0\0\0\0x",
]
FRAMES += [frame(1, event.encode()) for event in [
    '{"type":"hello","name":"Ann"}', '{"type":"hello","name":"Bob","epoch":"e","after":1,"history":100}',
    '{"type":"say","tag":"t","text":"群聊 👋"}', '{"type":"say","tag":"t2","text":"\\ud83d\\ude00\\n"}', '{"type":"typing"}',
    '{"type":"history","before":9}', '{"type":"history","after":0,"count":1}', '{"type":"rename","name":"Eve"}']]
CLOSES = [frame(8, payload) for payload in [
    b"", b"\x03", struct.pack("!H", 1000), struct.pack("!H", 1001) + "再见".encode(), struct.pack("!H", 1005),
    struct.pack("!H", 4999) + b"r" * 123, struct.pack("!H", 1000) + b"\xff", struct.pack("!H", 65_535)]]

INTERESTING = [
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\r\n", b"\r\n\r\n", b"\n", b":", b",", b";", b" ", b"\t", b"%00", b"%2e%2e/",
    b"/../", b"?", b"&&&", b"\"", b"\x7e\x00\x00", b"\x7f" + b"\xff" * 8, b"\xff" + b"\x00" * 8, b"A" * 300,
    b"B" * 5000, b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x84\xaa", b"\x1b[31m", b"HTTP/1.1", b"Host: b\r\n",
    b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"Sec-WebSocket-Version: 13\r\n", b"Content-Length: 1\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b" continued\r\n", b"Expect: 100-continue\r\n",
]
