"""Attacks that leave: RST and half-close in each state of a connection."""

from abuse.attack import Case, attack
from abuse.peer import OPEN
from support.raw_client import frame, head

MESSAGE = frame(1, b"x" * 50_000)
BYE = frame(8, b"\x03\xe8")
BAD = frame(3)

# The steps before the client leaves: bytes to send, or the number of statuses and close codes to wait for.
STATES = {
    "before a request": [b""],
    "within a request": [OPEN[:50]],
    "before the answer": [OPEN],
    "after a page": [head({"Host": "localhost"}), 1],
    "after the 101": [OPEN, 1],
    "within a header": [OPEN, 1, MESSAGE[:3]],
    "within a frame": [OPEN, 1, MESSAGE[:30_000]],
    "within a message": [OPEN, 1, frame(1, b"x" * 30_000, final=False)],
    "within a ping": [OPEN, 1, frame(9, b"x" * 125)[:60]],
    "behind messages": [OPEN, 1, MESSAGE * 3],
    "behind pings": [OPEN, 1, frame(9, b"x" * 125) * 50],
    "within a close": [OPEN, 1, BYE[:3]],
    "behind a close": [OPEN, 1, BYE],
    "behind the answer to a close": [OPEN, 1, BYE, 2],
    "while the server closes": [OPEN, 1, BAD],
    "behind the server's close": [OPEN, 1, BAD, 2],
    "within the answer to it": [OPEN, 1, BAD, 2, BYE[:3]],
}


async def go(peer, steps):
    for step in steps:
        if isinstance(step, bytes):
            await peer.send(step)
        else:
            await peer.until(lambda: len(peer.answers.told) >= step)


@attack("--handshake-timeout", 1)
async def resets(target):
    """Sends RST in each state."""
    async def reset(peer, case):
        await go(peer, case.data)
        peer.reset()
        return "left"
    await target.repeat(reset, [Case(name, steps, "left") for name, steps in STATES.items()], at_once=10, rate=300)


@attack("--handshake-timeout", 1, reason="protocolError")
async def half_closes(target):
    """Half-closes in each state: the server must end the connection without waiting."""
    async def half_close(peer, case):
        await go(peer, case.data)
        peer.half_close()
    endings = ["200", "408", "1000", "1002", "101 end", "101 reset", "end", "reset"]
    await target.repeat(
        half_close, [Case(name, steps, *endings) for name, steps in STATES.items()], at_once=10, rate=300)
