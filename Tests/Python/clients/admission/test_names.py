"""Names in tokens, and names of guests beside them."""

from clients.admission.users import closing, hello_error, user
from support.coroutines import go
from support.rich_client import open_rich
from support.tokens import token


def test_verified_name_cannot_be_taken_or_changed(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            for name in "Ann", "ANN", "Ａｎｎ", "aｎn":
                async with open_rich(guarded) as client:
                    await client.send("hello", name=name, token=token("u2"))
                    error = await client.until("error")
                    assert error["code"] == "nameTaken" and error["proposal"] == name + "2"
            assert (await ann.error("rename", name="Bob"))["code"] == "forbidden"
            # Another user with the same name in its token.
            async with open_rich(guarded) as client:
                await client.send("hello", token=token("u2", name="ann"))
                assert (await client.until("error"))["code"] == "nameTaken"
    go(main())


def test_invalid_name_in_a_token_is_rejected(guarded):
    async def main():
        for name in "", " ", "x" * 33, "a\u202eb", "\u0301":
            code, close, reason = await hello_error(guarded, token=token(name=name))
            assert (code, close, reason) == ("tokenInvalid", 4003, "invalid name in the token"), name
    go(main())


def test_verified_user_displaces_a_guest(welcoming):
    async def main():
        async with open_rich(welcoming) as guest:
            await guest.hello("ANN")
            async with user(welcoming, token("u1", name="Ann")) as ann:
                assert (await guest.until("renamed"))["name"] == "ANN2"
                assert sorted(ann.welcome["people"]) == ["ANN2", "Ann"] and ann.welcome["count"] == 2
                assert (await guest.say("x"))["from"] == "ANN2"
                assert (await guest.error("rename", name="Ann"))["code"] == "nameTaken"
                assert (await ann.say("y"))["from"] == "Ann"
                while "Ann" not in (await guest.until("presence"))["joined"]:
                    pass
            # The name is free again.
            await guest.until("presence", left=["Ann"])
            await guest.send("rename", name="Ann")
            await guest.until("renamed", name="Ann")
    go(main())


def test_two_tabs_of_a_user_share_the_name(welcoming):
    async def main():
        text = token("u1", name="Ann")
        async with open_rich(welcoming) as witness, user(welcoming, text) as one:
            await witness.hello("witness")
            async with user(welcoming, text) as two:
                assert two.welcome["member"] != one.welcome["member"]
                assert sorted(two.welcome["people"]) == ["Ann", "witness"] and two.welcome["count"] == 3
                await two.say("two")
                assert (await one.until("message"))["from"] == "Ann"
                event = await witness.until("presence", count=3)
                assert event["left"] == []
            event = await witness.until("presence", count=2)
            assert event["left"] == [] and event["joined"] == []
            async with open_rich(welcoming) as other:
                assert (await other.error("hello", name="Ann"))["code"] == "nameTaken"
        async with open_rich(welcoming) as witness, user(welcoming, text) as one:
            await witness.hello("witness")
            await one.socket.close()
            assert "Ann" in (await witness.until("presence", left=["Ann"]))["left"]
    go(main())


def test_session_of_another_user_is_not_taken_over(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            async with user(guarded, token("u2", name="Bob"), session=ann.welcome["session"]) as bob:
                assert bob.welcome["session"] != ann.welcome["session"]
                assert (await ann.say("still here"))["from"] == "Ann"
            async with user(guarded, token("u1", name="Ann"), session=ann.welcome["session"]) as again:
                assert again.welcome["session"] == ann.welcome["session"]
                assert (await closing(ann))[1] == 4001
    go(main())
