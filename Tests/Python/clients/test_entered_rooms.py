"""Several rooms over one connection of the rich protocol."""

import asyncio
import contextlib
import json
import pathlib
import secrets
import signal
from urllib.parse import quote

import pytest
import websockets

from support.confab_process import confab
from support.raw_client import RawClient, frame
from support.rich_client import SUBPROTOCOL, open_rich, rich
from support.tokens import SECRET, token


def run(test, *options):
    """Runs the test with a server."""
    with confab(*options) as server:
        asyncio.run(asyncio.wait_for(test(server), 30))


async def enter(client, room, **members):
    """Enters a room and returns the welcome."""
    await client.send("enter", room=room, **members)
    return await client.until("welcome", room=room)


async def say(client, text, **members):
    """Sends a message and returns it when it comes back."""
    tag = secrets.token_urlsafe(9)
    await client.send("say", tag=tag, text=text, **members)
    return await client.until("message", tag=tag)


def test_events_of_entered_rooms_have_the_room():
    async def test(server):
        async with rich(server, "Ann", "tea") as ann, rich(server, "Bob", "coffee") as bob:
            welcome = await enter(ann, "/coffee")
            assert welcome["name"] == "Ann" and sorted(welcome["people"]) == ["Ann", "Bob"]
            presence = await bob.until("presence")
            while "Ann" not in presence["joined"]:
                presence = await bob.until("presence")
            assert "room" not in presence and presence["count"] == 2
            assert "Ann" in (await ann.until("presence", room="/coffee"))["joined"]
            message = await say(ann, "hi", room="/coffee")
            assert message["room"] == "/coffee" and message["member"] == welcome["member"] and message["id"] == 1
            # The same message, without the room, for a client whose path is the room.
            heard = await bob.until("message")
            assert heard == {name: value for name, value in message.items() if name != "room"}
            assert "room" not in await say(ann, "at home") and "room" not in await say(ann, "here", room="/tea")
            await bob.send("typing")
            assert await ann.until("typing") == {"type": "typing", "name": "Bob", "room": "/coffee"}
            await ann.send("edit", room="/coffee", id=1, text="hello")
            edited = await ann.until("edited")
            assert (edited["room"], edited["message"], edited["text"]) == ("/coffee", 1, "hello")
            await ann.send("remove", room="/coffee", id=1)
            assert (await ann.until("removed"))["room"] == "/coffee"
            assert "room" not in await bob.until("removed")
            await ann.send("rename", room="/coffee", name="Anna")
            assert await ann.until("renamed") == {"type": "renamed", "name": "Anna", "room": "/coffee"}
            assert (await bob.until("presence"))["renamed"] == [["Ann", "Anna"]]
            await ann.send("history", room="/coffee", before=100)
            page = await ann.until("history")
            assert page["room"] == "/coffee" and [one["id"] for one in page["messages"]] == [1, 2, 3]
            assert all("room" not in one for one in page["messages"])
    run(test, "--max-event-rate", "0")


def test_left_rooms_are_silent():
    async def test(server):
        async with rich(server, "Ann", "tea") as ann, rich(server, "Bob", "coffee") as bob:
            await enter(ann, "/coffee")
            await say(bob, "before")
            await ann.send("leave", room="/coffee")
            await ann.until("left", room="/coffee")
            await bob.until("presence", left=["Ann"])
            await say(bob, "after")
            await say(ann, "at home")
            assert [one["text"] for one in ann.messages()] == ["before", "at home"]
            error = await ann.error("say", room="/coffee", tag="t", text="x", ref="r")
            assert (error["code"], error["room"], error["tag"], error["ref"]) == ("notEntered", "/coffee", "t", "r")
            assert (await ann.error("leave", room="/coffee"))["code"] == "notEntered"
            assert [one["text"] for one in (await enter(ann, "/coffee"))["messages"]] == ["before", "after"]
    run(test, "--max-event-rate", "0")


