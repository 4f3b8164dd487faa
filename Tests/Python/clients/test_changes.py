"""Clients edit and remove their messages: everybody sees it, and the content is gone, with every engine."""

import asyncio
import contextlib
import json
import time

import pytest
import websockets

from support.confab_process import confab
from support.nats_process import broker
from support.rich_client import open_rich, rich

SECRET = "the secret word"


@pytest.fixture(params=["memory", "file", "file-full", "nats"])
def engine(request, tmp_path):
    """Returns the options of the engine, and a function that returns all bytes that it stores."""
    if request.param == "nats":
        with broker() as one:
            yield ("--nats", one.url), lambda: stored(one.folder)
    else:
        options = {
            "memory": (),
            "file": ("--history", tmp_path / "chat.db"),
            "file-full": ("--history", tmp_path / "chat.db", "--durability", "full"),
        }[request.param]
        yield options, lambda: stored(tmp_path)


def stored(folder):
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@contextlib.contextmanager
def served(engine, *options):
    with confab("--max-event-rate", 0, *engine[0], *options) as server:
        yield lambda main, seconds=60: asyncio.run(asyncio.wait_for(main(server), seconds))


async def removal(client, id):
    await client.send("remove", id=id)
    return await client.until("removed", message=id)


async def edit(client, id, text):
    await client.send("edit", id=id, text=text)
    return await client.until("edited", message=id)


def test_all_members_see_changes_in_one_order(engine):
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob, websockets.connect(server.ws) as plain:
            said = await ann.say("hello")
            changed = await edit(ann, said["id"], "hello 👋")
            assert changed == {"type": "edited", "id": said["id"] + 1, "at": changed["at"], "message": said["id"], "by": "Ann",
                               "text": "hello 👋"}
            removed = await removal(ann, said["id"])
            assert removed == {"type": "removed", "id": said["id"] + 2, "at": removed["at"], "message": said["id"], "by": "Ann"}
            later = await ann.say("later")
            assert [await bob.until(event["type"]) for event in (said, changed, removed, later)] == [said, changed, removed, later]
            assert "hello" in await plain.recv() and "later" in await plain.recv()
    with served(engine) as go:
        go(main)


def test_history_has_the_newest_form(engine):
    async def main(server):
        async with rich(server, "Ann") as ann:
            first, second = await ann.say("first"), await ann.say("second")
            edits = [await edit(ann, first["id"], "first, edited"), await edit(ann, first["id"], "first, edited again")]
            removed = await removal(ann, second["id"])
            expected = [first | {"text": "first, edited again", "edited": True}, second | {"text": "", "removed": True},
                        {name: value for name, value in edits[0].items() if name != "text"}, edits[1], removed]
            async with rich(server, "Bob") as bob:
                assert bob.welcome["messages"] == expected
            async with rich(server, "Cid", epoch=ann.welcome["epoch"], after=second["id"]) as cid:
                assert cid.welcome["messages"] == expected[2:] and not cid.welcome["gap"]
            # The tag of a removed message stays used.
            assert await ann.say("second", tag=second["tag"]) == expected[1]
            return expected, first["id"], second["id"]

    async def after(server, expected, first, second):
        async with rich(server, "Bob") as bob:
            messages = {message["id"]: message for message in bob.welcome["messages"]}
            assert messages[first]["text"] == "first, edited again"
            assert [message for message in expected if message["id"] in messages and message["id"] != second] == \
                [messages[id] for id in messages if id != second]
            # With NATS the removed message is gone.
            assert second not in messages or messages[second] == expected[1]
    with served(engine) as go:
        known = go(main)
    if engine[0]:
        with served(engine) as go:
            go(lambda server: after(server, *known))


def test_removed_content_is_not_stored(engine):
    async def main(server):
        async with rich(server, "Ann") as ann:
            said = await ann.say(SECRET)
            kept = await ann.say("kept")
            await edit(ann, said["id"], SECRET + ", edited")
            await removal(ann, said["id"])
            await ann.say("later")
            async with rich(server, "Bob") as bob:
                assert SECRET not in json.dumps(bob.welcome)
            return kept
    with served(engine) as go:
        go(main)
    assert SECRET.encode() not in engine[1]()
    with served(engine) as go:
        async def after(server):
            async with rich(server, "Bob") as bob:
                assert SECRET not in json.dumps(bob.welcome)
        go(after)


