"""A server takes over the port of a stopping one without an effect on new clients."""

import asyncio
import collections
import signal

import pytest
import websockets

from support.confab_process import Confab, confab, run
from support.rich_client import rich

OPTIONS = ("--reuse-port", "--drain", 1)


class Visitors:
    """Clients that repeatedly connect, send a message, receive it, and leave."""

    def __init__(self, port):
        self.port, self.fates = port, collections.Counter()

    async def come_and_go(self, name):
        while True:
            self.fates[await self.visit(f"{name}: {self.fates.total()}")] += 1

    async def visit(self, text):
        try:
            async with websockets.connect(f"ws://127.0.0.1:{self.port}/{text[0]}", compression=None) as client:
                await client.send(text)
                assert await client.recv() == text
                return "served"
        except ConnectionRefusedError:
            return "rejected"
        except (OSError, EOFError, websockets.InvalidMessage):
            return "reset"


@pytest.mark.parametrize("loops", [1, 3])
def test_handover_accepts_before_old_server_exits(loops):
    times, count = 5, 8

    async def main():
        nonlocal server
        async with rich(server, "Ann") as ann:
            visitors = Visitors(server.port)
            tasks = [asyncio.create_task(visitors.come_and_go(f"{number} visits")) for number in range(count)]
            for _ in range(times):
                old, server = server, await asyncio.to_thread(start, "--port", server.port)
                old.process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(old.end) == 0
                print(visitors.fates)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await ann.until("moving")
        return visitors.fates

    def start(*options):
        return Confab(*OPTIONS, "--loops", loops, *options)

    server = start()
    try:
        fates = asyncio.run(asyncio.wait_for(main(), 60))
    finally:
        server.stop()
    assert fates["served"] > 100
    assert fates["rejected"] == 0
    # The kernel resets connections that arrive between the last accept and the end of the old listener.
    assert fates["reset"] <= times, fates


def test_handover_needs_the_option_on_both_servers():
    with confab("--reuse-port", "--loops", 1) as server:
        result = run("--port", server.port)
        assert result.returncode == 1 and "another program listens" in result.stderr
    with confab("--loops", 1) as server:
        result = run("--port", server.port, "--reuse-port")
        assert result.returncode == 1 and "another program listens" in result.stderr
