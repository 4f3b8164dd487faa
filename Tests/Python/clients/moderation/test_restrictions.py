"""Mutes and bans: their limits, their list, and how they are stored."""

import contextlib
import sqlite3

from support.confab_process import run
from support.coroutines import go
from support.moderation import ending, member, moderate, moderated, moderator, refusal, user
from support.rich_client import open_rich


def test_guest_restriction_time_zero_restricts_the_session_only(tmp_path):
    async def main(server):
        async with moderator(server) as mod, member(server, "Bob") as bob:
            assert "until" not in await moderate(mod, "ban", name="Bob")
            await ending(bob)
            assert (await refusal(server, "Bob", session=bob.welcome["session"]))[1] == 4003
            async with member(server, "Bob"):
                pass
    with moderated(tmp_path, "--max-guest-restriction", 0) as server:
        go(main(server))


def test_number_of_restrictions_is_limited(tmp_path):
    async def main(server):
        async with moderator(server) as mod:
            responses = []
            for number in range(4):
                async with member(server, f"Guest {number}", address=f"127.0.1.{number + 1}"):
                    responses.append(await moderate(mod, "ban", name=f"Guest {number}"))
            assert [response.get("code") for response in responses] == [None, None, None, "tooManyRestrictions"]
            # Another ban of the same guest, and a kick, do not count.
            async with member(server, "Loud", address="127.0.1.9") as loud:
                await moderate(mod, "unban", restriction=responses[0]["restriction"])
                assert (await moderate(mod, "mute", name="Loud"))["type"] == "moderated"
                assert (await moderate(mod, "mute", name="Loud", **{"for": 1000}))["type"] == "moderated"
                assert (await moderate(mod, "ban", name="Loud"))["code"] == "tooManyRestrictions"
                assert (await moderate(mod, "kick", name="Loud"))["type"] == "moderated"
                await ending(loud)
    with moderated(tmp_path, "--max-restrictions", 3) as server:
        go(main(server))


def test_list_of_restrictions_has_pages(server):
    async def main():
        async with moderator(server) as mod:
            for number in range(120):
                async with member(server, f"Guest {number}", address=f"127.0.1.{number + 1}"):
                    await moderate(mod, "ban", name=f"Guest {number}")
            names, after = [], {}
            while True:
                page = await moderate(mod, "restrictions", **after)
                names += [restriction["name"] for restriction in page["restrictions"]]
                if not page["more"]:
                    break
                after = {"after": page["restrictions"][-1]["id"]}
            assert sorted(names) == sorted(f"Guest {number}" for number in range(120))
    go(main())


def test_session_is_banned_behind_a_trusted_proxy_by_the_clients_address(tmp_path):
    async def main(server):
        def behind(address):
            return {"additional_headers": {"X-Forwarded-For": address}}
        async with moderator(server) as mod, open_rich(server, "tea", **behind("::ffff:192.0.2.7")) as bob, \
                open_rich(server, "tea", **behind("2001:db8:0:1::1")) as six:
            await bob.hello("Bob")
            await six.hello("Six")
            await moderate(mod, "ban", name="Bob")
            await moderate(mod, "ban", name="Six")
            await ending(bob)
            await ending(six)
            for address, is_banned in [("192.0.2.7", True), ("192.0.2.8", False), ("2001:db8:0:1:ffff::9", True), ("2001:db8:0:2::1", False)]:
                async with open_rich(server, "tea", **behind(address)) as client:
                    await client.send("hello", name="New")
                    event = await client.next()
                    assert (event["type"] == "error") is is_banned, address
    with moderated(tmp_path, "--trusted-proxy", "127.0.0.1") as server:
        go(main(server))


def test_restrictions_survive_a_restart_with_a_file(tmp_path):
    history = ["--history", tmp_path / "chat.db"]

    async def before(server):
        async with moderator(server) as mod, member(server, "Bob") as bob, user(server, "u1", name="Ann") as ann, \
                member(server, "Cid", address="127.0.0.3") as cid, member(server, "Dan", address="127.0.0.4") as dan:
            await moderate(mod, "ban", name="Bob", reason="spam")
            await moderate(mod, "mute", name="Ann")
            await moderate(mod, "kick", name="Cid")
            await moderate(mod, "ban", name="Dan")
            listed = (await moderate(mod, "restrictions"))["restrictions"]
            await moderate(mod, "unban", restriction=next(one["id"] for one in listed if one["name"] == "Dan"))
            await ending(cid)
            return listed, bob.welcome, ann.welcome, cid.welcome, dan.welcome

    async def after(server, listed, bob, ann, cid, dan):
        assert (await refusal(server, "Bob", session=bob["session"], address="127.0.0.9"))[0]["reason"] == "spam"
        assert (await refusal(server, "New"))[1] == 4003
        async with user(server, "u1", name="Ann") as again:
            assert (await again.say("x"))["code"] == "muted"
        async with member(server, "Cid", session=cid["session"], address="127.0.0.3") as again:
            assert again.welcome["member"] != cid["member"]
        async with member(server, "Dan", session=dan["session"], address="127.0.0.4") as again:
            assert again.welcome["member"] == dan["member"]
        async with moderator(server) as mod:
            assert (await moderate(mod, "restrictions"))["restrictions"] == [one for one in listed if one["name"] != "Dan"]

    with moderated(tmp_path, *history) as server:
        known = go(before(server))
        # A change is on the disk before the response.
        server.stop(signal=9)
    for _ in range(2):
        with moderated(tmp_path, *history) as server:
            go(after(server, *known))


def test_file_with_an_unreadable_restriction_is_refused(tmp_path):
    async def main(server):
        async with moderator(server) as mod, member(server, "Bob"):
            await moderate(mod, "ban", name="Bob")
    with moderated(tmp_path, "--history", tmp_path / "chat.db") as server:
        go(main(server))
    for change in ("UPDATE restrictions SET restriction = replace(restriction, '\"ban\"', '\"banish\"')",
                   "UPDATE restrictions SET restriction = '{}'", "UPDATE restrictions SET id = 'x'"):
        copy = tmp_path / "copy.db"
        with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as source, contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute(change)
            target.commit()
        result = run("--history", copy)
        assert result.returncode == 1 and "in the table restrictions cannot be read" in result.stderr, result.stderr
        copy.unlink()


def test_file_of_the_third_version_gets_the_table(tmp_path):
    async def ban(server):
        async with moderator(server) as mod, member(server, "Bob") as bob:
            assert (await bob.say("kept"))["id"]
            await moderate(mod, "ban", name="Bob")

    async def check(server):
        async with moderator(server) as mod:
            assert [message["text"] for message in mod.welcome["messages"]] == ["kept"]
            assert (await moderate(mod, "restrictions"))["restrictions"] == []
        await ban_again(server)

    async def ban_again(server):
        async with moderator(server, "coffee") as mod, member(server, "Bob", "coffee"):
            assert (await moderate(mod, "ban", name="Bob"))["type"] == "moderated"
    file = tmp_path / "chat.db"
    with moderated(tmp_path, "--history", file) as server:
        go(ban(server))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("DROP TABLE restrictions")
        database.execute("PRAGMA user_version = 3")
    with moderated(tmp_path, "--history", file) as server:
        go(check(server))
