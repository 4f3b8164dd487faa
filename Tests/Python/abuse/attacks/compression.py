"""Attacks with compressed messages, where the server negotiates permessage-deflate (RFC 7692)."""

import zlib

from abuse.attack import Case, attack
from support.confab_process import run
from support.raw_client import HANDSHAKE, frame, head

OFFER = head(HANDSHAKE | {"Sec-WebSocket-Extensions": "permessage-deflate"}, "GET /attacked HTTP/1.1")
BYE = frame(8, b"\x03\xe8")
MASK = b"\x12\x34\x56\x78"


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(payload, *, pieces=1, opcode=2):
    """Returns a message with RSV1 whose frames carry `payload` unchanged."""
    size = -(-len(payload) // pieces)
    parts = [payload[at:at + size] for at in range(0, len(payload), size)]
    frames = [bytearray(frame(0 if index else opcode, part, final=index == len(parts) - 1))
              for index, part in enumerate(parts)]
    frames[0][0] |= 0x40
    return b"".join(map(bytes, frames))


@attack(*(["--compression"] if "--compression" in run("serve", "--help").stdout else []))
async def compression_bombs(target):
    """Sends messages that are small only on the wire, and invalid deflate streams."""
    async def send(peer, case):
        if not await peer.open(OFFER):
            return None
        if b"permessage-deflate" not in peer.answers.headers:
            return "not offered"
        await peer.send(case.data)
        await peer.send(BYE)
    bomb = deflate(bytes(200 << 20))
    ended = ["1002", "1007", "101 end", "101 reset", "not offered"]
    await target.repeat(send, [
        Case("200 MB whole", compressed(bomb), "1009", "101 reset", "not offered"),
        Case("200 MB in fragments", compressed(bomb, pieces=500), "1009", "101 reset", "not offered"),
        Case("200 MB of text", compressed(deflate(b"a" * (200 << 20)), opcode=1), "1009", "101 reset", "not offered"),
        Case("a byte too many", compressed(deflate(bytes((1 << 20) + 1))), "1009", "101 reset", "not offered"),
        Case("empty blocks", compressed(b"\x00\x00\x00\xff\xff" * 50_000), "1000", "1009", *ended),
        Case("empty fragments", compressed(deflate(b"x")[:1], opcode=1)[:1].replace(b"\xc1", b"\x41") + b"\x80" + MASK
             + frame(0, final=False) * 100_000, "1008", "1009", *ended),
        Case("no deflate", compressed(b"\xff" * 1000), *ended),
        Case("a reserved block", compressed(b"\x07\x00"), *ended),
        Case("a last block", compressed(b"\x01\x05\x00\xfa\xffhello"), "1000", *ended),
        Case("a cut stream", compressed(deflate(bytes(5000))[:7]), "1000", *ended),
    ], at_once=2, rate=20)
