"""The guarantees of every engine: one order for all members, each message once, and history."""

import asyncio
import contextlib
import random

import pytest
import websockets

from support.confab_process import confab
from support.nats_process import broker
from support.rich_client import as_plain, open_rich, rich

OPTIONS = ("--loops", 2, "--max-event-rate", 0, "--max-history-messages", 10_000, "--max-history-bytes", "16MiB")


@pytest.fixture(params=["memory", "file", "file-full", "nats"])
def options(request, tmp_path):
    """Returns the options of a server with the engine."""
    with broker() if request.param == "nats" else contextlib.nullcontext() as one:
        engine = {
            "memory": (),
            "file": ("--history", tmp_path / "chat.db"),
            "file-full": ("--history", tmp_path / "chat.db", "--durability", "full"),
            "nats": ("--nats", one and one.url),
        }[request.param]
        yield (*OPTIONS, *engine)


def go(main, options, seconds=60):
    with confab(*options) as server:
        asyncio.run(asyncio.wait_for(main(server), seconds))


@contextlib.asynccontextmanager
async def plain(server, path=""):
    async with websockets.connect(server.ws + path, compression=None, max_queue=None) as socket:
        yield socket


def test_message_is_delivered_to_all_including_its_sender(options):
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob, plain(server) as cid:
            said = await ann.say("你好", tag="t-1")
            assert (said["from"], said["tag"], said["text"]) == ("Ann", "t-1", "你好")
            assert await bob.until("message") == said
            assert (await cid.recv()).endswith(as_plain(said))
            await cid.send("plain")
            assert await cid.recv() == "plain"
            for client in (ann, bob):
                message = await client.until("message")
                assert (message["text"], message["id"]) == ("plain", said["id"] + 1) and "from" not in message
            await cid.send(b"\x00\xff\x01")
            assert await cid.recv() == b"\x00\xff\x01"
            assert (await ann.until("message"))["binary"] == 3
            assert abs(said["at"] / 1000 - message["at"] / 1000) < 30
    go(main, options)


@pytest.mark.slow
def test_all_clients_receive_one_order(options):
    count = 150

    async def main(server):
        async with contextlib.AsyncExitStack() as stack:
            people = [await stack.enter_async_context(rich(server, f"rich {number}")) for number in range(4)]
            sockets = [await stack.enter_async_context(plain(server)) for _ in range(4)]
            total = count * (len(people) + len(sockets))

            async def talk(number):
                for index in range(count):
                    if number < 4:
                        await people[number].send("say", tag=f"{number}-{index}", text=f"{number}-{index}")
                    else:
                        await sockets[number - 4].send(f"{number}-{index}")

            async def hear(person):
                while len(person.messages()) < total:
                    await person.next()
                return [message["text"] for message in person.messages()], [message["id"] for message in person.messages()]

            async def hear_plainly(socket):
                return [(await socket.recv()).split("\n")[-1] for _ in range(total)]

            *_, first, second, third, fourth, one, two, three, four = await asyncio.gather(
                *(talk(number) for number in range(8)), *map(hear, people), *map(hear_plainly, sockets))
            assert first == second == third == fourth
            assert first[0] == one == two == three == four
            assert all(later > earlier for earlier, later in zip(first[1], first[1][1:]))
            for number in range(8):
                assert [text for text in one if text.startswith(f"{number}-")] == [f"{number}-{index}" for index in range(count)]
            async with rich(server, "newcomer", history=100) as newcomer:
                assert [message["text"] for message in newcomer.welcome["messages"]] == one[-100:]
    go(main, options)


def test_repeated_tag_is_published_once(options):
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            # Without waiting, so the first one may still be pending.
            for _ in range(5):
                await ann.send("say", tag="twice", text="once")
            first = await ann.until("message")
            await ann.say("last")
            assert {message["id"] for message in ann.messages() if message["tag"] == "twice"} == {first["id"]}
            assert (await ann.say("once more", tag="twice")) == first
            assert [(await bob.until("message"))["text"] for _ in range(2)] == ["once", "last"]
    go(main, options)


