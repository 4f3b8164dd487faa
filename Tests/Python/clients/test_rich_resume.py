"""Resuming without a gap, by the rich protocol."""

import asyncio
import random
import time

import pytest

from support.confab_process import confab
from support.coroutines import go
from support.rich_client import fill, ids, open_rich, rich


def test_resume_delivers_missed_messages(server):
    async def main():
        async with rich(server, "Bob") as bob:
            async with rich(server, "Ann") as ann:
                await ann.say("one")
                epoch = ann.welcome["epoch"]
            for number in range(5):
                await bob.say(f"meanwhile {number}")
            for after, expected in ((1, [2, 3, 4, 5, 6]), (6, []), (0, [1, 2, 3, 4, 5, 6])):
                async with rich(server, "Ann", epoch=epoch, after=after, history=2) as ann:
                    assert ids(ann.welcome) == expected and not ann.welcome["gap"] and not ann.welcome["more"]
    go(main())


@pytest.mark.slow
def test_failed_resume_reports_a_gap():
    async def main(server):
        await fill(server, "", 300)
        async with rich(server, "Bob") as bob:
            epoch = bob.welcome["epoch"]
        for epoch, after, gap, expected in (
            ("another", 299, True, range(251, 301)), (epoch, 99, True, range(251, 301)), (epoch, 301, True, range(251, 301)),
            (epoch, 2**63 - 1, True, range(251, 301)), (epoch, 100, False, range(101, 201)),
            (epoch, 250, False, range(251, 301)), (epoch, 300, False, []),
        ):
            async with rich(server, "Ann", epoch=epoch, after=after) as ann:
                assert ann.welcome["gap"] == gap and ids(ann.welcome) == list(expected)
                assert ann.welcome["more"] == (after == 100)
                if ann.welcome["more"]:
                    await ann.send("history", after=200, count=100)
                    assert ids(await ann.until("history")) == list(range(201, 301))
    with confab("--max-history-messages", 200) as server:
        go(main(server))


class Visitor:
    """A client that reconnects repeatedly and misses no message."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.session = self.epoch = None
        self.ids, self.tags = [], []

    def take(self, message):
        assert message["id"] == self.ids[-1] + 1 if self.ids else True, (message["id"], self.ids[-1])
        self.ids.append(message["id"])
        self.tags.append(message.get("tag"))

    async def visit(self, count):
        """Resumes and stays until `count` more messages have arrived."""
        members = {"epoch": self.epoch, "after": self.ids[-1], "session": self.session} if self.ids else {"history": 1}
        async with open_rich(self.server) as client:
            welcome = await client.hello(self.name, **members)
            assert not welcome["gap"]
            self.session, self.epoch = welcome["session"], welcome["epoch"]
            # Live messages are kept back until the pages before them have arrived.
            for message in welcome["messages"]:
                self.take(message)
            live, more = [], welcome["more"]
            while more:
                await client.send("history", after=self.ids[-1], count=100)
                while (event := await client.next())["type"] != "history":
                    if event["type"] == "message":
                        live.append(event)
                for message in event["messages"]:
                    if message["id"] <= welcome["last"]:
                        self.take(message)
                more = self.ids[-1] < welcome["last"]
            for message in live:
                self.take(message)
            target = len(self.ids) + count
            while len(self.ids) < target:
                self.take(await client.until("message"))
            if random.random() < 0.7:
                client.socket.transport.abort()


@pytest.mark.slow
@pytest.mark.parametrize("loops", [1, 2])
def test_resume_is_exactly_once_while_others_publish(loops):
    async def talk(server, number, is_over):
        async with open_rich(server) as client:
            await client.hello(f"talker {number}", history=0)
            count = 0
            while not is_over.is_set():
                for _ in range(5):
                    count += 1
                    await client.send("say", tag=f"{number}-{count}", text="x" * random.choice((1, 50, 500)))
                await client.until("message", tag=f"{number}-{count}")

    async def main(server):
        is_over = asyncio.Event()
        visitors = [Visitor(server, f"visitor {number}") for number in range(4)]

        async def visits(visitor):
            for _ in range(10):
                await visitor.visit(random.choice((0, 1, 5, 40)))

        async with asyncio.TaskGroup() as group:
            talkers = [group.create_task(talk(server, number, is_over)) for number in range(3)]
            await asyncio.gather(*(visits(visitor) for visitor in visitors))
            is_over.set()
            await asyncio.gather(*talkers)
        for visitor in visitors:
            assert visitor.ids == list(range(visitor.ids[0], visitor.ids[-1] + 1))
            for number in range(3):
                own = [int(tag.split("-")[1]) for tag in visitor.tags if tag and tag.startswith(f"{number}-")]
                assert own == list(range(own[0], own[0] + len(own))) if own else True

    with confab("--loops", loops, "--max-event-rate", 0, "--max-history-messages", 100_000, "--max-history-bytes", "64MiB",
                "--max-backlog", "64MiB") as server:
        go(main(server), 120)


@pytest.mark.slow
def test_resume_ahead_of_the_server_waits(server):
    async def main():
        async with rich(server, "Ann") as ann, open_rich(server) as bob:
            last = (await ann.say("1"))["id"]
            hello = {"name": "Bob", "epoch": ann.welcome["epoch"], "after": last + 2}
            await bob.send("hello", **hello)
            # Events behind the hello stay in order.
            await bob.send("say", tag="b", text="of Bob")
            await ann.say("2")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(bob.next(), 0.5)
            await ann.say("3")
            welcome = await bob.until("welcome")
            assert not welcome["gap"] and welcome["messages"] == [] and welcome["last"] == last + 2
            assert (await bob.until("message"))["text"] == "of Bob"
            async with open_rich(server) as cid:
                start = time.monotonic()
                await cid.send("hello", name="Cid", epoch=hello["epoch"], after=1 << 40)
                welcome = await cid.until("welcome")
                assert welcome["gap"] and 4 < time.monotonic() - start < 9
            async with open_rich(server) as dan:
                await dan.send("hello", name="Dan", epoch=hello["epoch"], after=1 << 40)
            await ann.say("unharmed")
    go(main())
