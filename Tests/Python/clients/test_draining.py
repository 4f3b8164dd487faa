"""A draining server closes its clients' connections one after the other."""

import asyncio
import contextlib
import signal
import time
import urllib.error
import urllib.request

import pytest
import websockets

from support.confab_process import confab, free_port
from support.raw_client import RawClient, handshake
from support.rich_client import SUBPROTOCOL, rich


def health(admin, path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}", timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


async def closed(socket):
    """Returns the close code and its time. Ignores earlier messages."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code, time.monotonic()


def run(main, patience=30):
    asyncio.run(asyncio.wait_for(main, patience))


def test_draining_spreads_closes_over_its_duration():
    admin, drain, count = free_port(), 3, 6

    async def main(server):
        async with contextlib.AsyncExitStack() as clients:
            riches, plains = [], []
            for number in range(count):
                riches.append(await clients.enter_async_context(rich(server, f"Guest {number}")))
                plains.append(await clients.enter_async_context(websockets.connect(server.ws)))
            start = time.monotonic()
            server.process.terminate()
            afters = sorted([(await each.until("moving"))["after"] / 1000 for each in riches])
            # Each client has a different time, and the last one has some time before the end.
            assert afters[0] < drain / 3 and drain / 3 < afters[-1] < drain
            assert all(later - sooner > drain / count / 4 for sooner, later in zip(afters, afters[1:]))
            assert await asyncio.to_thread(health, admin, "/livez") == 200
            assert await asyncio.to_thread(health, admin, "/readyz") == 503
            with pytest.raises(OSError):
                await websockets.connect(server.ws)
            # Connected clients are still served.
            await riches[-1].say("still here")
            assert (await riches[0].until("message"))["text"] == "still here"
            ends = await asyncio.gather(*map(closed, [each.socket for each in riches] + plains))
            assert {code for code, _ in ends} == {1001}
            times = sorted(when - start for _, when in ends)
            assert times[0] < drain / 2 < times[-1] < drain + 2
            assert all(later - sooner < drain / 2 for sooner, later in zip(times, times[1:]))

    # One loop spreads the clients evenly.
    with confab("--admin", f"127.0.0.1:{admin}", "--drain", drain, "--loops", 1) as server:
        run(main(server))
        assert server.end() == 0
        assert server.errors == ""


def test_draining_does_not_wait_for_clients_that_have_left():
    async def main(server):
        async with rich(server, "Ann") as ann, rich(server, "Bob") as bob:
            server.process.terminate()
            await asyncio.gather(ann.until("moving"), bob.until("moving"))
            await ann.socket.close()
            assert (await bob.until("presence", left=["Ann"]))["count"] == 1

    with confab("--drain", 600) as server:
        run(main(server))
        assert server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_ends_draining(number):
    async def main(server):
        async with rich(server, "Ann") as ann:
            server.process.terminate()
            await ann.until("moving")
            server.process.send_signal(number)
            assert await asyncio.to_thread(server.end) == 0
            await closed(ann.socket)

    with confab("--drain", 600, "--stop-timeout", 600) as server:
        run(main(server))


def test_draining_accepts_queued_connections():
    with confab("--drain", 4) as server, contextlib.ExitStack() as clients:
        server.process.send_signal(signal.SIGSTOP)
        waiting = [clients.enter_context(RawClient(server.port)) for _ in range(200)]
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        for client in waiting:
            client.send(handshake(Sec_WebSocket_Protocol=SUBPROTOCOL))
        for client in waiting:
            assert client.answer()[0] == 101
        for client in waiting:
            opcode, event = client.frame()
            assert opcode == 1 and b'"moving"' in event
        for client in waiting:
            assert client.close_code() == 1001