def test_session_outlives_its_connection(options):
    async def main(server):
        async with rich(server, "Ann") as ann:
            known = {"session": ann.welcome["session"]}
        async with open_rich(server) as lost:
            # The client does not read its welcome.
            await lost.send("hello", name="Ann", **known)
            async with rich(server, "Ann", **known) as again:
                assert (again.welcome["session"], again.welcome["member"]) == (known["session"], ann.welcome["member"])
    go(main, options)


def test_equal_tags_of_two_members_are_two_messages(options):
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob, rich(server, "Cid") as cid:
            assert ann.welcome["member"] != bob.welcome["member"]
            # Without waiting, so the first one may still be pending.
            await asyncio.gather(*(one.send("say", tag="t", text=text) for one, text in ((ann, "a"), (bob, "b"))))
            heard = [await cid.until("message") for _ in range(2)]
            assert {(one["member"], one["tag"], one["text"]) for one in heard} == {
                (ann.welcome["member"], "t", "a"), (bob.welcome["member"], "t", "b")}
            # A repeated tag returns the member's own message.
            for one, text in ((ann, "a"), (bob, "b")):
                assert (await one.say("again", tag="t"))["text"] == text
            # Another member takes over the name, but not the tags.
            async with rich(server, "Dan", session=ann.welcome["member"] + bob.welcome["session"][16:]) as dan:
                assert dan.welcome["member"] not in (ann.welcome["member"], bob.welcome["member"])
                assert (await dan.say("d", tag="t"))["text"] == "d"
        async with rich(server, "Ann", session=ann.welcome["session"]) as again:
            assert (await again.say("again", tag="t"))["text"] == "a"
            assert [one["text"] for one in again.welcome["messages"]] in (["a", "b", "d"], ["b", "a", "d"])
    go(main, options)


def test_resume_delivers_missed_messages(options):
    async def main(server):
        async with rich(server, "Ann", "tea") as ann:
            async with rich(server, "Bob", "tea") as bob:
                for number in range(20):
                    await ann.say(f"{number}")
                last = await bob.until("message", text="19")
                known = {"epoch": bob.welcome["epoch"], "after": last["id"]}
            texts = [f"missed {number}" for number in range(random.randrange(1, 90))]
            for text in texts:
                await ann.say(text)
            async with rich(server, "Bob", "tea", **known) as bob:
                assert not bob.welcome["gap"] and [message["text"] for message in bob.welcome["messages"]] == texts
                await bob.send("history", before=bob.welcome["messages"][0]["id"], count=3)
                page = await bob.until("history")
                assert [message["text"] for message in page["messages"]] == ["17", "18", "19"] and page["more"]
            async with rich(server, "Cid", "tea", epoch="another", after=1) as cid:
                assert cid.welcome["gap"]
        async with rich(server, "Ann") as ann:
            assert ann.welcome["messages"] == []
    go(main, options)


@pytest.mark.slow
def test_members_join_and_leave_while_others_publish(options):
    """Every client sees a gapless part of the room's log: the welcome's messages and those that follow."""
    async def main(server):
        is_over = asyncio.Event()
        said = {path: 0 for path in ("one", "two")}

        async def talk(path):
            while not is_over.is_set():
                async with plain(server, path) as socket:
                    for _ in range(30):
                        said[path] += 1
                        await socket.send(str(said[path]))
                        while await socket.recv() != str(said[path]):
                            pass

        async def visit(path):
            async with open_rich(server, path) as client:
                await client.hello("visitor", history=100)
                numbers = [int(message["text"]) for message in client.welcome["messages"]]
                for _ in range(random.randrange(50)):
                    numbers.append(int((await client.until("message"))["text"]))
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True

        async def visits():
            for path in said:
                await visit(path)
            for _ in range(20):
                await visit(random.choice(list(said)))
            is_over.set()

        await asyncio.gather(*(talk(path) for path in said), visits())
    go(main, options)
