"""What an attack is: a function, the server that it is for, and how it is to end."""

import asyncio
import collections
import dataclasses
import itertools
import time
import typing

from peer import Peer

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
    """Registers a function as an attack on a server with these options, and at most so many descriptors.

    The server's log is to give the reason, or the attack has not met with the limit that it is for. Each connection takes
    so many bytes: for its head while it shakes hands, or more. An encrypted server speaks TLS, and so do its victims.
    """
    def register(run):
        name = run.__name__.replace("_", "-")
        ATTACKS[name] = Attack(name, run, options, reason, descriptors, each, is_encrypted)
        return run
    return register


@dataclasses.dataclass
class Case:
    """One way to attack, and the endings that are right: a status, a close code, or how the connection ended."""
    name: str
    data: typing.Any
    endings: set

    def __init__(self, name, data, *endings):
        self.name, self.data, self.endings = name, data, set(endings)


class Target:
    """A server under attack, until it is time to stop."""

    def __init__(self, port, seconds):
        self.port = port
        self.until = time.monotonic() + seconds
        self.tally = collections.Counter()
        self.surprises = collections.Counter()
        # How many connections there are, and were at a time.
        self.open = self.most = 0

    @property
    def is_over(self):
        return time.monotonic() > self.until

    def note(self, case, ending):
        self.tally[ending] += 1
        if ending not in case.endings:
            self.surprises[f"{case.name}: {ending}"] += 1

    async def repeat(self, attempt, cases, *, at_once, rate, **options):
        """Tries all cases over and over, each on a new connection: so many at once and a second at the most.

        An attempt is to return what the server does not tell; otherwise the end of the connection is awaited.
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
