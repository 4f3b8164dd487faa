"""History in a file survives the end of the server, however it ends."""

import asyncio
import os
import random
import shutil
import signal

import pytest
import websockets

from clients.history_file.database import rows
from support.confab_process import Confab, confab, run
from support.coroutines import go
from support.raw_client import HANDSHAKE, RawClient, frame, head
from support.rich_client import open_rich, rich, texts

KILLS = int(os.environ.get("KILLS", 10))


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_history_survives_restart(file, durability):
    options = ("--history", file, "--durability", durability)

    async def before(server):
        async with rich(server, "Ann", "tea") as ann, rich(server, "Bob") as bob:
            async with websockets.connect(server.ws + "tea") as plain:
                await plain.send("你好")
                await plain.recv()
                await plain.send(b"\x00\xff")
                await plain.recv()
            first = await ann.say("first", tag="t-1")
            await bob.say("elsewhere")
            return ann.welcome, [*ann.messages()], first

    async def after(server, welcome, messages, first):
        async with rich(server, "Ann", "tea", epoch=welcome["epoch"], after=1, session=welcome["session"]) as ann:
            assert ann.welcome["epoch"] == welcome["epoch"] and not ann.welcome["gap"] and ann.welcome["last"] == 3
            assert ann.welcome["messages"] == messages[1:]
            assert await ann.say("first", tag="t-1") == first
            assert (await ann.say("second"))["id"] == 4
        async with rich(server, "Bob") as bob:
            assert texts(bob.welcome) == ["elsewhere"]

    with confab(*options) as server:
        known = go(before(server))
    assert [message["id"] for message in known[1]] == [1, 2, 3]
    for number in range(2):
        with confab(*options) as server:
            if number == 0:
                go(after(server, *known))
            else:
                go(count_of(server, "tea", 4))


async def count_of(server, room, last):
    async with rich(server, "Eve", room) as eve:
        assert eve.welcome["last"] == last


@pytest.mark.slow
def test_killed_server_loses_no_delivered_message(file):
    """Kills the server at random moments. With --durability full every delivered message is kept with its id."""
    heard, epochs = {}, set()

    async def talk(server, number, run):
        async with open_rich(server) as client:
            await client.hello(f"talker {number}", history=100)
            epochs.add(client.welcome["epoch"])
            heard.update((message["id"], message) for message in client.welcome["messages"])
            for index in range(10_000):
                await client.send("say", tag=f"{run}-{number}-{index}", text="x" * random.choice((1, 100, 3000)))
                await client.until("message", tag=f"{run}-{number}-{index}")

    async def session(server, run):
        async def witness():
            async with rich(server, "witness", history=0) as client:
                while True:
                    message = await client.until("message")
                    assert message["id"] not in heard or heard[message["id"]] == message
                    heard[message["id"]] = message

        talkers = [asyncio.create_task(talk(server, number, run)) for number in range(4)] + [asyncio.create_task(witness())]
        await asyncio.sleep(random.uniform(0, 0.5))
        server.process.kill()
        for result in await asyncio.gather(*talkers, return_exceptions=True):
            assert isinstance(result, (websockets.ConnectionClosed, OSError, EOFError, websockets.InvalidMessage)), result

    async def check(server):
        async with rich(server, "Ann", history=0) as ann:
            last, found = ann.welcome["last"], {}
            before = last + 1
            while True:
                await ann.send("history", before=before, count=100)
                page = await ann.until("history")
                found.update((message["id"], message) for message in page["messages"])
                if not page["more"]:
                    break
                before = page["messages"][0]["id"]
            lost = {number for number in heard if number not in found and number > last - 5000}
            assert not lost and all(found[number] == heard[number] for number in heard if number in found)
            assert sorted(found) == list(range(min(found), last + 1)), "there are gaps"

    options = ("--history", file, "--durability", "full", "--max-event-rate", 0, "--max-history-messages", 1_000_000,
               "--max-history-bytes", "256MiB")
    for number in range(KILLS):
        server = Confab(*options)
        try:
            go(session(server, number))
        finally:
            server.stop(signal.SIGKILL)
    with confab(*options) as server:
        go(check(server))
    assert heard and len(epochs) == 1
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]


