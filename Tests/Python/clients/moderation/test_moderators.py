"""Moderators kick, mute and ban clients."""

import asyncio
import time

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.moderation import ELSEWHERE, at, ending, member, moderate, moderated, moderator, refusal, status, user
from support.rich_client import SUBPROTOCOL, open_rich
from support.tokens import token


def test_kicked_guest_is_closed_and_its_session_is_void(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob, member(server, "Cid") as cid:
            first = await bob.say("mine")
            response = await moderate(mod, "kick", name="Bob", reason="too loud")
            assert response == {"type": "moderated", "action": "kick", "name": "Bob", "ref": response["ref"]}
            assert await ending(bob) == ({"type": "kicked", "reason": "too loud"}, 4003, "kicked: too loud")
            assert (await cid.until("presence", left=["Bob"]))["count"] == 2
            # It may come back, as another member, which cannot change the messages of the first one.
            async with member(server, "Bob", session=bob.welcome["session"]) as again:
                assert again.welcome["member"] != bob.welcome["member"]
                assert again.welcome["session"] != bob.welcome["session"]
                assert (await again.error("remove", id=first["id"]))["code"] == "forbidden"
    go(main())


def test_kick_closes_all_connections_of_a_user(server):
    async def main():
        async with moderator(server) as mod, user(server, "u1", name="Ann") as one, user(server, "u1", name="Ann") as two, \
                member(server, "Cid") as cid:
            await moderate(mod, "kick", member=one.welcome["member"])
            for client in one, two:
                assert await ending(client) == ({"type": "kicked"}, 4003, "kicked")
                again = await refused_or_welcomed(server, client.welcome["session"])
                assert again["member"] != client.welcome["member"]
            await cid.say("still here")
    async def refused_or_welcomed(server, session):
        async with open_rich(server, "tea") as client:
            await client.send("hello", token=token("u1", name="Ann"), session=session)
            return await client.until("welcome")
    go(main())


def test_muted_guest_reads_and_cannot_speak(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob, member(server, "Cid", address="127.0.0.3") as cid:
            said = await bob.say("before")
            start = time.time() * 1000
            response = await moderate(mod, "mute", name="Bob", **{"for": 600_000}, reason="calm down")
            assert 599_000 < response["until"] - start < 660_000 and response["name"] == "Bob"
            muted = await bob.until("muted")
            assert muted == {"type": "muted", "until": response["until"], "reason": "calm down"}
            error = await bob.say("during")
            assert (error["code"], error["until"], error["reason"]) == ("muted", response["until"], "calm down")
            for event in {"type": "rename", "name": "Loud"}, {"type": "edit", "id": said["id"], "text": "during"}, {"type": "typing"}:
                assert (await bob.error(**event, ref="e"))["code"] == "muted"
            # It may read, and remove what it has said.
            await cid.say("hello Bob")
            assert (await bob.until("message", text="hello Bob"))["from"] == "Cid"
            await bob.send("remove", id=said["id"])
            await bob.until("removed", message=said["id"])
            assert (await moderate(mod, "unmute", restriction=response["restriction"]))["action"] == "unmute"
            await bob.until("unmuted")
            assert (await bob.say("after"))["type"] == "message"
            events = cid.heard + [await cid.until("message", text="after")]
            assert not [event for event in events if "during" in str(event) or "Loud" in str(event)]
    go(main())


def test_mute_holds_for_other_connections_of_a_guest(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob, member(server, "Cid", address="127.0.0.3") as cid, \
                websockets.connect(server.ws + "tea", **at(ELSEWHERE)) as plain, member(server, "Bob", "coffee") as elsewhere:
            await moderate(mod, "mute", name="Bob")
            muted = await bob.until("muted")
            # Without the session, from the same address; and with it, under another name.
            async with member(server, "New") as new:
                assert await new.until("muted") == muted
                assert (await new.say("during"))["code"] == "muted"
            async with member(server, "Loud", session=bob.welcome["session"], address="127.0.0.9") as resumed:
                assert resumed.welcome["name"] == "Bob"
                assert (await resumed.say("during"))["code"] == "muted"
            # A muted client of the plain protocol is not informed, and reads on.
            await plain.send("during")
            await cid.say("end")
            while "end" not in (text := await plain.recv()):
                assert "during" not in text
            assert not [event for event in cid.heard if event.get("text") == "during"]
            # The moderator's mute applies to its room only.
            assert (await elsewhere.say("here"))["type"] == "message"
            assert (await cid.say("allowed"))["type"] == "message"
    go(main())


def test_mute_ends_by_itself(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob:
            await moderate(mod, "mute", name="Bob", **{"for": 400})
            await bob.until("muted")
            while (event := await bob.say("again"))["type"] == "error":
                assert event["code"] == "muted"
                await asyncio.sleep(0.05)
            assert (await moderate(mod, "restrictions"))["restrictions"] == []
            assert (await moderate(mod, "unmute", name="Bob"))["code"] == "notFound"
    go(main())


def test_banned_guest_cannot_come_back(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob, member(server, "Cid", address="127.0.0.3") as cid, \
                websockets.connect(server.ws + "tea", **at(ELSEWHERE)) as plain:
            response = await moderate(mod, "ban", name="Bob", reason="spam")
            # A ban of a guest lasts a day at most, because it holds for an address.
            assert 86_000_000 < response["until"] - time.time() * 1000 < 86_500_000
            event, code, reason = await ending(bob)
            assert event == {"type": "banned", "until": response["until"], "reason": "spam"}
            assert (code, reason) == (4003, "banned: spam")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await plain.recv()
            assert closed.value.rcvd.code == 4003
            refused = {"type": "error", "code": "banned", "message": "banned", "until": response["until"], "reason": "spam"}
            assert await refusal(server, "New") == (refused, 4003, "banned: spam")
            session = bob.welcome["session"]
            assert await refusal(server, "New", session=session, address="127.0.0.9") == (refused, 4003, "banned: spam")
            assert await status(server) == 403
            # The others, other rooms, and users with a token are not banned.
            assert (await cid.say("hello"))["type"] == "message"
            async with member(server, "Bob", "coffee"), user(server, "u1", address=ELSEWHERE):
                pass
            listed = (await moderate(mod, "restrictions"))["restrictions"]
            assert listed == [{"id": response["restriction"], "kind": "ban", "name": "Bob", "by": "Mod", "reason": "spam",
                               "until": response["until"]}]
            assert (await moderate(mod, "unban", restriction=response["restriction"]))["name"] == "Bob"
            async with member(server, "Bob", session=session) as again:
                assert again.welcome["member"] == bob.welcome["member"]
    go(main())


def test_banned_user_is_refused_by_its_token(server):
    async def main():
        async with moderator(server) as mod, user(server, "u1", name="Ann", address=ELSEWHERE) as ann, \
                member(server, "Cid") as cid:
            response = await moderate(mod, "ban", name="ann")
            assert "until" not in response
            assert (await ending(ann))[:2] == ({"type": "banned"}, 4003)
            header = {"additional_headers": {"Authorization": f"Bearer {token('u1', name='Ann')}"}}
            assert await status(server, address="127.0.0.9", **header) == 403
            assert await status(server, address="127.0.0.9", subprotocols=[SUBPROTOCOL], **header) == 403
            assert await status(server, f"tea?token={token('u1')}") == 403
            error, code, _ = await refusal(server, "x", token=token("u1"), address="127.0.0.9")
            assert (error["code"], code) == ("banned", 4003)
            # Guests with the user's address are not banned.
            assert (await cid.say("hello"))["type"] == "message"
            assert (await moderate(mod, "unban", restriction=response["restriction"]))["type"] == "moderated"
            async with user(server, "u1", name="Ann"):
                pass
    go(main())


def test_only_moderators_of_the_room_moderate(server):
    async def main():
        async with user(server, "u1", name="Ann") as ann, member(server, "Bob") as bob, \
                moderator(server, "coffee", rooms=["/coffee"]) as other:
            for client in ann, bob:
                for action in "kick", "mute", "ban", "unmute", "unban":
                    assert (await moderate(client, action, name="Bob"))["code"] == "forbidden"
                assert (await moderate(client, "restrictions"))["code"] == "forbidden"
            # A moderator of another room does not find the member, and cannot lift.
            assert (await moderate(other, "ban", name="Bob"))["code"] == "notFound"
            assert (await moderate(other, "kick", member=bob.welcome["member"]))["code"] == "notFound"
            async with moderator(server, name="Tea") as tea:
                response = await moderate(tea, "mute", name="Bob")
            assert (await moderate(other, "unmute", restriction=response["restriction"]))["code"] == "notFound"
            assert (await moderate(other, "restrictions"))["restrictions"] == []
            assert (await bob.say("x"))["code"] == "muted"
    go(main())


def test_moderators_are_not_moderated_by_moderators(server):
    async def main():
        async with moderator(server) as mod, moderator(server, name="Eve", address=ELSEWHERE) as eve, member(server, "Bob") as bob:
            for name in "Mod", "Eve":
                for action in "kick", "mute", "ban":
                    assert (await moderate(mod, action, name=name))["code"] == "forbidden"
            # A ban of a guest spares moderators with its address, also new ones.
            await moderate(mod, "ban", name="Bob")
            await ending(bob)
            assert (await eve.say("hello"))["type"] == "message"
            async with moderator(server, name="Fay", address=ELSEWHERE) as fay:
                assert (await fay.say("hello"))["type"] == "message"
    go(main())


def test_wrong_events_of_moderators_are_rejected(server):
    async def main():
        async with moderator(server) as mod, member(server, "Bob") as bob:
            for wrong in ['{"type":"kick"}', '{"type":"kick","name":"Bob","member":"0123456789abcdef"}', '{"type":"ban","member":"x"}',
                          '{"type":"ban","name":1}']:
                await mod.send_text(wrong)
                assert (await mod.until("error"))["code"] == "malformed"
            for time in "0", "-1", "1.5", '"1"', "1e400", "true":
                async with moderator(server, name="Other") as other:
                    await other.send_text(f'{{"type":"mute","name":"Bob","for":{time}}}')
                    assert (await other.until("error"))["code"] == "malformed"
            assert (await moderate(mod, "kick", name="Nobody"))["code"] == "notFound"
            assert (await moderate(mod, "kick", member="0" * 16))["code"] == "notFound"
            assert (await moderate(mod, "kick", name="\u202e"))["code"] == "notFound"
            assert (await moderate(mod, "unban", restriction="0" * 32))["code"] == "notFound"
            await mod.send_text('{"type":"ban","name":"Bob","reason":"' + "x" * 301 + '"}')
            assert (await mod.until("error"))["code"] == "textTooLong"
            # A time that overflows is for good, which for a guest is a day.
            for time in 2**53, 2**63 - 1, 10**17:
                response = await moderate(mod, "mute", name="Bob", **{"for": time})
                assert response["until"] - bob_now() < 86_500_000
            # Control characters of a reason are removed, and a blank one is none.
            await moderate(mod, "mute", name="Bob", reason="a\u0007b\u0000")
            assert (await bob.until("muted", reason="ab"))["reason"] == "ab"
            await moderate(mod, "mute", name="Bob", reason="  ")
            while "reason" in await bob.until("muted"):
                pass
    def bob_now():
        return time.time() * 1000
    go(main())


def test_kick_storm_is_rate_limited(tmp_path):
    async def main(server):
        async with moderator(server) as mod, member(server, "Bob"):
            for _ in range(40):
                await mod.send("kick", name="Nobody")
            codes = [(await mod.until("error"))["code"] for _ in range(40)]
            assert "rateLimited" in codes and "notFound" in codes
    with moderated(tmp_path, "--max-event-rate", 5) as server:
        go(main(server))


def test_without_tokens_nobody_moderates():
    async def main(server):
        async with member(server, "Ann") as ann, member(server, "Bob"):
            assert (await moderate(ann, "kick", name="Bob"))["code"] == "forbidden"
    with confab() as server:
        go(main(server))
