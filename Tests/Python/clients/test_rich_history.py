"""History by the rich protocol."""

import json

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.rich_client import fill, ids, open_rich, rich


def test_joining_member_gets_the_newest_messages(server):
    async def main():
        await fill(server, "", 120)
        for members, expected in (
            ({}, range(71, 121)), ({"history": 0}, []), ({"history": 3}, range(118, 121)), ({"history": 500}, range(21, 121)),
        ):
            async with rich(server, "Ann", **members) as ann:
                assert ids(ann.welcome) == list(expected)
                assert (ann.welcome["last"], ann.welcome["oldest"]) == (120, 1)
                assert not ann.welcome["more"] and not ann.welcome["gap"]
    go(main())


def test_plain_only_room_has_no_history(server):
    async def main():
        async with websockets.connect(server.ws) as client:
            await client.send("before")
            await client.recv()
            async with rich(server, "Ann") as ann:
                assert ids(ann.welcome) == [] and ann.welcome["last"] == 0 and not ann.welcome["gap"]
                await client.send("now")
                assert (await ann.until("message"))["id"] == 1
            await client.send("later")
            await client.recv()
            await client.recv()
        async with rich(server, "Ann") as ann:
            assert ids(ann.welcome) == [1, 2]
    go(main())


def test_older_messages_are_paged():
    async def main(server):
        await fill(server, "", 250)
        async with rich(server, "Ann") as ann:
            messages, more = ann.welcome["messages"], True
            while more:
                await ann.send("history", before=messages[0]["id"], count=30)
                page = await ann.until("history")
                assert page["before"] == messages[0]["id"] and page["oldest"] == 51
                messages, more = page["messages"] + messages, page["more"]
            assert [message["id"] for message in messages] == list(range(51, 251))
            assert [message["text"] for message in messages] == [f"x{number}" for number in range(51, 251)]
            await ann.send("history", before=51)
            page = await ann.until("history")
            assert ids(page) == [] and not page["more"]
            await ann.send("history", after=240)
            page = await ann.until("history")
            assert ids(page) == list(range(241, 251)) and not page["more"] and page["after"] == 240
            await ann.send("history", after=50, count=2)
            page = await ann.until("history")
            assert ids(page) == [51, 52] and page["more"]
            assert (await ann.error("history", after=49))["code"] == "historyGone"
            for huge in ({"before": 2**63 - 1}, {"before": -(2**63)}, {"after": 2**63 - 1, "count": 2**63 - 1}):
                await ann.send("history", **huge)
                await ann.until("history")
    with confab("--max-history-messages", 200, "--max-event-rate", 0) as server:
        go(main(server))


def test_page_size_is_limited(server):
    async def main():
        await fill(server, "", 10, "x" * 60_000)
        async with rich(server, "Ann") as ann:
            assert ids(ann.welcome) == [7, 8, 9, 10]
            await ann.send("history", before=7)
            assert ids(await ann.until("history")) == [3, 4, 5, 6]
        await fill(server, "large", 1, "x" * 1_000_000)
        async with rich(server, "Ann", "large") as ann:
            assert ids(ann.welcome) == [1]
    go(main())


def test_large_pages_count_towards_the_rate_limit(server):
    async def main():
        await fill(server, "", 4, "x" * 60_000)
        async with rich(server, "Ann", history=0) as ann:
            for number in range(10):
                await ann.send("history", before=100)
            answers = [await ann.next() for _ in range(11)]
            kinds = [event["type"] for event in answers if event["type"] != "presence"]
            assert kinds == ["history"] * kinds.count("history") + ["error"] * kinds.count("error")
            assert 2 <= kinds.count("history") <= 4
    go(main())


def test_empty_room_keeps_history_until_evicted():
    async def main(server):
        async def visit(path):
            async with rich(server, "Ann", path) as ann:
                if not ann.welcome["last"]:
                    await ann.say("first")
                return ann.welcome["epoch"]

        one, two = await visit("one"), await visit("two")
        assert await visit("one") == one and await visit("two") == two
        await visit("one")
        await visit("three")
        # Room two was left longest ago.
        assert await visit("one") == one
        assert await visit("two") != two
        async with rich(server, "Ann", "one"), rich(server, "Ann", "two"):
            with pytest.raises(websockets.InvalidStatus) as caught:
                await open_rich(server, "three").__aenter__()
            assert caught.value.response.status_code == 503
        async with rich(server, "Ann", "three"):
            pass
    with confab("--max-rooms", 2) as server:
        go(main(server))


def test_room_without_history_is_removed_with_its_last_member():
    async def main(server):
        async with rich(server, "Ann") as ann:
            await ann.say("x")
            epoch = ann.welcome["epoch"]
            async with rich(server, "Bob", epoch=epoch, after=0) as bob:
                assert bob.welcome["messages"] == [] and (bob.welcome["last"], bob.welcome["oldest"]) == (1, 2)
                assert bob.welcome["gap"]
        while True:
            async with rich(server, "Ann") as ann:
                if ann.welcome["epoch"] != epoch:
                    assert ann.welcome["last"] == 0
                    return
    with confab("--max-history-messages", 0) as server:
        go(main(server))


@pytest.mark.slow
@pytest.mark.memory
def test_history_memory_of_all_rooms_is_limited():
    async def main(server):
        await fill(server, "first", 5, "x" * 100_000)
        before = server.memory()
        for number in range(200):
            await fill(server, f"room/{number}", 5, "x" * 100_000)
        assert server.memory() - before < 24 << 20
        async with rich(server, "Ann", "room/199") as ann:
            assert ids(ann.welcome) == [4, 5]
        async with rich(server, "Ann", "first") as ann:
            assert ann.welcome["last"] == 0
    with confab("--max-total-history-bytes", "8MiB") as server:
        go(main(server))


def test_plain_messages_are_truncated_for_rich_clients(server):
    """A control character takes six bytes in JSON."""
    async def main():
        async with rich(server, "Ann") as ann, websockets.connect(server.ws, compression=None) as plain:
            text = "\x01" * 1_000_000
            for _ in range(5):
                await plain.send(text)
                assert await plain.recv() == text
                message = await ann.until("message")
                assert message["textBytes"] == 1_000_000 and text.startswith(message["text"])
                assert 100_000 < len(json.dumps(message)) <= 128_000 + 200
            async with open_rich(server) as bob:
                await bob.send("hello", name="Bob", history=100)
                welcome = await bob.next()
                assert welcome["type"] == "welcome" and len(welcome["messages"]) == 2
                assert len(json.dumps(welcome, separators=(",", ":"))) <= (256 << 10) + 1000
                await bob.send("history", before=welcome["messages"][0]["id"], count=100)
                page = await bob.until("history")
                assert len(page["messages"]) == 2 and page["more"]
    go(main())
