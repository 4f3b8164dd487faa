"""The rich protocol: joining, messages and errors."""

import asyncio
import contextlib
import json
import re

import pytest
import websockets

from support.confab_process import confab, free_port
from support.coroutines import go
from support.metrics import metrics
from support.rich_client import DOCUMENTS, as_plain, check, open_rich, rich


def plain(server, path=""):
    return websockets.connect(server.ws + path, compression=None, max_size=None, max_queue=None)


def test_documented_events_match_the_schema():
    examples = re.findall(r"^```json (client|server)\n(.*?)^```", (DOCUMENTS / "Protocol.md").read_text(), re.M | re.S)
    assert len(examples) > 12
    for side, text in examples:
        check(side, text)


def test_member_joins_and_its_message_is_delivered(server):
    async def main():
        async with rich(server, "Ann", "tea") as ann, rich(server, "Bob", "tea") as bob:
            assert ann.welcome["room"] == "/tea" and ann.welcome["people"] == ["Ann"] and ann.welcome["count"] == 1
            assert (ann.welcome["last"], ann.welcome["oldest"], ann.welcome["messages"]) == (0, 1, [])
            assert ann.welcome["limits"] == {"text": 4000, "name": 32, "rate": 10, "burst": 20, "change": 900,
                                             "rooms": 64}
            assert sorted(bob.welcome["people"]) == ["Ann", "Bob"] and bob.welcome["count"] == 2
            assert ann.welcome["epoch"] == bob.welcome["epoch"] and ann.welcome["session"] != bob.welcome["session"]
            for number, text in enumerate(("你好 👋", 'a "quoted" \\ / line\nand\ttab', "</script>&\u2028"), 1):
                said = await ann.say(text, f"tag-{number}")
                heard = await bob.until("message")
                assert said == heard and heard["text"] == text
                assert (heard["from"], heard["id"], heard["tag"]) == ("Ann", number, f"tag-{number}")
    go(main())


def test_subprotocol_is_negotiated(server):
    async def main():
        async with websockets.connect(server.ws, subprotocols=["other", "chat.confab.v1"]) as client:
            assert client.subprotocol == "chat.confab.v1"
        async with websockets.connect(server.ws, subprotocols=["other"]) as one, plain(server) as two:
            assert one.subprotocol is None
            await one.send("plain")
            assert await two.recv() == "plain"
    go(main())


def test_plain_and_rich_clients_receive_each_others_messages(server):
    async def main():
        async with plain(server) as one, rich(server, "Ann") as ann, plain(server) as two:
            said = await ann.say("你好\nhi")
            for client in (one, two):
                match = re.fullmatch(
                    r"At (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\n来自用户Ann\n你好\nhi", await client.recv())
                assert match, "the form of the tutorial"
            await one.send("from a page")
            event = await ann.until("message", text="from a page")
            await two.send(b"\x00\xff\x00")
            assert event["id"] == said["id"] + 1 and "from" not in event and "tag" not in event
            event = await ann.until("message")
            assert event["binary"] == 3 and "text" not in event
            for client in (one, two):
                assert await client.recv() == "from a page" and await client.recv() == b"\x00\xff\x00"
            # They get none of the other events.
            await ann.send("typing")
            await ann.send("rename", name="Anna")
            await ann.say("end")
            assert (await one.recv()).endswith("来自用户Anna\nend")
    go(main())


@pytest.mark.slow
@pytest.mark.parametrize("loops", [1, 2])
def test_plain_and_rich_clients_receive_one_order(loops):
    count = 150

    async def main(server, stack):
        pages = [await stack.enter_async_context(plain(server)) for _ in range(6)]
        people = [await stack.enter_async_context(rich(server, f"rich {number}")) for number in range(6)]

        async def talk(number):
            for index in range(count):
                text = f"{number} {index} " + "x" * (index % 7 * 100)
                if number % 2:
                    await pages[number].send(text)
                else:
                    await people[number].send("say", tag=f"{number}-{index}", text=text)

        async def hear_plain(client):
            heard = [await client.recv() for _ in range(4 * count)]
            return [re.sub(r"^At .*? UTC\n", "", text) for text in heard]

        async def hear_rich(client):
            while len(client.messages()) < 4 * count:
                await client.until("message")
            assert [message["id"] for message in client.messages()] == list(range(1, 4 * count + 1))
            return [as_plain(message) for message in client.messages()]

        async with asyncio.TaskGroup() as group:
            hearing = [group.create_task(hear_plain(client)) for client in pages]
            hearing += [group.create_task(hear_rich(client)) for client in people]
            for number in range(4):
                group.create_task(talk(number))
        heard = [task.result() for task in hearing]
        assert all(one == heard[0] for one in heard)

    async def run(server):
        async with contextlib.AsyncExitStack() as stack:
            await main(server, stack)

    with confab("--loops", loops, "--max-event-rate", 0, "--max-backlog", "64MiB") as server:
        go(run(server))


def test_rich_clients_may_use_compression(server):
    async def main():
        async with open_rich(server, compression="deflate") as ann, rich(server, "Bob") as bob:
            await ann.hello("Ann")
            text = "compressed " * 300
            said = await ann.say(text)
            assert said["text"] == text and await bob.until("message") == said
            await ann.send("history", before=100)
            assert (await ann.until("history"))["messages"] == [said]
    go(main())


