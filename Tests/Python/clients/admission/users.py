"""Clients with and without tokens."""

import contextlib

import pytest
import websockets

from support.rich_client import open_rich


def bearer(text):
    return {"additional_headers": {"Authorization": f"Bearer {text}"}}


def plain(server, path="", **options):
    return websockets.connect(server.ws + path, compression=None, **options)


async def rejection(connecting):
    """Returns the status, the header WWW-Authenticate and the body of a rejected handshake."""
    with pytest.raises(websockets.InvalidStatus) as error:
        async with connecting:
            pass
    response = error.value.response
    return response.status_code, response.headers.get("WWW-Authenticate"), response.body.decode().strip()


async def closing(client):
    """Returns the code of the last error, and the close code and reason."""
    code = None
    try:
        while True:
            event = await client.next()
            code = event["code"] if event["type"] == "error" else code
    except websockets.ConnectionClosed as error:
        return code, error.rcvd.code, error.rcvd.reason


@contextlib.asynccontextmanager
async def user(server, text, path="", **members):
    """A client that has joined with a token in its hello."""
    async with open_rich(server, path) as client:
        await client.send("hello", token=text, **members)
        await client.until("welcome")
        yield client


async def hello_error(server, path="", **members):
    async with open_rich(server, path) as client:
        await client.send("hello", **members)
        return await closing(client)