def test_entered_rooms_are_resumed_by_their_sessions():
    async def test(server):
        session = secrets.token_hex(24)
        async with rich(server, "Bob", "coffee") as bob:
            async with rich(server, "Ann", "tea", session=session) as ann:
                first = await enter(ann, "/coffee", session=session)
                assert first["session"] == session and first["member"] != ann.heard[0]["member"]
                await say(ann, "one", room="/coffee")
            await say(bob, "two")
            async with rich(server, "Ann", "tea", session=session) as ann:
                again = await enter(ann, "/coffee", session=session, epoch=first["epoch"], after=1)
                assert again["member"] == first["member"] and not again["gap"]
                assert [one["text"] for one in again["messages"]] == ["two"]
                # A second connection with the session of an entered room takes it over.
                async with rich(server, "Ann", "milk") as other:
                    await enter(other, "/coffee", session=session)
                    await ann.socket.wait_closed()
                    assert ann.socket.close_code == 4001
                    assert (await say(other, "three", room="/coffee"))["member"] == first["member"]
    run(test, "--max-event-rate", "0")


@pytest.mark.parametrize("room", ["", "tea", "//", "/a//b", "/a/../b", "/.", "/a/..", "/\0", "/" + "x" * 1024])
def test_rejects_invalid_rooms(room):
    async def test(server):
        async with rich(server, "Ann") as ann:
            await ann.send_text('{"type": "enter", "ref": "r", "room": %s}' % json.dumps(room))
            error = await ann.until("error")
            assert (error["code"], error["ref"]) == ("roomInvalid", "r") and "room" not in error
    run(test)


def test_rejects_events_that_it_cannot_handle():
    async def test(server):
        async with open_rich(server, "tea") as ann:
            assert (await ann.error("enter", room="/coffee"))["code"] == "notIntroduced"
            await ann.hello("Ann")
            for text in ('{"type": "enter"}', '{"type": "leave"}', '{"type": "enter", "room": 1}',
                         '{"type": "say", "tag": "a", "text": "b", "room": []}'):
                await ann.send_text(text)
                assert (await ann.until("error"))["code"] == "malformed"
            assert (await ann.error("enter", room="/tea"))["code"] == "alreadyIntroduced"
            assert (await ann.error("leave", room="/tea"))["code"] == "notEntered"
            await enter(ann, "/caf\u00e9", ref="e1")
            # Canonically equivalent paths are one room.
            assert (await ann.error("enter", room="/cafe\u0301"))["code"] == "alreadyIntroduced"
            assert (await say(ann, "x", room="/cafe\u0301"))["room"] == "/caf\u00e9"
            assert (await ann.error("enter", room="/other", name=""))["code"] == "nameInvalid"
            assert (await ann.error("typing", room="/other"))["code"] == "notEntered"
    run(test, "--max-event-rate", "0")


def test_names_are_taken_in_each_room_by_itself():
    async def test(server):
        async with rich(server, "Ann", "tea") as ann, rich(server, "Ann", "coffee") as other:
            error = await ann.error("enter", room="/coffee")
            assert (error["code"], error["room"]) == ("nameTaken", "/coffee")
            assert (await enter(ann, "/coffee", name=error["proposal"]))["name"] == error["proposal"]
            assert other.socket.close_code is None
    run(test, "--max-event-rate", "0")


def test_number_of_rooms_is_limited():
    async def test(server):
        async with rich(server, "Ann", "1") as ann:
            assert ann.welcome["limits"]["rooms"] == 3
            await enter(ann, "/2")
            await enter(ann, "/3")
            error = await ann.error("enter", room="/4", ref="r4")
            assert (error["code"], error["room"], error["ref"]) == ("tooManyRooms", "/4", "r4")
            await ann.send("leave", room="/2")
            await ann.until("left", room="/2")
            await enter(ann, "/4")
    run(test, "--max-event-rate", "0", "--max-rooms-per-connection", "3")


def test_server_with_too_many_rooms_opens_no_other():
    async def test(server):
        async with rich(server, "Ann", "1") as ann:
            await enter(ann, "/2")
            error = await ann.error("enter", room="/3")
            assert (error["code"], error["room"]) == ("unavailable", "/3")
            await ann.send("leave", room="/2")
            await enter(ann, "/3")
    run(test, "--max-rooms", "2")


