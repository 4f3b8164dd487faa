"""Moderators in rooms that clients have entered over one connection."""

import pytest

from support.coroutines import go
from support.moderation import ELSEWHERE, MODERATOR, ending, member, moderate, moderator
from support.rich_client import open_rich
from support.tokens import token


async def enter(client, room, **members):
    await client.send("enter", room=room, **members)
    return await client.until("welcome", room=room)


async def sees(client, change, name):
    """Waits for a presence event in which a name has joined or left."""
    while name not in (await client.until("presence"))[change]:
        pass


@pytest.mark.parametrize("action, event", [("kick", "kicked"), ("ban", "banned")])
def test_client_leaves_only_the_room_that_it_is_expelled_from(server, action, event):
    async def main():
        # The moderator and the client have both entered the room.
        async with moderator(server, "office") as mod, member(server, "Bob", "home") as bob, \
                member(server, "Cid", address="127.0.0.3") as cid:
            await enter(mod, "/tea")
            first = await enter(bob, "/tea")
            await sees(cid, "joined", "Bob")
            response = await moderate(mod, action, room="/tea", name="Bob", reason="too loud")
            assert (response["type"], response["action"], response["room"]) == ("moderated", action, "/tea")
            assert await bob.until(event) == {"type": event, "reason": "too loud", "room": "/tea"} | (
                {"until": response["until"]} if action == "ban" else {})
            assert await bob.until("left") == {"type": "left", "room": "/tea"}
            await sees(cid, "left", "Bob")
            # The connection stays open, and no message of the room follows.
            await cid.say("after")
            assert (await bob.say("at home"))["text"] == "at home"
            assert not [heard for heard in bob.heard if heard.get("text") == "after"]
            assert (await bob.error("say", room="/tea", tag="t", text="x"))["code"] == "notEntered"
            # The session is void after a kick. After a ban, the room is closed to it.
            await bob.send("enter", room="/tea", session=first["session"], ref="again")
            if action == "kick":
                assert (await bob.until("welcome", room="/tea"))["member"] != first["member"]
            else:
                error = await bob.until("error")
                assert (error["code"], error["room"], error["ref"]) == ("banned", "/tea", "again")
                assert (error["until"], error["reason"]) == (response["until"], "too loud")
                assert (await bob.say("still at home"))["text"] == "still at home"
                listed = await moderate(mod, "restrictions", room="/tea")
                assert [one["id"] for one in listed["restrictions"]] == [response["restriction"]]
                assert listed["room"] == "/tea"
                assert not (await moderate(mod, "restrictions"))["restrictions"]
                await moderate(mod, "unban", room="/tea", restriction=response["restriction"])
                assert (await enter(bob, "/tea"))["name"] == "Bob"
    go(main())


def test_mute_holds_in_the_entered_room(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob", "home") as bob:
            await enter(bob, "/tea")
            response = await moderate(mod, "mute", name="Bob")
            assert await bob.until("muted") == {"type": "muted", "until": response["until"], "room": "/tea"}
            for event in ({"type": "say", "tag": "t1", "text": "x"}, {"type": "rename", "name": "Loud"}, {"type": "typing"}):
                error = await bob.error(**event, room="/tea")
                assert (error["code"], error["room"]) == ("muted", "/tea")
            assert (await bob.say("at home"))["text"] == "at home"
            # It is muted when it enters again, under the name that it had.
            await bob.send("leave", room="/tea")
            await bob.until("left", room="/tea")
            await enter(bob, "/tea")
            assert (await bob.until("muted"))["room"] == "/tea"
            await moderate(mod, "unmute", restriction=response["restriction"])
            assert await bob.until("unmuted") == {"type": "unmuted", "room": "/tea"}
            await bob.send("say", room="/tea", tag="t2", text="free")
            assert (await bob.until("message", tag="t2"))["room"] == "/tea"
    go(main())


def test_ban_from_the_room_of_the_path_closes_the_connection(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob, member(server, "Cid", "coffee") as cid:
            await enter(bob, "/coffee")
            await sees(cid, "joined", "Bob")
            await moderate(mod, "ban", name="Bob")
            last, code, _ = await ending(bob)
            assert last["type"] == "banned" and "room" not in last and code == 4003
            await sees(cid, "left", "Bob")
    go(main())


def test_moderating_needs_the_right_in_entered_rooms(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob", "home") as bob, member(server, "Cid") as cid:
            await enter(bob, "/tea")
            error = await bob.error("kick", room="/tea", name="Cid")
            assert (error["code"], error["room"]) == ("forbidden", "/tea")
            assert (await mod.error("kick", room="/other", name="Cid"))["code"] == "notEntered"
            assert (await cid.say("still here"))["text"] == "still here"
    go(main())


def test_new_rights_hold_in_entered_rooms(server):
    async def main():
        async with moderator(server) as mod, open_rich(server, "home", local_addr=(ELSEWHERE, 0)) as bob, \
                member(server, "Cid") as cid:
            await bob.send("hello", token=token("u1", name="Bob"))
            await bob.until("welcome")
            await enter(bob, "/tea")
            await moderate(mod, "mute", name="Bob")
            await bob.until("muted")
            # Moderators are not muted by other moderators.
            await bob.send("token", token=token("u1", name="Bob", rights=MODERATOR))
            await bob.until("admitted")
            await bob.send("say", room="/tea", tag="t1", text="as a moderator")
            await cid.until("message", text="as a moderator")
    go(main())
