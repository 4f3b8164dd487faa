"""A connected client gets all messages from then on: the handshake is answered when the room is open."""

import asyncio
import time

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.nats_process import Broker, broker, free_port
from support.raw_client import HANDSHAKE, RawClient, head

COUNT = 20


def plain(server, path="", **options):
    return websockets.connect(server.ws + path, compression=None, max_queue=None, **options)


def test_first_clients_on_two_new_servers_receive_each_others_messages():
    async def meet(servers, room):
        ann, bob = await asyncio.gather(*(plain(server, room) for server in servers))
        try:
            for sender, reader in ((ann, bob), (bob, ann)):
                texts = [f"{number}" for number in range(COUNT)]
                for text in texts:
                    await sender.send(text)
                for client in (sender, reader):
                    assert [await asyncio.wait_for(client.recv(), 20) for _ in texts] == texts
        finally:
            await asyncio.gather(ann.close(), bob.close())

    async def main(servers):
        await asyncio.gather(*(meet(servers, f"room{number}") for number in range(40)))

    with broker() as one, confab("--nats", one.url, "--max-message-rate", 0, "--loops", 2) as first, confab(
            "--nats", one.url, "--max-message-rate", 0, "--loops", 2) as second:
        go(main((first, second)))


def test_joining_a_busy_room_at_another_server_misses_no_message():
    async def main(first, second):
        async with plain(first) as talker:
            said, is_over = 0, False

            async def talk():
                nonlocal said
                while not is_over:
                    said += 1
                    await talker.send(f"{said}")
                    await asyncio.sleep(0.002)

            async def listen():
                async with plain(second) as listener:
                    # Messages sent before the handshake was answered may have been delivered to no client.
                    bound = said + 1
                    numbers = [int(await asyncio.wait_for(listener.recv(), 20)) for _ in range(30)]
                    assert numbers[0] <= bound and numbers == list(range(numbers[0], numbers[0] + 30))

            talking = asyncio.create_task(talk())
            # The first of them makes the second server open the room.
            await asyncio.gather(*(listen() for _ in range(30)))
            is_over = True
            await talking

    with broker() as one, confab("--nats", one.url, "--max-message-rate", 0) as first, confab(
            "--nats", one.url, "--max-message-rate", 0, "--loops", 2) as second:
        go(main(first, second))


def test_clients_get_503_while_the_broker_is_unreachable():
    with confab("--nats", f"nats://127.0.0.1:{free_port()}", "--handshake-timeout", 1) as server:
        async def main():
            start = time.monotonic()
            with pytest.raises(websockets.InvalidStatus) as rejected:
                async with plain(server):
                    pass
            assert rejected.value.response.status_code == 503
            assert rejected.value.response.body == b"the broker cannot be reached\n"
            assert 0.5 < time.monotonic() - start < 3
        go(main())


def test_waiting_clients_are_upgraded_when_the_broker_starts(tmp_path):
    port = free_port()
    with confab("--nats", f"nats://127.0.0.1:{port}", "--handshake-timeout", 30) as server:
        async def main():
            waiting = [asyncio.create_task(plain(server, open_timeout=40).__aenter__()) for _ in range(5)]
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in waiting)
            one = Broker(tmp_path, "-p", port)
            try:
                clients = await asyncio.gather(*waiting)
                await clients[0].send("first")
                for client in clients:
                    assert await client.recv() == "first"
                    await client.close()
            finally:
                one.stop()
        go(main())


def test_clients_that_leave_an_opening_room_leave_no_state(tmp_path):
    port = free_port()
    with confab("--nats", f"nats://127.0.0.1:{port}", "--max-rooms", 3, "--handshake-timeout", 2) as server:
        for number in range(3):
            with RawClient(server.port) as client:
                client.send(head(HANDSHAKE, f"GET /left{number} HTTP/1.1"))
        with RawClient(server.port) as client:
            client.send(head(HANDSHAKE, "GET /more HTTP/1.1"))
            assert client.answer()[0] == 503, "the pending rooms count towards --max-rooms"

        async def main():
            one = Broker(tmp_path, "-p", port)
            # Wait until the server drops the clients.
            await asyncio.sleep(2.5)
            try:
                async with plain(server, "a") as ann, plain(server, "b") as bob, plain(server, "c"):
                    for client in (ann, bob):
                        await client.send("x")
                        assert await client.recv() == "x"
            finally:
                one.stop()
        go(main())
