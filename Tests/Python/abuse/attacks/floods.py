"""Attacks by number: connections, messages, pings, rooms, and readers that never read."""

import asyncio

from abuse.attack import Case, attack
from abuse.peer import OPEN, Peer
from support.raw_client import HANDSHAKE, frame, head


async def vanish(peer, case):
    await peer.send(case.data)
    peer.reset()
    return "left"


@attack("--limit-loopback")
async def accept_flood(target):
    """Opens connections faster than the accept rate. Most send nothing, all leave at once."""
    cases = [Case("nothing", b"", "left"), Case("a handshake", OPEN, "left")]
    await target.repeat(vanish, cases, at_once=50, rate=3000)


@attack("--limit-loopback", reason="tooManyFromAddress")
async def too_many_of_one_address(target):
    """Opens four hundred connections from one address at a time."""
    async def stay(peer, case):
        if await peer.open():
            await peer.until(lambda: peer.how, 1)
            return "stayed"
    await target.repeat(stay, [Case("stays", None, "stayed", "429")], at_once=400, rate=800)


@attack(reason="tooManyConnections", descriptors=128)
async def churn_at_the_limit(target):
    """Opens and resets connections while the process is out of descriptors."""
    async def stay(peer, case):
        if await peer.open():
            await peer.until(lambda: peer.how, 0.2)
            return "stayed"
    cases = [Case("stays", None, "stayed", "503", "reset")]
    await asyncio.gather(
        target.repeat(stay, cases, at_once=100, rate=300),
        target.repeat(vanish, [Case("vanishes", OPEN, "left", "ConnectionResetError")], at_once=50, rate=500))


@attack("--limit-loopback", "--max-message-rate", 100, reason="messageRate")
async def message_flood(target):
    """Sends messages as fast as possible: the server reads at the rate limit."""
    async def flood(peer, case):
        await peer.open()
        while not target.is_over and not peer.how:
            await peer.send(case.data)
        return None if peer.how else "slowed down"
    cases = [Case("empty", frame(1) * 1000, "slowed down"), Case("short", frame(2, b"x" * 100) * 1000, "slowed down")]
    await target.repeat(flood, cases, at_once=4, rate=100)


@attack("--limit-loopback", reason="pingRate")
async def ping_flood(target):
    """Sends pings and pongs as fast as possible, from clients that read the pongs and from clients that don't."""
    def flood(reads):
        async def attempt(peer, case):
            await peer.open()
            if not reads:
                peer.reading.cancel()
            while not target.is_over and not peer.how:
                await peer.send(case.data)
            return None if peer.how else "slowed down"
        return attempt

    cases = [
        Case("empty", frame(9) * 5000, "slowed down"), Case("full", frame(9, b"p" * 125) * 1000, "slowed down"),
        Case("within a message", frame(1, b"a", final=False) + frame(9, b"p" * 125) * 500 + frame(0), "slowed down"),
        Case("pongs", frame(10, b"p" * 125) * 1000, "slowed down")]
    await asyncio.gather(*(
        target.repeat(flood(reads), cases, at_once=4, rate=100, receive_buffer=8192) for reads in (True, False)))


@attack("--max-rooms", 100, reason="rejectedByHandler")
async def rooms(target):
    """Opens a room with a long name for each connection."""
    numbers = iter(range(1 << 30))

    async def enter(peer, case):
        if await peer.open(head(HANDSHAKE, f"GET /{next(numbers)}{'x' * 900} HTTP/1.1")):
            await peer.send(frame(1, b"anyone?"))
            await peer.until(lambda: peer.how, 1)
            return "stayed"
    await target.repeat(enter, [Case("a room", None, "stayed", "503")], at_once=600, rate=800)


@attack("--send-buffer", "64KiB", "--max-backlog", "256KiB", "--close-timeout", 1, reason="tooFarBehind")
async def never_read(target):
    """Has two hundred clients that never read while others send 2 MB a second."""
    readers = [Peer(target.port, reads=False, receive_buffer=4096) for _ in range(200)]
    for reader in readers:
        await reader.connect()
        await reader.send(OPEN)

    async def speak(peer, case):
        await peer.open()
        await peer.send(frame(2, b"x" * 20_000))
        await peer.until(lambda: peer.answers.frames > 0)
        return "heard" if peer.answers.frames else None
    # At least 800 kB, so that all readers exceed their backlog however slow the machine is.
    await target.repeat(speak, [Case("a speaker", None, "heard", "1013")] * 40, at_once=10, rate=100)
    # The readers read now. They find what was sent before 1013, or that the server has dropped the connection.
    for reader in readers:
        reader.reading = asyncio.create_task(reader.read())
    for reader in readers:
        target.note(Case("a reader", None, "1013", "101 end", "101 reset", "reset"), await reader.ending())
        reader.close()
