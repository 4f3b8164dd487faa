"""History in a file survives the end of the server, however it ends."""

import asyncio
import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import threading

import pytest
import websockets

from support.confab_process import Confab, confab, free_port, run
from support.coroutines import go
from support.metrics import metrics
from support.raw_client import HANDSHAKE, RawClient, frame, head
from support.rich_client import open_rich, rich

KILLS = int(os.environ.get("KILLS", 10))


def ids(event):
    return [message["id"] for message in event["messages"]]


def texts(event):
    return [message["text"] for message in event["messages"]]


def rows(file, sql):
    database = sqlite3.connect(file)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "chat.db"


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


def test_history_is_limited(file):
    async def fill(server):
        async with websockets.connect(server.ws + "many") as plain:
            for number in range(1000):
                await plain.send(f"{number}")
                await plain.recv()
        async with websockets.connect(server.ws + "large") as plain:
            for number in range(300):
                await plain.send("x" * 10_000)
                await plain.recv()

    options = ("--history", file, "--max-history-messages", 100, "--max-history-bytes", "200KiB", "--max-message-rate", 0)
    with confab(*options) as server:
        go(fill(server))
    counts = dict(rows(file, "SELECT name, count(*) FROM rooms JOIN messages ON rooms.id = room GROUP BY room"))
    # Old messages are deleted in steps of 64.
    assert 100 <= counts["/many"] < 164 and 19 <= counts["/large"] < 20 + 64

    async def look(server):
        async with rich(server, "Ann", "many") as ann:
            assert (ann.welcome["last"], ann.welcome["oldest"]) == (1000, 901)
    with confab(*options) as server:
        go(look(server))

    async def say(server):
        async with rich(server, "Ann", "many") as ann:
            assert texts(ann.welcome) == [] and ann.welcome["last"] == 1000
            await ann.say("now")
    # Messages beyond the maximum age are not served.
    database = sqlite3.connect(file)
    database.execute("UPDATE messages SET at = at - 10000")
    database.commit()
    database.close()
    with confab(*options, "--max-history-age", 5) as server:
        go(say(server))
    assert rows(file, "SELECT count(*) FROM messages") == [(1,)]


@pytest.mark.slow
@pytest.mark.memory
def test_empty_rooms_use_little_memory(file):
    """The memory for their history is bounded, and their former members use none."""
    async def visit(server, room):
        async with rich(server, "Ann", room), websockets.connect(server.ws + room, compression=None) as plain:
            for _ in range(20):
                await plain.send("x" * 50_000)
            for _ in range(20):
                await plain.recv()

    async def visits(server):
        await asyncio.gather(*(visit(server, f"warm-{number}") for number in range(4)))
        before = server.memory()
        for number in range(100):
            await visit(server, f"room-{number}")
        # All rooms together got 100 MB of messages.
        assert server.memory() - before < 30 << 20

    with confab("--history", file, "--max-message-rate", 0, "--max-total-history-bytes", "10MiB") as server:
        go(visits(server))


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["normal", "full"])
@pytest.mark.memory
def test_small_pending_messages_use_little_memory(file, durability):
    """The messages arrive faster than they are written: reading from their sender is paused."""
    count = 400_000
    with confab("--history", file, "--durability", durability, "--max-message-rate", 0, "--max-history-messages", 100) as server:
        with RawClient(server.port, timeout=60) as client:
            client.open()
            before, most, missing = server.memory(), 0, 2 * count
            sending = threading.Thread(target=client.send, args=(frame(2) * count,))
            sending.start()
            while missing:
                missing -= len(client.socket.recv(min(missing, 1 << 16)))
                most = max(most, server.memory())
            sending.join()
            assert most - before < (48 if durability == "normal" else 15) << 20


@pytest.mark.slow
def test_file_size_is_limited(file):
    async def fill(server):
        for room in range(60):
            async with websockets.connect(server.ws + f"room/{room}") as plain:
                for _ in range(10):
                    await plain.send("x" * 10_000)
                    await plain.recv()

    with confab("--history", file, "--max-history-file-size", "2MiB", "--max-message-rate", 0) as server:
        go(fill(server))
    names = [name for name, in rows(file, "SELECT name FROM rooms ORDER BY at")]
    assert 5 < len(names) < 25 and names[-1] == "/room/59" and "/room/0" not in names
    assert file.stat().st_size < 4 << 20


