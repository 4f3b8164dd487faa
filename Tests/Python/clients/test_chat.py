"""The plain protocol, with clients that share no code with the server."""

import asyncio
import concurrent.futures
import contextlib
import os
import random
import socket
import threading

import pytest
import websockets

from support.confab_process import confab
from support.coroutines import go
from support.raw_client import HANDSHAKE, RawClient, frame, head


def connect(address, **options):
    return websockets.connect(address, max_size=None, compression=None, **options)


def test_message_is_delivered_to_all_including_its_sender(server):
    async def main():
        async with connect(server.ws) as alice, connect(server.ws) as bob, connect(server.ws) as carol:
            for sender, message in ((alice, "你好 👋"), (bob, b"\x00\xff\xfe"), (carol, ""), (alice, b"")):
                await sender.send(message)
                for reader in (alice, bob, carol):
                    received = await reader.recv()
                    assert received == message and type(received) is type(message)
    go(main())


@pytest.mark.parametrize("size", [1, 125, 126, 127, 1023, 1024, 1025, 16_383, 16_384, 16_385, 65_535, 65_536, 1 << 20])
def test_payloads_of_any_size(server, size):
    async def main():
        async with connect(server.ws) as alice, connect(server.ws) as bob:
            binary = os.urandom(size)
            text = "é" * (size // 2) + "x" * (size % 2)
            for message in (binary, text):
                await alice.send(message)
                assert await alice.recv() == message
                assert await bob.recv() == message
    go(main())


def test_upgraded_client_receives_all_later_messages():
    with confab("--loops", 4) as server:
        for _ in range(300):
            with RawClient(server.port) as alice, RawClient(server.port) as bob:
                alice.open()
                bob.open()
                alice.send(frame(1, b"hello"))
                assert bob.frame() == (1, b"hello")


def test_fragments_are_joined_around_control_frames(server):
    async def main():
        async with connect(server.ws) as alice, connect(server.ws) as bob:
            async def pieces():
                for piece in ("one ", "", "two ", "three" * 5000):
                    yield piece
                    await (await alice.ping())
            await alice.send(pieces())
            assert await bob.recv() == "one two " + "three" * 5000
    go(main())


def test_path_selects_the_room(server):
    async def main():
        async with (
            connect(server.ws) as lobby, connect(server.ws + "red") as red, connect(server.ws + "red") as red_too,
            connect(server.ws + "%E7%BE%A4") as chinese, connect(server.ws + "red/sub?x=1") as sub,
        ):
            for member in (lobby, red, chinese, sub):
                await member.send(member.request.path)
            assert await red_too.recv() == "/red"
            for member in (lobby, red, chinese, sub):
                assert await member.recv() == member.request.path
            for member in (lobby, red, red_too, chinese, sub):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(member.recv(), 0.05)
    go(main())


@pytest.mark.parametrize("loops", [1, 2])
def test_all_clients_receive_one_order(loops):
    async def main(server):
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(connect(server.ws).__aenter__()) for _ in range(40)]
        clients = [task.result() for task in clients]
        count = 50

        async def talk(number, client):
            for index in range(count):
                await client.send(f"{number} {index} " + "x" * random.choice((0, 10, 1000, 20_000)))

        async def listen(client):
            return [await client.recv() for _ in range(5 * count)]

        async with asyncio.TaskGroup() as group:
            heard = [group.create_task(listen(client)) for client in clients]
            for number, client in enumerate(clients[:5]):
                group.create_task(talk(number, client))
        heard = [task.result() for task in heard]
        assert all(one == heard[0] for one in heard)
        for number in range(5):
            own = [m.split(" ")[1] for m in heard[0] if m.startswith(f"{number} ")]
            assert own == [str(index) for index in range(count)]
        for client in clients:
            await client.close()

    with confab("--loops", loops, "--max-backlog", "64MiB") as server:
        go(main(server))


@pytest.mark.parametrize("loops", [1, 2])
def test_flooded_room_does_not_starve_another(loops):
    is_over = threading.Event()

    def flood(port):
        with RawClient(port) as client:
            client.send(head(HANDSHAKE, "GET /flood HTTP/1.1"))
            assert client.answer()[0] == 101
            client.socket.settimeout(None)
            while not is_over.is_set():
                client.send(frame(1, b"x" * 20_000))
                with contextlib.suppress(BlockingIOError):
                    while client.socket.recv(1 << 20, socket.MSG_DONTWAIT):
                        pass

    async def main(server):
        async with contextlib.AsyncExitStack() as stack:
            quiet = [await stack.enter_async_context(connect(server.ws + "quiet")) for _ in range(4)]
            for number in range(50):
                await quiet[number % 4].send(f"{number}")
                for client in quiet:
                    assert await asyncio.wait_for(client.recv(), 2) == f"{number}"

    with confab("--loops", loops, "--max-backlog", "1GiB") as server:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            floods = [pool.submit(flood, server.port) for _ in range(4)]
            try:
                go(main(server))
            finally:
                is_over.set()
            for one in floods:
                one.result()


def test_vanished_clients_do_not_affect_others(server):
    async def main():
        async with connect(server.ws) as witness:
            for round in range(30):
                doomed = [await connect(server.ws) for _ in range(5)]
                await asyncio.gather(*(client.send("last words") for client in doomed))
                for client in doomed:
                    client.transport.abort()
                await witness.send(f"still here {round}")
                while await witness.recv() != f"still here {round}":
                    pass
        assert server.process.poll() is None
    go(main())


def test_close_is_answered_with_its_code(server):
    async def main():
        for code, reason in ((1000, ""), (1001, "bye"), (3000, "再见"), (4999, "x" * 120)):
            client = await connect(server.ws)
            await client.close(code, reason)
            assert (client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason) == (code, reason)
    go(main())


def test_message_over_the_limit_closes_only_its_sender(server):
    async def main():
        async with connect(server.ws) as witness, connect(server.ws) as sender:
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                await sender.send(b"x" * ((1 << 20) + 1))
                await sender.recv()
            assert caught.value.rcvd.code == 1009
            await witness.send("fine")
            assert await witness.recv() == "fine"
    go(main())
