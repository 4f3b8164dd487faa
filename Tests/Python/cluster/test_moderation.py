"""Moderators of a chat on several servers with NATS."""

import asyncio
import contextlib
import json
import time

import pytest
import websockets

from support.coroutines import go
from support.moderation import ending, member, moderate, moderated, moderator, refusal, user
from support.nats_process import broker

STREAM = "CONFAB-RESTRICTIONS"
UNREADABLE = "is not a mute or ban that can be read"


@pytest.fixture
def one():
    with broker() as one:
        yield one


@contextlib.contextmanager
def servers(one, folder, count=2):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(moderated(folder, "--nats", one.url)) for _ in range(count)]


async def until_present(client, name):
    """Waits until a member of another server is known."""
    while name not in client.welcome["people"] and not any(
            name in event.get("joined", ()) for event in client.heard if event["type"] == "presence"):
        await client.next()


def test_moderator_reaches_clients_of_another_server(one, tmp_path):
    async def main(here, there):
        async with moderator(here) as mod, member(there, "Bob") as bob, member(there, "Cid", address="127.0.0.3") as cid, \
                user(there, "u1", name="Ann") as ann, moderator(there, name="Eve") as eve:
            for name in "Bob", "Cid", "Ann", "Eve":
                await until_present(mod, name)
            assert (await moderate(mod, "ban", name="Eve"))["code"] == "forbidden"
            muted = await moderate(mod, "mute", name="Ann", reason="hush")
            assert await ann.until("muted") == {"type": "muted", "reason": "hush"}
            assert (await ann.say("x"))["code"] == "muted"
            await moderate(mod, "kick", name="Bob", reason="out")
            assert await ending(bob) == ({"type": "kicked", "reason": "out"}, 4003, "kicked: out")
            await moderate(mod, "ban", name="Cid", reason="spam")
            assert (await ending(cid))[1:] == (4003, "banned: spam")
            # With its session at the other server, the kicked client is another member.
            for server, name in (here, "Bob 2"), (there, "Bob 3"):
                async with member(server, name, session=bob.welcome["session"]) as again:
                    assert again.welcome["member"] != bob.welcome["member"]
                # The ban holds for the session, and for the address that the other server knows.
                assert (await refusal(server, "New", address="127.0.0.3"))[0]["code"] == "banned"
                assert (await refusal(server, "New", session=cid.welcome["session"]))[0]["code"] == "banned"
            # The other moderator sees and lifts what this one has made.
            listed = (await moderate(eve, "restrictions"))["restrictions"]
            assert {(entry["kind"], entry["name"], entry["by"]) for entry in listed} == {("mute", "Ann", "Mod"), ("ban", "Cid", "Mod")}
            await moderate(eve, "unmute", restriction=muted["restriction"])
            await ann.until("unmuted")
            assert (await ann.say("y"))["type"] == "message"
    with servers(one, tmp_path) as (here, there):
        go(main(here, there))


def test_kick_of_a_user_reaches_its_connections_at_all_servers(one, tmp_path):
    async def main(here, there):
        async with moderator(here) as mod, user(here, "u1", name="Ann") as near, user(there, "u1", name="Ann") as far:
            await moderate(mod, "kick", name="Ann")
            assert (await ending(near))[1] == (await ending(far))[1] == 4003
            for server, client in (here, far), (there, near):
                async with user(server, "u1", name="Ann", session=client.welcome["session"]) as again:
                    assert again.welcome["member"] != client.welcome["member"]
    with servers(one, tmp_path) as (here, there):
        go(main(here, there))


def test_server_that_starts_later_knows_restrictions_before_it_admits(one, tmp_path):
    async def make(server):
        async with moderator(server) as mod:
            for number in range(30):
                async with member(server, f"Guest {number}", address=f"127.0.1.{number + 1}"):
                    await moderate(mod, "ban", name=f"Guest {number}", reason=f"{number}")

    async def check(server):
        # At once, and all at the same time.
        results = await asyncio.gather(*(refusal(server, "New", address=f"127.0.1.{number + 1}") for number in range(30)))
        assert [(result[0]["code"], result[0]["reason"]) for result in results] == [("banned", f"{number}") for number in range(30)]
    with servers(one, tmp_path, 1) as (first,):
        go(make(first))
        with moderated(tmp_path, "--nats", one.url) as later:
            go(check(later))
    # After all servers have stopped, too.
    with servers(one, tmp_path, 1) as (again,):
        go(check(again))


