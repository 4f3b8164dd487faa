"""Rights of users and guests, and the rooms that a token admits to."""

import json

import pytest
import websockets

from clients.admission.users import bearer, closing, hello_error, plain, rejection, user
from support.confab_process import confab
from support.coroutines import go
from support.rich_client import open_rich
from support.tokens import token


def test_rooms_are_exact_or_prefixes(guarded):
    async def main():
        text = token(rooms=["/tea", "/team/*", "/caf\u00e9", "/cafe\u0301s/*"])
        for path in "tea", "tea?x=1", "%74ea", "team/a", "team/a/b", "caf%C3%A9", "cafe%CC%81", "caf%C3%A9s/x", "/tea":
            async with user(guarded, text, path, name="Ann"):
                pass
        for path in "", "tea/", "Tea", "teas", "team", "tea/a", "team/../x", "team/%2e%2e/x", "cafe", "caf%C3%A9/x":
            assert await hello_error(guarded, path, token=text, name="Ann") == (
                "forbidden", 4003, "room not allowed"), path
            assert (await rejection(plain(guarded, path, **bearer(text))))[::2] == (403, "room not allowed")
        assert (await hello_error(guarded, token=token(rooms=[]), name="Ann"))[0] == "forbidden"
    go(main())


def test_rights_are_enforced(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            await ann.say("before")
            async with user(guarded, token("u2", name="reader", rights=["read"])) as reader:
                assert reader.welcome["rights"] == ["read"] and reader.welcome["messages"] == []
                assert (reader.welcome["last"], reader.welcome["oldest"]) == (1, 2)
                for type, members in [
                        ("say", {"tag": "t", "text": "x"}), ("typing", {}), ("history", {"before": 2})]:
                    assert (await reader.error(type, **members))["code"] == "forbidden"
                await ann.say("after")
                assert (await reader.until("message"))["text"] == "after"
            async with user(guarded, token("u3", name="Bob", rights=["read", "history"])) as bob:
                assert [message["text"] for message in bob.welcome["messages"]] == ["before", "after"]
        assert (await hello_error(guarded, token=token(rights=["say"]), name="x"))[0] == "forbidden"
        async with plain(guarded, **bearer(token(rights=["read"]))) as one:
            await one.send("x")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await one.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4003, "sending is not allowed")
    go(main())


def test_guests_have_their_rights_only(key_file):
    async def main(server):
        async with open_rich(server) as guest, plain(server) as other:
            welcome = await guest.hello("guest")
            assert welcome["rights"] == ["read"]
            assert (await guest.error("say", tag="t", text="x"))["code"] == "forbidden"
            async with user(server, token("u1", name="Ann")) as ann:
                await ann.say("hi")
                assert (await guest.until("message"))["text"] == "hi"
                assert "hi" in await other.recv()
        # A token that is rejected does not make a guest.
        assert (await hello_error(server, token=token(secret="x" * 32), name="x"))[0] == "tokenInvalid"
        async with open_rich(server) as client:
            await client.send_text(json.dumps({"type": "hello", "name": "x", "token": ""}))
            assert (await closing(client))[0] == "tokenInvalid"
    with confab("--auth-key", key_file, "--allow-guests", "read") as server:
        go(main(server))


def test_moderator_removes_any_message(key_file):
    async def main(server):
        everything = ["read", "say", "history", "moderate"]
        async with user(server, token("a", name="Ann")) as ann, websockets.connect(server.ws, additional_headers={
                "Authorization": f"Bearer {token('p')}"}) as plain, user(
                server, token("h", name="Host", rights=["read", "moderate"])) as host, user(
                server, token("b", rights=everything[:3]), name="Bob") as bob:
            said = await ann.say("rude")
            await plain.send("plain and rude")
            from_plain = await host.until("message", text="plain and rude")
            error = await bob.error("remove", id=said["id"])
            assert error["code"] == "forbidden"
            for id in (said["id"], from_plain["id"]):
                await host.send("remove", id=id)
                for one in (ann, bob, host):
                    assert (await one.until("removed", message=id))["by"] == "Host"
            # A moderator edits no message of others, and this one may not publish.
            kept = await ann.say("kept")
            assert (await host.error("edit", id=kept["id"], text="other"))["code"] == "forbidden"
            assert (await host.error("say", tag="t", text="hello"))["code"] == "forbidden"
            await ann.send("remove", id=kept["id"])
            await host.until("removed", message=kept["id"])
    with confab("--auth-key", key_file, "--max-change-age", 0) as server:
        async def late(server):
            async with user(server, token("a", name="Ann")) as ann, user(
                    server, token("h", name="Host", rights=["read", "moderate"])) as host:
                said = await ann.say("rude")
                assert (await ann.error("remove", id=said["id"]))["code"] == "forbidden"
                await host.send("remove", id=said["id"])
                await ann.until("removed", message=said["id"])
        go(late(server))
    with confab("--auth-key", key_file) as server:
        go(main(server))