@contextlib.contextmanager
def full_disks():
    """Limits file sizes: a server that is started here gets an error when a file would become too large."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield lambda server, size: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    finally:
        signal.signal(signal.SIGXFSZ, handler)


async def say_much(server, text, count, room="", **known):
    async with rich(server, "Ann", room, history=0, **known) as ann:
        messages = [await ann.say(f"{text} {number} " + "x" * 2000) for number in range(count)]
        return {"epoch": ann.welcome["epoch"], "after": messages[-1]["id"]}


async def until_said(server, text):
    while text not in server.said():
        await asyncio.sleep(0.02)


FULL_DISK = ("--max-event-rate", 0, "--max-history-bytes", "8MiB")


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["normal", "full"])
def test_full_disk_does_not_stop_the_server(file, durability):
    """The chat continues in memory, logs an error, and writes the messages when there is space again."""
    admin = f"127.0.0.1:{free_port()}"
    options = ("--history", file, "--durability", durability, *FULL_DISK)

    async def look(server, known, first):
        async with rich(server, "Cid", **known, history=100) as cid:
            assert not cid.welcome["gap"] and ids(cid.welcome) == list(range(first + 1, first + 101))

    with full_disks() as limit:
        with confab(*options, "--admin", admin, "--max-rooms", 1) as server:
            known = go(say_much(server, "before", 10))
            limit(server, 100_000)
            go(say_much(server, "while it is full", 100))
            go(until_said(server, "cannot write the history"))
            assert metrics(admin)["confab_history_kept",] == 0
            # The room is read again, partly from the disk and partly from memory.
            go(say_much(server, "elsewhere", 5, "elsewhere"))
            go(look(server, known, 10))
            limit(server, resource.RLIM_INFINITY)
            go(until_said(server, "written again"))
            assert metrics(admin)["confab_history_kept",] == 1
            go(say_much(server, "after", 10))
        with confab(*options) as server:
            go(look(server, known, 10))
            go(look(server, known | {"after": 20}, 20))
    query = "SELECT name, min(messages.id), max(messages.id), count(*) FROM messages JOIN rooms ON rooms.id = room GROUP BY name"
    assert rows(file, query) == [("/", 1, 120, 120), ("/elsewhere", 1, 5, 5)]
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["normal", "full"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_offsets_are_not_reused_after_a_full_disk(file, durability, end):
    options = ("--history", file, "--durability", durability, *FULL_DISK)

    async def look(server, known):
        async with rich(server, "Cid", **known) as cid:
            assert cid.welcome["gap"] and cid.welcome["epoch"] != known["epoch"]
            assert texts(cid.welcome)[-1].startswith("after 79 ")

    with full_disks() as limit:
        server = Confab(*options)
        try:
            stored = go(say_much(server, "before", 10))
            limit(server, 100_000)
            heard = go(say_much(server, "while it is full", 60))
            go(until_said(server, "cannot write the history"))
        finally:
            server.stop(end)
    with confab(*options) as server:
        go(say_much(server, "after", 80))
        go(look(server, heard))
        # This client has missed messages.
        go(look(server, stored))


def test_unusable_file_is_an_error(tmp_path, file):
    text = tmp_path / "text"
    text.write_text("this is no database" * 100)
    for name, reason in (
        (tmp_path / "missing" / "chat.db", "No such file or directory"), (text, "not a database"),
        (tmp_path, "Is a directory"),
    ):
        result = run("serve", "--port", 0, "--history", name)
        assert result.returncode == 1 and str(name) in result.stderr and reason in result.stderr, result.stderr
    with confab("--history", file):
        result = run("serve", "--port", 0, "--history", file)
        assert result.returncode == 1 and "another process" in result.stderr, result.stderr
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()
    result = run("serve", "--port", 0, "--history", file)
    assert result.returncode == 1 and "newer version" in result.stderr, result.stderr
    assert text.read_text().startswith("this is no database")
    # Another program's database with the same table names.
    other = tmp_path / "other.db"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE rooms (number)")
    database.close()
    before = other.read_bytes()
    result = run("serve", "--port", 0, "--history", other)
    assert result.returncode == 1 and "but not of Confab" in result.stderr, result.stderr
    assert other.read_bytes() == before
    for option in (("--durability", "full"), ("--max-history-file-size", "1MiB")):
        result = run("serve", "--port", 0, *option)
        assert result.returncode == 1 and f"{option[0]} needs --history" in result.stderr, result.stderr