def test_server_that_was_away_learns_what_was_made_and_lifted(one, tmp_path):
    async def main(server):
        async with moderator(server) as mod, member(server, "Bob") as bob:
            response = await moderate(mod, "mute", name="Bob")
            await bob.until("muted")
            one.kill()
            await mod.until("availability", available=False)
            # In effect at once, and stored when the broker is back.
            await mod.send("unmute", restriction=response["restriction"], ref="later")
            await bob.until("unmuted")
            await mod.send("ban", name="Bob", ref="ban")
            assert (await ending(bob))[1] == 4003
            one.start()
            assert {(await mod.until("moderated"))["ref"] for _ in range(2)} == {"later", "ban"}
            assert (await refusal(server, "Bob"))[1] == 4003

    async def after(server):
        assert (await refusal(server, "Bob"))[0]["code"] == "banned"
        async with moderator(server) as mod:
            assert [entry["kind"] for entry in (await moderate(mod, "restrictions"))["restrictions"]] == ["ban"]
    with servers(one, tmp_path, 1) as (server,):
        go(main(server))
        with moderated(tmp_path, "--nats", one.url) as other:
            go(after(other))


def publish(one, id, body):
    assert one.request(f"confab.restriction.{id}", body, patience=10)["seq"]


def test_unreadable_restriction_keeps_rooms_closed_until_it_is_deleted(one, tmp_path):
    async def enters(server):
        try:
            async with member(server, "Cid", address="127.0.0.3"):
                return True
        except websockets.ConnectionClosed as error:
            assert (error.rcvd.code, error.rcvd.reason) == (1013, "room not open in time")
            return False

    async def main(first):
        # A client keeps the room open at the server that knows the ban.
        async with moderator(first) as mod:
            async with member(first, "Bob"):
                id = (await moderate(mod, "ban", name="Bob"))["restriction"]
            for body in b"hello", b"{}", json.dumps({"kind": "exile", "by": "x", "author": "program", "user": "u"}).encode(), b"\xff":
                await asyncio.to_thread(publish, one, id, body)
            await asyncio.to_thread(first.until_said, UNREADABLE)
            assert (await refusal(first, "Bob"))[0]["code"] == "banned"
            assert await enters(first)
            with moderated(tmp_path, "--nats", one.url, "--handshake-timeout", 2) as later:
                assert not await enters(later)
                await asyncio.to_thread(later.until_said, UNREADABLE)
                last = one.request(f"$JS.API.STREAM.INFO.{STREAM}")["state"]["last_seq"]
                deleted = one.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", json.dumps({"seq": last}).encode(), patience=10)
                assert deleted["success"]
                while not await enters(later):
                    pass
    with servers(one, tmp_path, 1) as (first,):
        go(main(first), 180)


def test_lost_stream_gets_what_a_server_knows(one, tmp_path):
    async def ban(server):
        async with moderator(server) as mod, member(server, "Bob"):
            await moderate(mod, "ban", name="Bob")

    async def check(server):
        assert (await refusal(server, "Bob"))[0]["code"] == "banned"
    with servers(one, tmp_path, 1) as (server,):
        go(ban(server))
        assert one.request(f"$JS.API.STREAM.DELETE.{STREAM}", patience=10)["success"]
        end = time.monotonic() + 30
        while (one.request(f"$JS.API.STREAM.INFO.{STREAM}") or {}).get("state", {}).get("messages") != 1:
            assert time.monotonic() < end
            time.sleep(0.1)
        with moderated(tmp_path, "--nats", one.url) as later:
            go(check(later))


def test_stream_that_forgets_restrictions_is_not_used(one, tmp_path):
    config = {"name": STREAM, "subjects": ["confab.restriction.*"], "retention": "limits", "storage": "file", "max_age": 10**12,
              "duplicate_window": 10**11, "num_replicas": 1, "max_msgs_per_subject": 1}
    assert "error" not in one.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode(), patience=10)
    with moderated(tmp_path, "--nats", one.url) as server:
        server.until_said("it deletes mutes and bans: max_bytes must be -1 and max_age 0")
