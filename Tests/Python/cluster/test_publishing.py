"""Messages on their way to the broker: published once, delivered, or rejected."""

import asyncio
import tempfile

import websockets

from support.confab_process import confab
from support.coroutines import go
from support.nats_process import broker
from support.network import Network
from support.rich_client import rich


def test_lost_acknowledgements_do_not_repeat_messages():
    """Messages that the broker stored without the server knowing are not published twice."""
    async def main(server, network):
        is_over = asyncio.Event()

        async def talk(number):
            said, heard = 0, []
            async with websockets.connect(server.ws, compression=None, max_queue=None) as plain:
                async def hear():
                    async for text in plain:
                        heard.append(text)
                        if text == f"{number} over":
                            return
                hearing = asyncio.create_task(hear())
                while not is_over.is_set():
                    for _ in range(10):
                        await plain.send(f"{number} {said}")
                        said += 1
                    await asyncio.sleep(0.1)
                await plain.send(f"{number} over")
                await asyncio.wait_for(hearing, 20)
            own = [text for text in heard if text.startswith(f"{number} ")]
            assert own == [f"{number} {index}" for index in (*range(said), "over")]
            return heard

        talks = [asyncio.create_task(talk(number)) for number in range(8)]
        for _ in range(4):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(network.deafen)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(network.cut)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(network.restore)
            await asyncio.sleep(1)
        is_over.set()
        for heard in await asyncio.gather(*talks):
            assert len(set(heard)) == len(heard)

    with broker() as one, Network(one) as network, confab(
            "--nats", f"nats://127.0.0.1:{network.port}", "--max-message-rate", 0) as server:
        go(main(server, network))


def test_equal_tags_of_two_members_are_two_messages():
    with broker() as one, confab("--nats", one.url, "--max-event-rate", 0) as first, confab(
            "--nats", one.url, "--max-event-rate", 0) as second:
        async def main():
            async with rich(first, "Ann") as ann, rich(second, "Bob") as bob:
                for number in range(30):
                    await asyncio.gather(*(one.send("say", tag=f"{number}", text="x") for one in (ann, bob)))
                members = [each.welcome["member"] for each in (ann, bob)]
                for one in (ann, bob):
                    while len(one.messages()) < 60:
                        await one.next()
                    said = [(message["member"], int(message["tag"])) for message in one.messages()]
                    assert sorted(said) == sorted((member, number) for member in members for number in range(30))
        go(main())


def test_tag_sent_to_two_servers_is_published_once():
    with broker() as one, confab("--nats", one.url, "--max-event-rate", 0) as first, confab(
            "--nats", one.url, "--max-event-rate", 0) as second:
        async def main():
            async with rich(first, "Bob") as bob:
                async with rich(first, "Ann") as ann:
                    for number in range(30):
                        await ann.send("say", tag=f"{number}", text="x")
                # She does not know whether it was published.
                async with rich(second, "Ann", session=ann.welcome["session"]) as again:
                    assert again.welcome["member"] == ann.welcome["member"]
                    for number in range(30):
                        await again.say("x", tag=f"{number}")
                await bob.say("last")
                tags = [int(message["tag"]) for message in bob.messages() if message["text"] == "x"]
                assert tags == list(range(30))
        go(main())


def test_messages_sent_just_before_leaving_are_delivered():
    with broker() as one, confab("--nats", one.url) as server:
        async def main():
            for number in range(10):
                async with websockets.connect(server.ws + f"room{number}", compression=None) as plain:
                    await plain.send("bye")
                async with rich(server, "Ann", f"room{number}") as ann:
                    if not ann.welcome["messages"]:
                        await ann.until("message")
        go(main())


def test_expired_tag_is_acknowledged():
    with broker() as one, confab("--nats", one.url, "--max-history-messages", 2, "--max-event-rate", 0) as server:
        async def main():
            async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
                first = await ann.say("first", tag="first")
                for _ in range(5):
                    await ann.say("x")
                again = await asyncio.wait_for(ann.say("first", tag="first"), 5)
                assert again["id"] == first["id"]
                last = await ann.say("last")
                await bob.until("message", id=last["id"])
                assert sum(message["tag"] == "first" for message in bob.messages()) == 1
        go(main())


def test_used_tag_with_another_text_is_a_new_message():
    with broker() as one, confab("--nats", one.url, "--max-history-messages", 2, "--max-event-rate", 0) as server:
        async def main():
            async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
                await ann.say("first", tag="t")
                for _ in range(5):
                    await ann.say("x")
                second = await asyncio.wait_for(ann.say("second", tag="t"), 5)
                assert second["text"] == "second"
                assert (await bob.until("message", id=second["id"]))["text"] == "second"
        go(main())


def test_message_rejected_by_the_broker_gets_an_error():
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("max_payload: 10000\n")
        file.flush()
        with broker("-c", file.name) as one, confab("--nats", one.url) as server:
            async def main():
                async with websockets.connect(server.ws, compression=None) as plain, rich(server, "Ann") as ann:
                    await plain.send("x" * 20_000)
                    await plain.send("y")
                    assert await plain.recv() == "y"
                    error = await ann.say("\N{FAMILY}" * 3000, tag="t")
                    assert (error["type"], error["code"]) == ("error", "textTooLong")
                    assert (await ann.say("short", tag="t"))["text"] == "short"
            go(main())
            assert "larger than NATS accepts" in server.said()
            assert "up to 10000 bytes (its max_payload), clients may send 1040384" in server.said()
