"""Presence and typing, by the rich protocol."""

import asyncio
import contextlib
import time

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.rich_client import open_rich, rich


class Crowd:
    """The names in a room, as one client knows them."""

    def __init__(self, client):
        self.client = client
        self.names, self.count = set(client.welcome["people"]), client.welcome["count"]

    async def hear(self):
        event = await self.client.until("presence")
        lists = [*event["joined"], *event["left"], *(name for pair in event["renamed"] for name in pair)]
        assert len(lists) == len(set(lists)), "a name is in one list at most"
        self.names |= set(event["joined"])
        self.names -= set(event["left"])
        for old, new in event["renamed"]:
            self.names = self.names - {old} | {new}
        self.count = event["count"]
        return event

    async def until(self, names, count=None):
        while self.names != set(names) or self.count != (count or len(names)):
            await self.hear()


def test_presence_reports_joins_leaves_and_renames(server):
    async def main():
        async with rich(server, "Ann") as ann:
            crowd = Crowd(ann)
            async with rich(server, "Bob") as bob:
                assert sorted(bob.welcome["people"]) == ["Ann", "Bob"]
                await crowd.until(["Ann", "Bob"])
                async with websockets.connect(server.ws):
                    await crowd.until(["Ann", "Bob"], 3)
                    async with open_rich(server):
                        # A client without a name is not present.
                        await bob.send("rename", name="Eve")
                        await crowd.until(["Ann", "Eve"], 3)
                await crowd.until(["Ann", "Eve"], 2)
            await crowd.until(["Ann"])
    go(main())


def test_presence_reports_leave_of_dropped_connection(server):
    async def main():
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            crowd = Crowd(ann)
            await crowd.until(["Ann", "Bob"])
            bob.socket.transport.abort()
            await crowd.until(["Ann"])
    go(main())


@pytest.mark.slow
@pytest.mark.parametrize("loops", [1, 2])
def test_three_hundred_joins_are_merged_into_few_events(loops):
    names = [f"guest {number}" for number in range(300)]

    async def main(server):
        async with rich(server, "Ann") as ann, contextlib.AsyncExitStack() as stack:
            crowd = Crowd(ann)
            start = time.monotonic()
            clients = [await stack.enter_async_context(open_rich(server)) for _ in names]
            await asyncio.gather(*(client.hello(name, history=0) for client, name in zip(clients, names)))
            events = 0
            while crowd.names != {"Ann", *names}:
                await crowd.hear()
                events += 1
            assert events <= 2 + 5 * (time.monotonic() - start)
            assert crowd.count == 301
            # Later clients get at most 200 names in the welcome, and the total number.
            async with rich(server, "late") as late:
                assert len(set(late.welcome["people"])) == 200 and late.welcome["count"] == 302
                start, events = time.monotonic(), 0
                await asyncio.gather(*(client.socket.close() for client in clients))
                while crowd.names != {"Ann", "late"} or crowd.count != 2:
                    await crowd.hear()
                    events += 1
                assert events <= 2 + 5 * (time.monotonic() - start)

    with confab("--loops", loops, "--max-connections-per-address", 0) as server:
        go(main(server), seconds=180)


def test_presence_reports_final_state_of_flapping_members():
    async def main(server):
        async with rich(server, "Ann") as ann:
            crowd = Crowd(ann)

            async def flap(number):
                for round in range(10):
                    while True:
                        async with open_rich(server) as client:
                            await client.send("hello", name=f"flap {number}")
                            # The name is free once the server knows that the previous client has left.
                            if (await client.next())["type"] == "welcome":
                                await client.send("rename", name=f"flop {number}")
                                await client.until("renamed")
                                break

            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    group.create_task(flap(number))
            async with rich(server, "Bob"):
                await crowd.until(["Ann", "Bob"])
    with confab("--loops", 2) as server:
        go(main(server))


def test_typing_events_are_rate_limited(server):
    async def main():
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob, websockets.connect(server.ws) as page:
            for _ in range(5):
                await ann.send("typing")
            await bob.send("typing")
            await bob.until("typing", name="Bob")
            await ann.say("done")
            await bob.until("message")
            assert [event["name"] for event in bob.heard if event["type"] == "typing"].count("Ann") == 1
            start = time.monotonic()
            while True:
                await ann.send("typing")
                await ann.say("again")
                await bob.until("message")
                if [event["name"] for event in bob.heard if event["type"] == "typing"].count("Ann") == 2:
                    break
                await asyncio.sleep(0.2)
            assert time.monotonic() - start > 1
            assert (await page.recv()).endswith("done")
    go(main())
