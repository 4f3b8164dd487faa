"""Names of the rich protocol."""

import asyncio
import contextlib
import secrets

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.rich_client import open_rich, rich


async def closed(client):
    """Returns the close code. Ignores earlier events."""
    try:
        while True:
            await client.next()
    except websockets.ConnectionClosed as error:
        return error.rcvd and error.rcvd.code


@pytest.mark.parametrize("name, expected", [
    ("  Ann \t\n Lee ", "Ann Lee"), ("Zoe\u0308", "Zoë"), ("李雷", "李雷"), ("👩‍🚀", "👩‍🚀"), ("❤️", "❤️"),
    ("می‌خواهم", "می‌خواهم"), ("x" * 32, "x" * 32), ("語" * 32, "語" * 32), ("👩‍🚀" * 11, "👩‍🚀" * 11),
])
def test_names_are_normalized(server, name, expected):
    async def main():
        async with rich(server, name) as client:
            assert client.welcome["name"] == expected and client.welcome["people"] == [expected]
            assert (await client.say("x"))["from"] == expected
    go(main())


@pytest.mark.parametrize("name", [
    "", "   ", "\u200b", "a\u202eb", "a\u2067b", "\ufeff", "a\x00b", "a\x7fb", "\ue000", "\u3164", "\u0301", "a\u200db",
    "x" * 33, "語" * 33, "👩‍🚀" * 12, "a" + "\u0301" * 70, "x" * 100_000,
])
def test_deceptive_and_long_names_are_rejected(server, name):
    async def main():
        async with open_rich(server) as client:
            assert (await client.error("hello", name=name))["code"] == "nameInvalid"
            await client.hello("fine")
            assert (await client.error("rename", name=name))["code"] == "nameInvalid"
    go(main())


def test_name_length_limit_is_an_option():
    async def main(server, limit):
        async with rich(server, "x" * limit) as one, open_rich(server) as two:
            assert one.welcome["limits"]["name"] == limit
            assert (await two.error("hello", name="x" * (limit + 1)))["code"] == "nameInvalid"
            assert len((await two.error("hello", name="X" * limit)).get("proposal", "")) == (limit if limit > 1 else 0)
    for limit in 1, 2, 100:
        with confab("--max-name-length", limit) as server:
            go(main(server, limit))


@pytest.mark.parametrize("one, other", [
    ("Ann", "aNN"), ("Zoë", "zoe\u0308"), ("Straße", "STRASSE"), ("Ann", "An\u200cn"), ("Ann", " Ann "), ("❤", "❤\ufe0f"),
    ("x" * 32, "X" * 32),
])
def test_taken_name_is_rejected(server, one, other):
    async def main():
        async with rich(server, one), open_rich(server) as client:
            error = await client.error("hello", name=other)
            assert error["code"] == "nameTaken"
            assert (await client.hello(error["proposal"]))["name"] == error["proposal"]
            assert (await client.error("rename", name=other))["code"] == "nameTaken"
        # The name is free when its member has left.
        async with open_rich(server) as client:
            while True:
                await client.send("hello", name=other)
                if (await client.next())["type"] == "welcome":
                    break
    go(main())


def test_proposed_name_is_free(server):
    async def main():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(rich(server, "Ann"))
            for _ in range(40):
                client = await stack.enter_async_context(open_rich(server))
                error = await client.error("hello", name="Ann")
                await client.hello(error["proposal"])
            names = client.welcome["people"]
            assert len(set(names)) == 41 and {"Ann", "Ann2", "Ann9"} <= set(names)
    go(main())


def test_member_can_rename(server):
    async def main():
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            while "Bob" not in (await bob.until("presence"))["joined"]:
                pass
            await ann.send("rename", name=" Anna ")
            assert (await ann.until("renamed"))["name"] == "Anna"
            event = await bob.until("presence")
            assert event["renamed"] == [["Ann", "Anna"]] and event["joined"] == event["left"] == []
            assert (await ann.say("x"))["from"] == "Anna"
            await ann.send("rename", name="ANNA")
            assert (await ann.until("renamed"))["name"] == "ANNA"
            assert (await ann.error("rename", name="bob"))["code"] == "nameTaken"
            async with rich(server, "Ann") as other:
                assert sorted(other.welcome["people"]) == ["ANNA", "Ann", "Bob"]
    go(main())


def test_session_takes_over_its_name():
    async def main(server):
        async with rich(server, "Bob") as bob, contextlib.AsyncExitStack() as stack:
            old = await stack.enter_async_context(rich(server, "Ann"))
            session = old.welcome["session"]
            for number in range(1, 21):
                new = await stack.enter_async_context(open_rich(server))
                welcome = await new.hello("Ann", session=session, epoch=old.welcome["epoch"], after=number - 1)
                assert welcome["session"] == session and welcome["count"] == 2 and not welcome["gap"]
                assert sorted(welcome["people"]) == ["Ann", "Bob"]
                assert await closed(old) == 4001
                assert (await new.say(f"{number}"))["id"] == number
                old = new
            # The others get no event about all that.
            async with rich(server, "Cid"):
                while (event := await bob.next())["type"] != "presence" or "Cid" not in event["joined"]:
                    if event["type"] == "presence":
                        assert set(event["joined"]) <= {"Ann", "Bob"} and not event["left"] and not event["renamed"]
    with confab("--loops", 2) as server:
        go(main(server))