def test_only_the_own_new_message_may_be_changed():
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob, websockets.connect(server.ws) as plain:
            said = await ann.say("mine")
            await plain.send("plain")
            anonymous = await ann.until("message", text="plain")
            for id, code in (said["id"], "forbidden"), (anonymous["id"], "forbidden"), (99, "historyGone"), (0, "historyGone"), \
                    (-1, "historyGone"), (2**53, "historyGone"), (-2**63, "historyGone"), (2**63 - 1, "historyGone"):
                assert (await bob.error("remove", id=id, ref="r"))["code"] == code
                error = await bob.error("edit", id=id, text="x", ref="e")
                assert (error["code"], error["ref"]) == (code, "e")
            changed = await edit(ann, said["id"], "still mine")
            # A change cannot be changed.
            assert (await ann.error("remove", id=changed["id"]))["code"] == "historyGone"
            assert (await ann.error("edit", id=said["id"], text=" "))["code"] == "textEmpty"
            assert (await ann.error("edit", id=said["id"], text="x" * 4001))["code"] == "textTooLong"
            for wrong in '{"type":"remove"}', '{"type":"edit","id":1}', '{"type":"remove","id":"1"}', '{"type":"edit","id":1.5,"text":"x"}':
                await ann.send_text(wrong)
                assert (await ann.until("error"))["code"] == "malformed"
            await removal(ann, said["id"])
            assert (await ann.error("remove", id=said["id"]))["code"] == "historyGone"
            assert (await ann.error("edit", id=said["id"], text="again"))["code"] == "historyGone"
    with served(((), None), "--loops", 2) as go:
        go(main)


@pytest.mark.parametrize("age, code", [(0, "forbidden"), (1, "forbidden"), (60, None)])
def test_old_messages_cannot_be_changed(age, code):
    async def main(server):
        async with rich(server, "Ann") as ann:
            assert ann.welcome["limits"]["change"] == age
            said = await ann.say("old")
            while code:
                await ann.send("edit", id=said["id"], text="new")
                event = await ann.next()
                if event["type"] == "error":
                    return event["code"] == code
                assert age
                await asyncio.sleep(0.2)
            await edit(ann, said["id"], "new")
    with served(((), None), "--max-change-age", age) as go:
        go(main)


def test_session_may_change_its_messages_later():
    async def main(server):
        async with rich(server, "Ann") as ann:
            said = await ann.say("from the train")
            session = ann.welcome["session"]
        async with open_rich(server) as ann:
            await ann.hello("Anna", session=session)
            assert (await edit(ann, said["id"], "from home"))["by"] == "Anna"
        async with rich(server, "Ann") as other:
            assert (await other.error("remove", id=said["id"]))["code"] == "forbidden"
    with served(((), None)) as go:
        go(main)


def test_changes_count_as_events():
    async def main(server):
        async with rich(server, "Ann") as ann:
            said = await ann.say("much")
            for number in range(30):
                await ann.send("edit", id=said["id"], text=f"much {number}")
            assert (await ann.until("error"))["code"] == "rateLimited"
    with confab("--max-event-rate", 5, "--max-event-burst", 10) as server:
        asyncio.run(asyncio.wait_for(main(server), 30))


def test_long_history_of_edits_stays_within_its_memory():
    async def main(server):
        async with rich(server, "Ann") as ann:
            said = await ann.say("x")
            for number in range(400):
                await edit(ann, said["id"], f"{number % 10}" * 3000)
            async with rich(server, "Bob", history=100) as bob:
                assert [message["id"] for message in bob.welcome["messages"] if message.get("text")][-1] == said["id"] + 400
                assert sum(len(json.dumps(message)) for message in bob.welcome["messages"]) < 64 << 10
    with confab("--max-event-rate", 0, "--max-history-bytes", "64KiB", "--max-history-messages", 10_000) as server:
        asyncio.run(asyncio.wait_for(main(server), 60))


def test_stream_that_keeps_removed_content_is_told():
    async def remove_one(server):
        async with rich(server, "Ann") as ann:
            await removal(ann, (await ann.say(SECRET))["id"])
    with broker() as one:
        with confab("--nats", one.url) as server:
            asyncio.run(remove_one(server))
        def request(name, body=b""):
            return one.request(f"$JS.API.STREAM.{name}.CONFAB", body, patience=20)

        config = request("INFO")["config"] | {"deny_delete": True}
        assert request("DELETE")["success"]
        assert "error" not in request("CREATE", json.dumps(config).encode())
        with confab("--nats", one.url) as server:
            asyncio.run(remove_one(server))
            server.until_said("the content of a removed message cannot be deleted from the stream")


def test_servers_that_delete_the_same_content_agree():
    async def main(one, other):
        async with rich(one, "Ann") as ann, rich(other, "Bob") as bob:
            for _ in range(5):
                said = await ann.say(SECRET)
                await removal(ann, said["id"])
                await bob.until("removed", message=said["id"])
    with broker() as one, confab("--nats", one.url) as first, confab("--nats", one.url) as second:
        asyncio.run(main(first, second))
        end = time.monotonic() + 15
        while SECRET.encode() in stored(one.folder):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert "cannot be deleted" not in first.said() + second.said()
