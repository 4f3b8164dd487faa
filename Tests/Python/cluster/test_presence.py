"""Presence in a room on several servers."""

import asyncio
import contextlib
import time

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.nats_process import broker
from support.rich_client import open_rich, rich


@pytest.fixture
def servers():
    with broker() as one, confab("--nats", one.url) as first, confab("--nats", one.url, "--loops", 2) as second:
        yield first, second


async def until_present(client, names, count):
    """Waits until the presence events have these names and this count."""
    present, number = set(client.welcome["people"]), client.welcome["count"]
    while (present, number) != (names, count):
        event = await client.until("presence")
        present = (present | set(event["joined"])) - set(event["left"])
        for old, new in event["renamed"]:
            present = (present - {old}) | {new}
        number = event["count"]


def test_presence_includes_all_servers(servers):
    first, second = servers

    async def main():
        async with rich(first, "Ann", "tea") as ann:
            async with rich(second, "Bob", "tea") as bob:
                # The welcome is complete, because a server asks the others before it opens a room.
                assert set(bob.welcome["people"]) == {"Ann", "Bob"} and bob.welcome["count"] == 2
                await until_present(ann, {"Ann", "Bob"}, 2)
                async with websockets.connect(second.ws + "tea"):
                    await ann.until("presence", count=3)
                await ann.until("presence", count=2)
                await bob.send("rename", name="Bert")
                await until_present(ann, {"Ann", "Bert"}, 2)
                await bob.send("typing")
                assert (await ann.until("typing"))["name"] == "Bert"
                async with rich(second, "Cid") as cid:
                    assert cid.welcome["people"] == ["Cid"]
            await ann.until("presence", left=["Bert"], count=1)
    go(main())


def test_names_are_unique_across_servers(servers):
    first, second = servers

    async def main():
        async with rich(first, "Ann") as ann, open_rich(second) as other:
            error = await other.error("hello", name="ANN")
            assert error["code"] == "nameTaken" and error["proposal"] != "Ann"
            await other.hello("Bob")
            assert (await other.error("rename", name="Ann"))["code"] == "nameTaken"
            await until_present(ann, {"Ann", "Bob"}, 2)
    go(main())


def test_session_resumes_at_another_server(servers):
    first, second = servers

    async def main():
        async with rich(first, "Zoe") as zoe, open_rich(first) as ann:
            await ann.hello("Ann")
            said = await ann.say("before")
            known = {"session": ann.welcome["session"], "epoch": ann.welcome["epoch"], "after": said["id"]}
            await zoe.say("meanwhile")
            async with open_rich(second) as again:
                welcome = await again.hello("Ann", **known)
                assert welcome["session"] == known["session"] and not welcome["gap"]
                assert [message["text"] for message in welcome["messages"]] == ["meanwhile"]
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    while True:
                        await ann.next()
                assert closed.value.rcvd.code == 4001
                # And back, with another name.
                async with rich(first, "Anna", **known):
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        while True:
                            await again.next()
                    assert closed.value.rcvd.code == 4001
                    await asyncio.sleep(1)
                    assert set((await back_people(first))) == {"Zoe", "Anna", "visitor"}
            await zoe.send("typing")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while True:
                        await zoe.next()
            # The rename did not appear as a leave of Ann.
            gone = [name for event in zoe.heard if event["type"] == "presence" for name in event["left"]]
            assert gone.count("Ann") <= 1, zoe.heard
    go(main())


async def back_people(server):
    async with rich(server, "visitor") as visitor:
        return visitor.welcome["people"]


def test_members_of_a_dead_server_leave():
    with broker() as one, confab("--nats", one.url) as first, confab("--nats", one.url) as second:
        async def main():
            async with rich(first, "Ann") as ann, rich(second, "Bob") as bob:
                await until_present(ann, {"Ann", "Bob"}, 2)
                second.stop(signal=9)
                start = time.monotonic()
                # A client that resumes at another server meanwhile keeps the name.
                async with rich(first, "Bob", session=bob.welcome["session"]) as again:
                    assert again.welcome["session"] == bob.welcome["session"] and again.welcome["count"] == 2
                await ann.until("presence", count=1)
                assert time.monotonic() - start < 15
        go(main())


def test_stopping_server_announces_its_leaves():
    """Otherwise the others would wait for 10 seconds, because it may be a pause."""
    with broker() as one, confab("--nats", one.url) as first, confab("--nats", one.url) as second:
        async def main():
            async with rich(first, "Ann") as ann, rich(second, "Bob"):
                await until_present(ann, {"Ann", "Bob"}, 2)
                start = time.monotonic()
                await asyncio.to_thread(second.stop)
                await ann.until("presence", count=1)
                assert time.monotonic() - start < 5
        go(main())
