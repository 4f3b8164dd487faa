"""A history file on a full disk."""

import contextlib
import resource
import signal

import pytest

from clients.history_file.database import rows
from support.confab_process import Confab, confab, free_port
from support.coroutines import go
from support.metrics import metrics
from support.rich_client import ids, rich, texts


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
            server.until_said("cannot write the history")
            assert metrics(admin)["confab_history_kept",] == 0
            # The room is read again, partly from the disk and partly from memory.
            go(say_much(server, "elsewhere", 5, "elsewhere"))
            go(look(server, known, 10))
            limit(server, resource.RLIM_INFINITY)
            server.until_said("written again")
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
            server.until_said("cannot write the history")
        finally:
            server.stop(end)
    with confab(*options) as server:
        go(say_much(server, "after", 80))
        go(look(server, heard))
        # This client has missed messages.
        go(look(server, stored))