def test_concurrent_takeovers_leave_one_connection():
    async def main(server):
        async with rich(server, "Ann") as first, contextlib.AsyncExitStack() as stack:
            session = first.welcome["session"]
            clients = [await stack.enter_async_context(open_rich(server)) for _ in range(30)]
            # A connection that is older than the one that has the session is closed without a welcome.
            await asyncio.gather(*(client.hello("Ann", session=session) for client in clients), return_exceptions=True)
            ends = [asyncio.create_task(closed(client)) for client in [first, *clients]]
            while sum(end.done() for end in ends) < 30:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                ended, ends = [end for end in ends if end.done()], [end for end in ends if not end.done()]
                assert all(end.result() == 4001 for end in ended)
                if len(ends) == 1:
                    break
            async with rich(server, "Bob") as bob:
                assert sorted(bob.welcome["people"]) == ["Ann", "Bob"] and bob.welcome["count"] == 2
            ends[0].cancel()
    with confab("--loops", 2) as server:
        go(main(server))


def test_session_takeover_may_rename(server):
    async def main():
        async with rich(server, "Bob") as bob, rich(server, "Ann") as ann, open_rich(server) as again:
            session = ann.welcome["session"]
            while "Ann" not in (await bob.until("presence"))["joined"]:
                pass
            assert (await again.error("hello", name="bob", session=session))["code"] == "nameTaken"
            assert (await ann.say("still there"))["from"] == "Ann"
            assert sorted((await again.hello("Anna", session=session))["people"]) == ["Anna", "Bob"]
            assert await closed(ann) == 4001
            event = await bob.until("presence", renamed=[["Ann", "Anna"]])
            assert event["count"] == 2
    go(main())


def test_wrong_session_does_not_take_over_a_name(server):
    async def main():
        async with rich(server, "Ann") as ann, rich(server, "Eve") as eve, open_rich(server) as client:
            session = ann.welcome["session"]
            for wrong in (session[:-1] + ("0" if session[-1] != "0" else "1"), "0" * 48, "x" * 48, session[:47] + "é"):
                assert (await client.error("hello", name="Ann", session=wrong))["code"] == "nameTaken"
            # In another room the session takes nothing over.
            async with rich(server, "Bob", "tea") as bob, rich(server, "Ann", "tea", session=session) as other:
                assert sorted(other.welcome["people"]) == ["Ann", "Bob"] and other.welcome["count"] == 2
                await bob.say("unharmed")
            await client.hello("Ann2", session="0" * 48)
            assert (await ann.say("unharmed"))["from"] == "Ann" and eve.welcome["session"] != session
    go(main())


def test_session_chosen_by_client_is_kept(server):
    """A client that missed its welcome comes back with its own session and gets its name."""
    async def main():
        own = secrets.token_hex(24)
        async with rich(server, "Ann", session=own) as ann, open_rich(server) as eve:
            assert ann.welcome["session"] == own
            assert (await eve.error("hello", name="Ann", session=own[:-1] + "x"))["code"] == "nameTaken"
            async with rich(server, "Ann", session=own) as again:
                assert again.welcome["session"] == own and again.welcome["count"] == 1
                assert await closed(ann) == 4001
    go(main())


@pytest.mark.parametrize("one, other, is_same", [
    ("caf%C3%A9", "cafe%CC%81", True), ("%E1%84%80%E1%85%A1", "%EA%B0%80", True), ("K", "%E2%84%AA", True),
    ("tea", "Tea", False), ("tea", "tea/", False), ("%EF%BC%A1", "A", False), ("tea", "tea?x=1", True),
])
def test_room_names_are_compared_in_nfc(server, one, other, is_same):
    async def main():
        async with rich(server, "Ann", one) as ann, rich(server, "Bob", other) as bob:
            assert (ann.welcome["room"] == bob.welcome["room"]) == is_same
            assert bob.welcome["count"] == (2 if is_same else 1)
    go(main())


@pytest.mark.parametrize("name", ["ANN", "Ａｎｎ", "𝐀𝐧𝐧", "A\u200cnn"])
def test_names_with_the_same_folded_form_are_taken(server, name):
    async def main():
        async with rich(server, "Ann"), open_rich(server) as other:
            assert (await other.error("hello", name=name))["code"] == "nameTaken"
    go(main())


def test_the_newest_of_two_waiting_connections_of_a_session_wins(tmp_path):
    """Both claim to know more than the room has, so their hellos are pending until it catches up."""
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            session, epoch = bob.welcome["session"], bob.welcome["epoch"]
            for number in range(15):
                last = (await ann.say(f"{number}"))["id"]
                known = {"session": session, "epoch": epoch, "after": last + 1}
                async with open_rich(server) as old, open_rich(server) as new:
                    for client in (old, new):
                        await client.send("hello", name="Bob", **known)
                    await ann.say("caught up")
                    await new.until("welcome")
                    assert await closed(old) == 4001
                    await new.say("still here")
                if number == 0:
                    assert await closed(bob) == 4001
    with confab("--loops", 2, "--history", tmp_path / "chat.db", "--durability", "full", "--max-event-rate", 0) as server:
        go(main(server))
