"""Limits of a history file and of the memory for it."""

import asyncio
import sqlite3
import threading

import pytest
import websockets

from clients.history_file.database import rows
from support.confab_process import confab
from support.coroutines import go
from support.raw_client import RawClient, frame
from support.rich_client import rich, texts


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
