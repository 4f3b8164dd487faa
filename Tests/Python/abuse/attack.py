"""The parts of an attack: a function, the server's options and the expected endings."""

import asyncio
import collections
import dataclasses
import itertools
import time
import typing

from abuse.peer import Peer

ATTACKS = {}


@dataclasses.dataclass
class Attack:
    name: str
    run: typing.Callable
    options: tuple
    reason: str | None
    descriptors: int | None
    each: int
    is_encrypted: bool


def attack(*options, reason=None, descriptors=None, each=16 << 10, is_encrypted=False):
    """Registers a function as an attack on a server with these options and at most `descriptors` file descriptors.

    The server's log must name `reason`; otherwise the attack has missed its limit. `each` is the memory that a
    connection may take, in bytes: by default the request header section during the handshake. With `is_encrypted`
    the server and its victims use TLS.
    """
    def register(run):
        name = run.__name__.replace("_", "-")
        ATTACKS[name] = Attack(name, run, options, reason, descriptors, each, is_encrypted)
        return run
    return register


@dataclasses.dataclass
class Case:
    """One attempt and its expected endings: a status, a close code, or how the connection ended."""
    name: str
    data: typing.Any
    endings: set

    def __init__(self, name, data, *endings):
        self.name, self.data, self.endings = name, data, set(endings)


class Target:
    """A server under attack, until the time is over."""

    def __init__(self, port, seconds):
        self.port = port
        self.until = time.monotonic() + seconds
        self.tally = collections.Counter()
        self.surprises = collections.Counter()
        # The number of open connections now, and the highest so far.
        self.open = self.most = 0

    @property
    def is_over(self):
        return time.monotonic() > self.until

    def note(self, case, ending):
        self.tally[ending] += 1
        if ending not in case.endings:
            self.surprises[f"{case.name}: {ending}"] += 1

    async def repeat(self, attempt, cases, *, at_once, rate, **options):
        """Repeats all cases, each on a new connection: at most `at_once` at a time and `rate` a second.

        An attempt may return its own ending. Otherwise the end of the connection is awaited.
        """
        cases = list(cases)
        ways = itertools.chain(cases, itertools.takewhile(lambda _: not self.is_over, itertools.cycle(cases)))
        start = time.monotonic()
        turns = itertools.count()

        async def work():
            for case in ways:
                await asyncio.sleep(max(0, start + next(turns) / rate - time.monotonic()))
                await self.one(attempt, case, **options)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())

    async def one(self, attempt, case, **options):
        peer = Peer(self.port, **options)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await peer.connect()
            self.note(case, await attempt(peer, case) or await peer.ending())
        except OSError as error:
            self.note(case, type(error).__name__)
        finally:
            self.open -= 1
            peer.close()
