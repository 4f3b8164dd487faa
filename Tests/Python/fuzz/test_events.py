"""Mutated events of the rich protocol: the server answers each with an event, or closes the connection with a
reason."""

import asyncio
import json
import random

import websockets

from support.confab_process import confab
from support.rich_client import open_rich, rich

EVENTS = [
    {"type": "hello", "name": "Ann", "session": "0" * 48, "epoch": "e", "after": 3, "history": 50},
    {"type": "hello", "name": "Bob"},
    {"type": "say", "tag": "tag", "text": "你好 👋"},
    {"type": "say", "tag": "x" * 64, "text": "a\nb\t\u202e"},
    {"type": "typing"},
    {"type": "history", "before": 10, "count": 5},
    {"type": "history", "after": 0},
    {"type": "rename", "name": "Anna"},
]
VALUES = [
    None, True, False, 0, -0.0, -1, 1.5, 1e308, -(2**63), 2**63 - 1, 2**64, "", "x", "\x00", "\ud800", "\udfff\ud83d", "é" * 200,
    "👩‍👩‍👧‍👦" * 100, "e" + "\u0301" * 2000, "\u202e\u2066\u200d", "x" * 5000, [], {}, [[[]]], {"type": "say"}, [1] * 1000, "hello", "say",
]
PIECES = [b"{", b"}", b"[" * 600, b"\"", b",", b":", b"\\u", b"\\ud800", b"null", b"1e400", b"-", b"\x00", b"\xff", b"9" * 400, b" " * 100]
SECONDS = 8


def spoilt(generator):
    """Returns text or bytes, rarely still a valid event."""
    event = dict(generator.choice(EVENTS))
    for _ in range(generator.choice((0, 1, 1, 2, 4))):
        name = generator.choice([*event, "type", "name", "text", "other"])
        if generator.random() < 0.2:
            event.pop(name, None)
        else:
            event[name] = generator.choice(VALUES)
    data = bytearray(json.dumps(event, ensure_ascii=generator.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(generator.choice((0, 0, 0, 1, 3))):
        place = generator.randrange(len(data) + 1)
        if generator.random() < 0.5:
            data[place:place] = generator.choice(PIECES)
        else:
            del data[place:place + generator.choice((1, 3, 20))]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytes(data)


async def session(server, generator):
    """Sends mutated events on one connection. The client checks the replies."""
    async with open_rich(server, generator.choice(("", "tea"))) as client:
        if generator.random() < 0.8:
            await client.send("hello", name=f"somebody {generator.randrange(20)}")
        try:
            for _ in range(generator.choice((1, 10, 40))):
                await client.send_text(spoilt(generator))
            await client.say("the end")
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd and closed.rcvd.code in (1008, 4001), f"{closed}; the server's log: {server.said()}"


def test_server_survives_mutated_events():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    async def main(server):
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        async with rich(server, "witness") as witness:
            rounds = 0
            while loop.time() < end:
                generators = [random.Random(f"{seed} {rounds} {number}") for number in range(8)]
                await asyncio.gather(*(session(server, generator) for generator in generators))
                rounds += 1
                assert (await witness.say(f"round {rounds}"))["from"] == "witness"
            assert rounds > 3

    with confab("--loops", 2, "--max-event-rate", 0, "--close-timeout", 60, "--log-level", "info") as server:
        asyncio.run(asyncio.wait_for(main(server), 60))
        assert server.memory() < 200 << 20
