"""Clients with and without tokens for the tests of moderation."""

import contextlib

import pytest
import websockets

from support.confab_process import confab
from support.rich_client import open_rich
from support.tokens import SECRET, token

MODERATOR = ["read", "say", "history", "moderate"]
#: Guests come from another address than moderators, unless a test says otherwise.
ELSEWHERE = "127.0.0.2"


@contextlib.contextmanager
def moderated(folder, *options):
    """A server with guests and moderators."""
    key = folder / "secret"
    key.write_text(SECRET + "\n")
    with confab("--auth-key", key, "--allow-guests", "read,say,history", "--max-event-rate", 0, *options) as server:
        yield server


def at(address):
    return {"local_addr": (address, 0)}


@contextlib.asynccontextmanager
async def member(server, name, path="tea", *, address=ELSEWHERE, **members):
    """A guest that has joined."""
    async with open_rich(server, path, **at(address)) as client:
        await client.hello(name, **members)
        yield client


@contextlib.asynccontextmanager
async def user(server, sub, path="tea", *, address="127.0.0.1", rights=None, **claims):
    """A user that has joined with a token in its hello."""
    claims = claims | ({"rights": rights} if rights else {})
    async with open_rich(server, path, **at(address)) as client:
        await client.send("hello", name=claims.get("name", sub), token=token(sub, **claims))
        await client.until("welcome")
        yield client


def moderator(server, path="tea", name="Mod", **options):
    return user(server, f"id of {name}", path, name=name, rights=MODERATOR, **options)


async def moderate(client, action, **members):
    """Sends an event of a moderator, and returns the response."""
    ref = f"r{len(client.heard)}"
    await client.send(action, ref=ref, **members)
    while True:
        event = await client.next()
        if event.get("ref") == ref:
            return event


async def ending(client):
    """Returns the last event before the connection is closed, the close code and the reason."""
    last = None
    try:
        while True:
            event = await client.next()
            last = event if event["type"] != "presence" else last
    except websockets.ConnectionClosed as error:
        return last, error.rcvd.code, error.rcvd.reason


async def refusal(server, name, path="tea", *, address=ELSEWHERE, **members):
    """Returns the last event, the close code and the reason for a client that is closed in its hello."""
    async with open_rich(server, path, **at(address)) as client:
        await client.send("hello", name=name, **members)
        return await ending(client)


async def status(server, path="tea", *, address=ELSEWHERE, **options):
    """Returns the status of a rejected handshake."""
    with pytest.raises(websockets.InvalidStatus) as error:
        async with websockets.connect(server.ws + path, **at(address), **options):
            pass
    return error.value.response.status_code
