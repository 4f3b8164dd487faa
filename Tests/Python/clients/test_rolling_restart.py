"""Servers behind a proxy are restarted one after the other while clients talk: no message is lost."""

import asyncio
import collections
import contextlib
import secrets

import pytest
import websockets

from support.confab_process import Confab, free_port
from support.nats_process import broker
from support.rich_client import open_rich
from support.tcp_proxy import Proxy

SERVERS, CLIENTS = 3, 12
DRAIN = 2


class Guest:
    """A client that follows Protocol.md: after a reconnect it resends every message that it has not received itself. It
    moves when the server asks it to, or only when its connection is closed."""

    def __init__(self, proxy, name, *, heeds):
        self.proxy, self.name, self.heeds = proxy, name, heeds
        self.unheard, self.said = {}, []
        #: For each tag, the pairs of epoch and id that its message was received with.
        self.heard = collections.defaultdict(set)
        self.known, self.moves, self.client = {}, 0, None

    async def live(self):
        while True:
            with contextlib.suppress(websockets.WebSocketException, OSError):
                async with open_rich(self.proxy) as client:
                    await self.talk(client)
            self.client = None

    async def talk(self, client):
        welcome = await client.hello(self.name, **self.known)
        last = welcome["last"]
        self.known = {"session": welcome["session"], "epoch": welcome["epoch"], "after": last}
        for message in welcome["messages"]:
            self.hear(message)
        for tag, text in list(self.unheard.items()):
            await client.send("say", tag=tag, text=text)
        self.client = client
        moved = None
        try:
            while True:
                event = await client.next()
                assert event["type"] != "error", event
                if event["type"] == "message":
                    # Only the client's own messages may repeat, and none is missing.
                    assert event["id"] == last + 1 or event["id"] <= last and event["from"] == self.name, (last, event)
                    last = self.known["after"] = max(last, event["id"])
                    self.hear(event)
                elif event["type"] == "moving":
                    assert moved is None
                    self.moves += 1
                    moved = asyncio.create_task(self.move(client, event["after"]))
        finally:
            if moved:
                moved.cancel()

    async def move(self, client, after):
        await asyncio.sleep(after / 1000)
        if self.heeds:
            await client.socket.close()

    def hear(self, message):
        self.heard[message["tag"]].add((self.known["epoch"], message["id"]))
        self.unheard.pop(message["tag"], None)

    async def say(self):
        tag = secrets.token_urlsafe(9)
        self.unheard[tag] = f"{self.name} says {len(self.said)}"
        self.said.append(tag)
        if self.client:
            with contextlib.suppress(websockets.ConnectionClosed):
                await self.client.send("say", tag=tag, text=self.unheard[tag])

    async def chatter(self):
        while True:
            await self.say()
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def background(*work):
    """Runs tasks meanwhile. Their errors are raised here."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def server(admin, options, port=0):
    return Confab(
        "--port", port, "--admin", f"127.0.0.1:{admin}", "--drain", DRAIN, "--max-event-rate", 0, *options)


@pytest.fixture(params=["memory", "nats"])
def options(request):
    """The options of servers that are separate chats, and of servers that are one chat."""
    if request.param == "memory":
        yield ()
    else:
        with broker() as one:
            yield ("--nats", one.url)


@pytest.mark.slow
def test_rolling_restart_loses_no_message(options):
    admins = [free_port() for _ in range(SERVERS)]
    servers = []

    async def main():
        async with Proxy((each.port, admin) for each, admin in zip(servers, admins)) as proxy:
            guests = [Guest(proxy, f"Guest {number}", heeds=number % 2) for number in range(CLIENTS)]
            async with background(*(each.live() for each in guests)):
                async with background(*(each.chatter() for each in guests)):
                    for index, admin in enumerate(admins):
                        await until(lambda: all(each.client for each in guests))
                        await asyncio.to_thread(restart, index, admin)
                        await proxy.backends[index].is_ready.wait()
                await until(lambda: not any(each.unheard for each in guests))
            check(guests)

    def restart(index, admin):
        port = servers[index].port
        assert servers[index].stop() == 0
        servers[index] = server(admin, options, port)

    def check(guests):
        assert sum(each.moves for each in guests) >= CLIENTS
        heard = collections.defaultdict(set)
        for each in guests:
            for tag, places in each.heard.items():
                heard[tag] |= places
        said = [tag for each in guests for tag in each.said]
        assert len(said) > 20 * CLIENTS and set(said) == set(heard)
        for tag, places in heard.items():
            epochs = [epoch for epoch, _ in places]
            assert len(epochs) == len(set(epochs)), f"{tag} was said twice: {places}"

    try:
        servers.extend(server(admin, options) for admin in admins)
        asyncio.run(asyncio.wait_for(main(), 90))
    finally:
        for each in servers:
            each.stop()