def test_repeated_tag_is_published_once(server):
    async def main():
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            first = await ann.say("once", "tag")
            assert await ann.say("again", "tag") == first
            assert await ann.say("another", "tag2") != first
            assert [(await bob.until("message"))["text"] for _ in range(2)] == ["once", "another"]
        # Ann's connection broke, so she does not know which messages were delivered.
        async with rich(server, "Ann", session=ann.welcome["session"]) as again:
            assert again.welcome["last"] == 2 and again.welcome["member"] == ann.welcome["member"]
            assert await again.say("once", "tag") == first
    go(main())


def test_tag_expires_with_its_message():
    async def main(server):
        async with rich(server, "Ann") as ann:
            first = await ann.say("once", "tag")
            for number in range(2):
                await ann.say("more", f"tag{number}")
            second = await ann.say("once", "tag")
            assert (first["id"], second["id"]) == (1, 4)
    with confab("--max-history-messages", 2) as server:
        go(main(server))


def test_invalid_event_gets_an_error():
    async def main(server):
        async with open_rich(server) as client, rich(server, "Bob") as bob:
            async def wrong(code, event, **members):
                await client.send_text(json.dumps(event))
                error = await client.until("error")
                assert error["code"] == code, (event, error)
                assert {name: error.get(name) for name in members} == members, (event, error)

            await wrong("notIntroduced", {"type": "say", "tag": "t", "text": "x"}, tag="t")
            for event in ({"type": "typing"}, {"type": "history", "before": 5}, {"type": "rename", "name": "Ann"}):
                await wrong("notIntroduced", event)
            await wrong("unknownType", {"type": "dance"})
            await wrong("nameInvalid", {"type": "hello", "name": ""})
            await wrong("nameTaken", {"type": "hello", "name": "BOB"}, proposal="BOB2")
            await client.hello("Ann")
            await wrong("alreadyIntroduced", {"type": "hello", "name": "Ann"})
            await wrong("textEmpty", {"type": "say", "tag": "t", "text": " \n\u3000"}, tag="t")
            await wrong("textTooLong", {"type": "say", "tag": "t", "text": "x" * 4001}, tag="t")
            await wrong("tagInvalid", {"type": "say", "tag": "no tag", "text": "x"}, tag="no tag")
            await wrong("tagInvalid", {"type": "say", "tag": "x" * 65, "text": "x"}, tag=None)
            await wrong("tagInvalid", {"type": "say", "tag": "", "text": "x"}, tag="")
            await wrong("malformed", {"type": "say", "tag": "t"}, tag="t")
            await wrong("malformed", {"type": "say", "tag": "t", "text": 5}, tag="t")
            await wrong("malformed", {"type": "history"})
            await wrong("malformed", {"type": "history", "before": 1, "after": 1})
            await wrong("nameTaken", {"type": "rename", "name": "bob"}, proposal="bob2")
            await wrong("nameInvalid", {"type": "rename", "name": "\u202e"})
            assert (await client.say("still here"))["id"] == 1
            assert (await bob.until("message"))["text"] == "still here"
            said = await bob.say("not yours")
            await wrong("forbidden", {"type": "remove", "id": said["id"], "ref": "r"}, ref="r")
            await wrong("historyGone", {"type": "remove", "id": 99})
    admin = f"127.0.0.1:{free_port()}"
    with confab("--max-event-rate", 0, "--admin", admin) as server:
        go(main(server))
        told = {labels[1]: value for labels, value in metrics(admin).items() if labels[0] == "confab_chat_errors_total"}
    assert told == {
        "notIntroduced": 4, "unknownType": 1, "nameInvalid": 2, "nameTaken": 2, "alreadyIntroduced": 1, "textEmpty": 1,
        "textTooLong": 1, "tagInvalid": 3, "malformed": 4, "rateLimited": 0, "historyGone": 1,
        "tokenRequired": 0, "tokenInvalid": 0, "tokenExpired": 0, "forbidden": 1, "unavailable": 0, "banned": 0, "muted": 0,
        "notFound": 0, "roomInvalid": 0, "notEntered": 0, "tooManyRooms": 0,
        "tooManyRestrictions": 0}


def test_hello_without_a_name_can_be_followed_by_one_with_a_name(server):
    async def main():
        async with open_rich(server) as client:
            await client.send("hello")
            assert (await client.next())["code"] == "nameInvalid"
            await client.send("hello", name="Ann")
            assert (await client.next())["name"] == "Ann"
    go(main())


def test_rooms_are_isolated(server):
    async def main():
        async with rich(server, "Ann", "red") as red, rich(server, "Ann", "blue") as blue:
            assert red.welcome["room"] == "/red" and blue.welcome["room"] == "/blue"
            assert red.welcome["epoch"] != blue.welcome["epoch"]
            await red.say("red")
            assert (await blue.say("blue"))["id"] == 1
            assert [message["text"] for message in blue.messages()] == ["blue"]
        async with rich(server, "Ann", "%E7%BE%A4") as chinese:
            assert chinese.welcome["room"] == "/群"
    go(main())


def test_errors_return_the_ref_of_their_event(server):
    async def main():
        async with rich(server, "Ann") as ann:
            for kind, members, code in (("nonsense", {}, "unknownType"), ("rename", {"name": ""}, "nameInvalid"),
                                        ("say", {"tag": "t", "text": ""}, "textEmpty"), ("say", {}, "malformed"),
                                        ("hello", {"name": "Ann"}, "alreadyIntroduced")):
                await ann.send_text(json.dumps({"type": kind, "ref": f"r-{code}", **members}))
                error = await ann.until("error")
                assert (error["code"], error["ref"]) == (code, f"r-{code}")
            for event in ({"type": "nonsense"}, {"type": "nonsense", "ref": "no tag"}):
                await ann.send_text(json.dumps(event))
                assert "ref" not in await ann.until("error")
    go(main())