def test_entered_rooms_leave_rooms_for_paths():
    async def test(server):
        async with rich(server, "Ann", "1") as ann:
            for number in range(2, 7):
                await enter(ann, f"/{number}")
            assert (await ann.error("enter", room="/7"))["code"] == "unavailable"
            # Rooms that exist can be entered, and the path of a request opens a room.
            async with rich(server, "Bob", "7") as bob, rich(server, "Cid", "8"):
                await enter(ann, "/7")
                assert (await bob.error("enter", room="/9"))["code"] == "unavailable"
    run(test, "--max-rooms", "8", "--max-event-rate", "0")


@pytest.mark.parametrize("member", ["token", "session", "epoch", "name"])
def test_large_enter_is_not_stored(member):
    """An event may be as long as a legal message. Its room needs only what is in the welcome."""
    async def test(server):
        async with rich(server, "Ann", "0") as ann:
            await enter(ann, "/first")
            before = server.memory()
            for number in range(1, 60):
                large = {member: "x" * 200_000} | ({"after": 1} if member == "epoch" else {})
                await ann.send_text(json.dumps({"type": "enter", "room": f"/{number}", **large}))
                await ann.until("error" if member == "name" else "welcome", room=f"/{number}")
            assert server.memory() - before < 6 << 20
    run(test, "--max-event-rate", "0", "--max-byte-rate", "0")


def test_path_that_is_too_long_as_a_name_opens_no_room():
    """A character of 4 bytes has 12 bytes in NFC."""
    async def test(server):
        with pytest.raises(websockets.InvalidStatus) as error:
            await websockets.connect(server.ws + "%F0%9D%85%A0" * 100)
        assert error.value.response.status_code == 414
        async with rich(server, "Ann", "%F0%9D%85%A0" * 80) as ann:
            name = ann.welcome["room"]
            assert len(name.encode()) == 1 + 80 * 12
        async with rich(server, "Bob", "tea") as bob:
            await enter(bob, name)
    run(test)


def test_rooms_of_all_loops_are_in_one_order():
    """Clients on several loops enter the same rooms, and get each room's messages in one order."""
    rooms = [f"/{number}" for number in range(5)]

    async def test(server):
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for number in range(6):
                clients.append(await stack.enter_async_context(rich(server, f"n{number}", f"home{number}")))
                for room in rooms:
                    await enter(clients[-1], room)

            async def talk(one):
                for number in range(20):
                    await one.send("say", room=rooms[number % 5], tag=f"t{number}", text=str(number))

            async def listen(one):
                heard = {room: [] for room in rooms}
                while sum(map(len, heard.values())) < 6 * 20:
                    message = await one.until("message")
                    heard[message["room"]].append((message["id"], message["member"], message["text"]))
                return heard
            results = await asyncio.gather(*map(listen, clients), *map(talk, clients))
            for room in rooms:
                assert [entry[0] for entry in results[0][room]] == list(range(1, 25))
            assert all(heard == results[0] for heard in results[:6])
    run(test, "--max-event-rate", "0", "--loops", "3")


def test_entered_rooms_need_the_right_of_the_token(tmp_path):
    key = tmp_path / "secret"
    key.write_text(SECRET + "\n")

    async def test(server):
        async with open_rich(server, "tea") as ann:
            text = token("u1", name="Ann", rooms=["/tea", "/team/*"], rights=["read", "history"])
            await ann.send("hello", token=text)
            await ann.until("welcome")
            error = await ann.error("enter", room="/coffee")
            assert (error["code"], error["room"]) == ("forbidden", "/coffee")
            welcome = await enter(ann, "/team/a", name="Other")
            assert welcome["name"] == "Ann" and welcome["rights"] == ["read", "history"]
            error = await ann.error("say", room="/team/a", tag="t", text="x")
            assert (error["code"], error["room"]) == ("forbidden", "/team/a")
            # A new token of the same user that does not allow the room.
            await ann.send("token", token=token("u1", name="Ann", rooms=["/tea"]))
            await ann.until("admitted")
            await ann.until("left", room="/team/a")
            assert (await ann.error("enter", room="/team/a"))["code"] == "forbidden"
    run(test, "--auth-key", key)


