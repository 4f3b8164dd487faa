"""Clients whose tokens expire."""

import asyncio
import json
import time

import pytest
import websockets

from clients.admission.users import bearer, closing, plain, user
from support.confab_process import confab
from support.coroutines import go
from support.raw_client import RawClient, frame
from support.rich_client import SUBPROTOCOL, rich
from support.tokens import token


def test_expired_client_is_asked_for_a_token(key_file):
    async def main(server):
        async with user(server, token("u1", name="Ann", lifetime=0.5)) as ann:
            assert ann.welcome["expires"] <= time.time() * 1000 + 500
            assert await ann.until("token") == {"type": "token", "grace": 2000}
            for text, code in [
                    (token("u1", lifetime=-1), "tokenExpired"), (token("u2"), "forbidden"), ("x", "tokenInvalid"),
                    (token("u1", rooms=["/x"]), "forbidden")]:
                assert (await ann.error("token", token=text, ref="r"))["code"] == code
            await ann.send("token", token=token("u1", name="Bob", rights=["read"], lifetime=1.5))
            admitted = await ann.until("admitted")
            assert admitted["rights"] == ["read"] and admitted["expires"] > ann.welcome["expires"]
            assert (await ann.error("say", tag="t", text="x"))["code"] == "forbidden"
            # The next token expires, too, and the client sends none.
            await ann.until("token")
            start = time.monotonic()
            assert (await closing(ann))[1:] == (4002, "token expired")
            assert 1.5 < time.monotonic() - start < 10
    with confab("--auth-key", key_file, "--auth-grace", "2") as server:
        go(main(server))


def test_token_without_expiry_ends_the_watch(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann", lifetime=1)) as ann:
            await ann.send("token", token=token("u1", name="Ann"))
            assert "expires" not in await ann.until("admitted")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ann.until("token"), 1.5)
            assert (await ann.say("x"))["from"] == "Ann"
    go(main())


def test_plain_client_is_closed_at_its_expiry(guarded):
    async def main():
        async with plain(guarded, **bearer(token(lifetime=0.5))) as client:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "token expired")
    go(main())


def test_client_that_expires_before_its_welcome_joins_no_room(key_file, tmp_path):
    """The hello waits for messages that the room does not have yet. When they come, the connection is closing."""
    options = ["--auth-key", key_file, "--auth-grace", "0", "--allow-guests", "read,say,history", "--loops", "1",
               "--history", tmp_path / "history.db", "--durability", "full"]

    async def main(server):
        async with rich(server, "Bob") as bob:
            with RawClient(server.port) as eve:
                eve.open(Sec_WebSocket_Protocol=SUBPROTOCOL)
                eve.send(frame(1, json.dumps({
                    "type": "hello", "name": "Eve", "token": token("u1", lifetime=2), "after": 2,
                    "epoch": bob.welcome["epoch"]}).encode()))
                # The client does not answer the close frame.
                assert await asyncio.to_thread(eve.close_code) == 4002
                await bob.say("one")
                await bob.say("two")
                async with rich(server, "Cid") as cid:
                    assert sorted(cid.welcome["people"]) == ["Bob", "Cid"] and cid.welcome["count"] == 2
    with confab(*options) as server:
        go(main(server))