def test_offsets_are_not_reused_after_lost_messages(file):
    """By default a killed server may have delivered unwritten messages. Their ids must not be used for others."""
    async def talk(server, known):
        async with rich(server, "Ann", history=0, **known) as ann:
            assert ann.welcome["gap"] == bool(known) and ann.welcome["epoch"] != known.get("epoch")
            numbers = [(await ann.say("x"))["id"] for _ in range(5)]
            return {"epoch": ann.welcome["epoch"], "after": numbers[-1]}

    known = {}
    for _ in range(4):
        server = Confab("--history", file)
        try:
            known = go(talk(server, known))
        finally:
            server.stop(signal.SIGKILL)
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("durability", ["normal", "full"])
@pytest.mark.parametrize("what", ["the database", "everything"])
def test_restored_older_file_starts_a_new_epoch(file, tmp_path, durability, what):
    """The messages since the backup are lost. Their ids are not used for other messages."""
    async def talk(server, text, count):
        async with rich(server, "Ann", history=0) as ann:
            return [ann.welcome["epoch"], [(await ann.say(f"{text} {number}"))["id"] for number in range(count)][-1]]

    async def come_back(server, epoch, after):
        async with rich(server, "Bob", epoch=epoch, after=after) as bob:
            assert bob.welcome["gap"] and bob.welcome["epoch"] != epoch
            assert texts(bob.welcome) == [f"first {number}" for number in range(5)] + [f"other {number}" for number in range(9)]

    files = [file] if what == "the database" else [file, file.with_name("chat.db-delivered")]
    with confab("--history", file, "--durability", durability) as server:
        epoch, _ = go(talk(server, "first", 5))
    for each in files:
        shutil.copy(each, tmp_path / (each.name + ".backup"))
    with confab("--history", file, "--durability", durability) as server:
        again, last = go(talk(server, "lost", 5))
    assert (again, last) == (epoch, 10)
    for each in files:
        shutil.copy(tmp_path / (each.name + ".backup"), each)
    with confab("--history", file, "--durability", durability) as server:
        go(talk(server, "other", 9))
        go(come_back(server, epoch, last))
    # A normal restart continues the numbering.
    with confab("--history", file, "--durability", durability) as server:
        epoch, last = go(talk(server, "next", 1))
    with confab("--history", file, "--durability", durability) as server:
        assert go(talk(server, "next", 1)) == [epoch, last + 1]


def test_rooms_left_at_once_lose_no_message(file):
    """Their messages may arrive before the file has opened the rooms."""
    options = ("--history", file, "--max-total-history-bytes", 1, "--max-message-rate", 0, "--max-event-rate", 0)

    async def say(server, room, text, count):
        async with rich(server, "Ann", room) as ann:
            for number in range(count):
                await ann.say(f"{text} {number}")

    async def visit(server):
        async with rich(server, "Ann", "other") as ann:
            for number in range(100):
                with RawClient(server.port) as client:
                    client.send(head(HANDSHAKE, "GET /left HTTP/1.1"))
                    client.answer()
                    client.send(frame(1, b"visit %d" % number) + frame(8, b"\x03\xe8"))
                    while client.socket.recv(1 << 16):
                        pass
                await ann.say(f"meanwhile {number}")
        assert "cannot write" not in server.said()

    with confab(*options) as server:
        for room in ("left", "other"):
            go(say(server, room, "before", 5))
        go(visit(server))
    query = "SELECT CAST(bytes AS TEXT) FROM messages JOIN rooms ON rooms.id = room WHERE name = '/{}' ORDER BY messages.id"
    before = [f"before {number}" for number in range(5)]
    assert [text for text, in rows(file, query.format("other"))] == before + [f"meanwhile {number}" for number in range(100)]
    assert [text for text, in rows(file, query.format("left"))] == before + [f"visit {number}" for number in range(100)]
