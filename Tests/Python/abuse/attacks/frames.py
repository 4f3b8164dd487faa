"""Attacks with frames that the protocol or the limits forbid."""

import random

from abuse.attack import Case, attack
from support.raw_client import frame

MASK = b"\x12\x34\x56\x78"
BYE = frame(8, b"\x03\xe8")


async def send(peer, case):
    """Opens a connection, sends, and closes: a server that accepts the data answers with 1000."""
    await peer.open()
    await peer.send(case.data)
    await peer.send(BYE)


def claim(first, length):
    """Returns a frame whose length field claims more than the payload has."""
    return bytes([first, 0xff]) + length.to_bytes(8) + MASK + b"start"


@attack(reason="messageTooBig")
async def oversized(target):
    """Sends frames and messages over the limit: whole, claimed and in fragments."""
    half = frame(2, bytes(600_000), final=False)
    await target.repeat(send, [
        Case("a byte too many, claimed", claim(0x82, (1 << 20) + 1), "1009"),
        Case("a TB, claimed", claim(0x82, 1 << 40), "1009"),
        Case("the most, claimed", claim(0x82, (1 << 63) - 1), "1009"),
        Case("more than there is", claim(0x82, (1 << 64) - 1), "1009", "1002", "101 end", "101 reset"),
        Case("a large continuation, claimed", frame(2, b"a", final=False) + claim(0x80, 1 << 40), "1009"),
        Case("2 MB", frame(2, bytes(1 << 21)), "1009", "101 reset"),
        Case("two halves", half + frame(0, bytes(600_000)), "1009", "101 reset"),
        Case("fragments without end", frame(1, b"a" * 60_000, final=False) + frame(0, b"a" * 60_000, final=False) * 20,
             "1009", "101 reset"),
        Case("a large ping, claimed", claim(0x89, 1 << 40), "1002", "101 end", "101 reset"),
    ], at_once=4, rate=40)


# libwebsockets drops some of these connections without a close frame.
DROPPED = ["101 end", "101 reset"]
MALFORMED = [
    *[Case(f"RSV{7 - bit}", bytes([0x81 | 1 << bit, 0x80]) + MASK, "1002", *DROPPED) for bit in (4, 5, 6)],
    *[Case(f"opcode {opcode}", frame(opcode, b"x"), "1002", *DROPPED) for opcode in (3, 7, 11, 15)],
    Case("a continuation of nothing", frame(0, b"x"), "1002", *DROPPED),
    Case("a text within a message", frame(1, b"a", final=False) + frame(1, b"b"), "1002", *DROPPED),
    Case("a fragmented ping", frame(9, b"a", final=False), "1002", *DROPPED),
    Case("a fragmented close", frame(8, b"\x03\xe8", final=False), "1002", *DROPPED),
    Case("a ping of 126 bytes", frame(9, b"a" * 126), "1002", *DROPPED),
    Case("a close of 126 bytes", frame(8, b"\x03\xe8" + b"a" * 124), "1002", *DROPPED),
    Case("a frame without mask", b"\x81\x05hello", "1002", "1000", *DROPPED),
    Case("a length that is not the shortest", b"\x81\xfe\x00\x05" + MASK + b"hello", "1002", "1000", "1007", *DROPPED),
    Case("a close of one byte", frame(8, b"\x03"), "1002", *DROPPED),
    *[Case(f"a close with {code}", frame(8, code.to_bytes(2)), "1002", *DROPPED)
      for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)],
    Case("a close with a bad reason", frame(8, b"\x03\xe8\xff\xfe"), "1007", *DROPPED),
    Case("two closes", BYE + BYE, "1000"),
    Case("a text behind the close", BYE + frame(1, b"late") * 1000, "1000", *DROPPED),
]


@attack(reason="protocolError")
async def malformed(target):
    """Sends every kind of frame that RFC 6455 forbids."""
    await target.repeat(send, MALFORMED, at_once=10, rate=300)


@attack(reason="protocolError")
async def garbage(target):
    """Sends random bytes, and random frames of valid and invalid kinds."""
    chance = random.Random(1)

    def noise():
        if chance.random() < 0.3:
            return chance.randbytes(chance.randrange(1, 5000))
        return b"".join(
            frame(chance.choice([0, 0, 1, 2, 8, 9, 10, 12]), chance.randbytes(chance.choice([0, 1, 5, 125, 300])),
                  final=chance.random() < 0.7)
            for _ in range(chance.randrange(1, 20)))

    async def vary(peer, case):
        await peer.open()
        await peer.send(noise())
        # The last frame may claim more than was sent: the half-close ends it.
        peer.half_close()
    endings = {"1000", "1002", "1005", "1007", "1009", "101 end", "101 reset", *map(str, range(3000, 5000))}
    await target.repeat(vary, [Case("noise", None, *endings)], at_once=10, rate=300)


@attack(reason="tooManyFragments")
async def fragments(target):
    """Sends a message of a million empty fragments, and one of a million one-byte fragments."""
    await target.repeat(send, [
        Case("a million empty ones", frame(1, final=False) + frame(0, final=False) * 1_000_000, "1008", "101 reset"),
        Case("as many of a byte", frame(1, final=False) + frame(0, b"a", final=False) * 1_000_000, "1008", "101 reset"),
    ], at_once=1, rate=2)


@attack(reason="notUtf8")
async def bad_utf8(target):
    """Sends text that is not UTF-8, in one frame and split within characters."""
    bad = {
        "an overlong": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80", "beyond Unicode": b"\xf4\x90\x80\x80",
        "a stray": b"\x80", "a cut": b"\xe2\x82", "a byte": b"\xff", "a late one": b"a" * 60_000 + b"\xfe",
    }
    cases = [Case(name, frame(1, data), "1007", "101 reset") for name, data in bad.items()]
    cases += [
        Case(f"{name}, in fragments",
             frame(1, final=False) + b"".join(frame(0, bytes([byte]), final=False) for byte in data[-9:]) + frame(0),
             "1007", "101 reset")
        for name, data in bad.items()]
    await target.repeat(send, cases, at_once=10, rate=300)


@attack()
async def dribbled_frames(target):
    """Sends three hundred messages at one byte a second."""
    async def dribble(peer, case):
        await peer.open()
        for byte in case.data:
            await peer.send(bytes([byte]))
            if await peer.until(lambda: peer.how, 1) or target.is_over:
                break
        return "left" if not peer.how else None
    await target.repeat(
        dribble, [Case("a dribble", frame(1, b"a" * 100), "left")], at_once=300, rate=600)


@attack("--limit-loopback", each=1 << 20)
async def hoards(target):
    """Begins messages of one byte below the limit and never finishes them: as many as an address may have."""
    whole = frame(2, bytes((1 << 20) - 2), final=False)

    async def hoard(peer, case):
        if await peer.open():
            await peer.send(case.data)
            await peer.until(lambda: peer.how or target.is_over, 1)
            return None if peer.how else "left"
    await target.repeat(hoard, [Case("a hoard", whole, "left")], at_once=60, rate=60)
