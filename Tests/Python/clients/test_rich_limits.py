"""Limits of the rich protocol: of texts, of events, and of their rates."""

import asyncio
import json

import pytest
import websockets

from support.coroutines import go
from support.rich_client import open_rich, rich

MALFORMED = ["", "x", "null", "[]", "{}", '{"type":5}', '{"type":"hello","name":1}', '{"type":"rename","name":"\\ud800"}', b"{}",
             '{"type":"hello","name":' + "[" * 100_000]


def test_ten_malformed_events_close_the_connection(server):
    async def main():
        async with rich(server, "Bob") as bob, open_rich(server) as client:
            with pytest.raises(websockets.ConnectionClosed) as caught:
                for text in MALFORMED:
                    await client.send_text(text)
                while True:
                    event = await client.next()
                    assert event["code"] == "malformed"
            assert caught.value.rcvd.code == 1008 and len(client.heard) == 10
            assert (await bob.say("unharmed"))["text"] == "unharmed"
    go(main())


@pytest.mark.parametrize("text", ["x" * 4000, "語" * 4000, "👍🏽" * 2000, "e\u0301" * 4000],
                         ids=["one unit", "three bytes", "an emoji of two", "two for a character"])
def test_text_over_the_limit_is_rejected(server, text):
    async def main():
        async with rich(server, "Ann") as ann:
            assert (await ann.say(text))["text"] == text
            assert (await ann.say(text + "x" * 4001))["code"] == "textTooLong"
    go(main())


@pytest.mark.parametrize("text, said", [
    ("a\r\nb\x00\x1b[1m\x85\tc", "a\nb[1m\tc"), ("\u0430\u202e\u200b", "\u0430\u202e\u200b"),
])
def test_control_characters_are_removed(server, text, said):
    async def main():
        async with rich(server, "Ann") as ann:
            assert (await ann.say(text))["text"] == said
    go(main())


def test_bytes_per_character_are_limited(server):
    async def main():
        async with rich(server, "Ann") as ann:
            assert (await ann.say("e" + "\u0301" * 31_000))["type"] == "message"
            assert (await ann.say("e" + "\u0301" * 33_000))["code"] == "textTooLong"
    go(main())


@pytest.mark.parametrize("member", ["text", "other"])
def test_oversized_event_is_rejected_unparsed(server, member):
    async def main():
        async with rich(server, "Ann") as ann:
            limit = 51 * 4000 + 8192
            await ann.send_text('{"type": "say", "tag": "t", "text": "x", "%s": "%s"' % (member, "x" * limit))
            error = await ann.until("error")
            assert error["code"] == "textTooLong" and "tag" not in error
            assert (await ann.say("heard"))["text"] == "heard"
    go(main())


def test_large_event_counts_as_several(server):
    async def main():
        async with rich(server, "Ann") as ann:
            for number in range(4):
                await ann.send_text(json.dumps({"type": "typing", "other": "x" * 150_000}))
            error = await ann.until("error")
            # The burst of 20 covers the first ten, and nine of the next ten.
            assert error["code"] == "rateLimited" and error["retryAfter"] > 0
            assert len([event for event in ann.heard if event["type"] == "typing"]) == 1
    go(main())


def test_event_rate_is_limited(server):
    async def main():
        async with rich(server, "Ann") as ann:
            for number in range(40):
                await ann.send("say", tag=f"t{number}", text=f"{number}")
            answers = {}
            while len(answers) < 40:
                event = await ann.next()
                if event["type"] in ("message", "error"):
                    answers[event["tag"]] = event
            rejected = [event for event in answers.values() if event["type"] == "error"]
            assert 15 <= len(rejected) <= 21 and all(event["code"] == "rateLimited" for event in rejected)
            await asyncio.sleep(rejected[-1]["retryAfter"] / 1000)
            assert (await ann.say("later", rejected[-1]["tag"]))["text"] == "later"
    go(main())


def test_renames_have_a_separate_rate_limit(server):
    async def main():
        async with rich(server, "Ann") as ann:
            for number in range(10):
                await ann.send("rename", name=f"Ann {number}")
                await ann.until("renamed")
            error = await ann.error("rename", name="Anna")
            assert error["code"] == "rateLimited" and 0 < error["retryAfter"] <= 1000
            assert (await ann.say("still heard"))["from"] == "Ann 9"
            await asyncio.sleep(error["retryAfter"] / 1000)
            await ann.send("rename", name="Anna")
            assert (await ann.until("renamed"))["name"] == "Anna"
    go(main())