@pytest.mark.parametrize("options", [[], ["--durability", "full"]])
def test_entered_rooms_have_the_history_of_the_file(tmp_path, options):
    file = tmp_path / "history.db"

    async def write(server):
        async with rich(server, "Ann") as ann:
            await enter(ann, "/coffee")
            await say(ann, "one", room="/coffee")
            # Sent again, the message is not published twice. The stored one has the room, too.
            first = await say(ann, "two", room="/coffee")
            await ann.send("say", room="/coffee", tag=first["tag"], text="two")
            assert await ann.until("message", tag=first["tag"]) == first

    async def read(server):
        async with rich(server, "Ann") as ann:
            welcome = await enter(ann, "/coffee", history=1)
            assert [one["text"] for one in welcome["messages"]] == ["two"] and welcome["last"] == 2
    for test in (write, read):
        run(test, "--history", file, *options)


def test_room_that_is_left_while_it_opens_can_be_entered_again(tmp_path):
    def event(type, **members):
        return frame(1, json.dumps({"type": type, **members}).encode())
    with confab("--history", tmp_path / "history.db", "--loops", 1) as server, RawClient(server.port) as ann:
        ann.open(Sec_WebSocket_Protocol=SUBPROTOCOL)
        ann.send(event("hello", name="Ann"))
        for number in range(4):
            room = f"/{number}"
            # In one packet, so that the file has not been read when the room is entered again.
            ann.send(event("enter", room=room) + event("leave", room=room) + event("enter", room=room, ref="again"))
            answers = (json.loads(payload) for _, payload in ann.messages())
            answer = next(one for one in answers if one["type"] in ("welcome", "error") and one["room"] == room)
            assert answer["type"] == "welcome", answer


def test_names_that_only_newer_unicode_versions_compose_are_of_different_rooms(tmp_path):
    """To Swift, both names are equal. utf8proc's older version of Unicode has neither of them."""
    names = "\U00016d68", "\U00016d67\U00016d67"
    rooms = ["/" + name for name in names]

    async def write(server):
        async with rich(server, "Ann", quote(names[0])) as ann, rich(server, "Bob", quote(names[1])) as bob:
            for client, room in zip((ann, bob), rooms):
                assert client.welcome["room"] == room and client.welcome["count"] == 1
                await say(client, room)
            assert (await enter(ann, rooms[1]))["people"] in (["Ann", "Bob"], ["Bob", "Ann"])
            assert (await say(ann, "both", room=rooms[1]))["room"] == rooms[1]
            await bob.until("message", text="both")

    async def read(server):
        async with rich(server, "Ann") as ann:
            for room, texts in zip(rooms, ([rooms[0]], [rooms[1], "both"])):
                assert [one["text"] for one in (await enter(ann, room))["messages"]] == texts
    for test in (write, read):
        run(test, "--history", tmp_path / "history.db", "--max-event-rate", "0")


def stop(server):
    """Suspends the server, so that one turn of its loop reads everything that clients send until it goes on."""
    server.process.send_signal(signal.SIGSTOP)
    status = pathlib.Path(f"/proc/{server.process.pid}/status")
    while "T (stopped)" not in status.read_text():
        pass


def test_client_that_has_left_gets_no_name_from_a_user_that_displaced_it(tmp_path):
    key = tmp_path / "secret"
    key.write_text(SECRET + "\n")

    async def test(server):
        async with rich(server, "Bob") as bob, open_rich(server, "coffee") as ann:
            await enter(bob, "/coffee", name="Ann")
            stop(server)
            # A user with the name joins, and the guest leaves, and comes back with another name.
            await ann.send("hello", token=token("u1", name="Ann"))
            await bob.send("leave", room="/coffee")
            await bob.send("enter", room="/coffee", name="Cid")
            server.process.send_signal(signal.SIGCONT)
            assert (await bob.until("welcome", room="/coffee"))["name"] == "Cid"
            await say(bob, "still Cid", room="/coffee")
            assert (await ann.until("message"))["from"] == "Cid"
            assert not [event for event in bob.heard if event["type"] == "renamed"]
    run(test, "--auth-key", key, "--allow-guests", "read,say,history", "--max-event-rate", "0", "--loops", "1")
