"""The messages of one address use its share of a loop at most."""

import asyncio
import contextlib
import itertools
import pathlib
import subprocess
import sys
import time
import zlib

import websockets

from support.confab_process import ROOT, confab
from support.raw_client import RawClient, frame

LIMITED = ("--limit-loopback", "--loops", 1, "--max-byte-rate", 0, "--max-message-rate", 0,
           "--max-backlog", "128MiB")
SECONDS = 3


def open_at(server, address, path="", **options):
    return websockets.connect(server.ws + path, max_size=None, max_queue=None, local_addr=(address, 0), **options)


def test_deferred_messages_keep_their_order():
    """Sends compressed, whole, fragmented and small messages: all arrive, in order."""
    sent = []
    for number in range(60):
        size = (900_000, 20_000, 10)[number % 3]
        sent.append(f"{number} ".ljust(size, "x"))

    async def main(server):
        async with open_at(server, "127.0.0.1") as packed, open_at(server, "127.0.0.1", compression=None) as plain:
            for socket in (packed, plain):
                for index, text in enumerate(sent):
                    await socket.send([text[:5], text[5:]] if index % 2 else text)
                    if index % 5 == 0:
                        await socket.ping()
                heard = [await socket.recv() for _ in sent]
                assert heard == sent
                other = plain if socket is packed else packed
                assert [await other.recv() for _ in sent] == sent

    with confab(*LIMITED) as server:
        asyncio.run(asyncio.wait_for(main(server), 60))


def test_one_address_gets_its_share_of_a_loop():
    async def main(server):
        async def flood(number):
            async with open_at(server, "127.0.0.1", f"{number}") as socket:
                with contextlib.suppress(asyncio.CancelledError):
                    while True:
                        await socket.send("x" * 1_000_000)
                        await socket.recv()

        floods = [asyncio.create_task(flood(number)) for number in range(20)]
        async with open_at(server, "127.0.0.2", "quiet", compression=None) as client:
            begun, start = server_time(server), time.monotonic()
            while time.monotonic() < start + SECONDS:
                await client.send("anybody?")
                await client.recv()
                await asyncio.sleep(0.01)
            used = server_time(server) - begun
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        return used

    with confab(*LIMITED) as server:
        used = asyncio.run(asyncio.wait_for(main(server), 60))
        # A quarter is an address's share. The rest is for the replies and the quiet client.
        assert used < 0.45 * SECONDS, f"{used} s of CPU time"


def test_deliveries_to_a_room_count_for_the_address_of_their_senders():
    kind = "64 bytes, delivered to a rich client"
    with confab("--limit-loopback", "--loops", 1) as server:
        with subprocess.Popen(
                [sys.executable, "-m", "cost.attacker", str(server.port), str(SECONDS), "200", kind],
                cwd=ROOT / "Tests" / "Python", stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            begun = server_time(server)
            assert process.stdout.readline() == "done\n"
            used = server_time(server) - begun
    # A quarter is an address's share. The rest is for what is not charged.
    assert used < 0.45 * SECONDS, f"{used} s of CPU time"


def test_more_than_one_turn_may_write_arrives_whole_and_in_order():
    """Sends 1 MiB to 40 members at once, ten times as much as a loop writes to a room in one turn."""
    sent = [b"%d " % number + b"x" * 131_000 for number in range(8)]
    with confab("--loops", 1, "--max-backlog", "16MiB") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.port)) for _ in range(40)]
        for client in clients:
            client.open()
        clients[0].send(b"".join(frame(1, text) for text in sent))
        for client in clients:
            received = list(itertools.islice(client.messages(), len(sent)))
            assert received == [(1, text) for text in sent], "a message is lost, or out of order"


def server_time(server):
    """Returns the CPU time of the server's threads so far, in seconds."""
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def test_deferred_message_is_validated():
    with confab(*LIMITED, "--log-level", "info") as server, RawClient(server.port, timeout=30) as client:
        headers = client.open(Sec_WebSocket_Extensions="permessage-deflate")
        assert "permessage-deflate" in headers["sec-websocket-extensions"]
        # The block type 3 is invalid. The data before it takes more time than the share allows.
        deflater = zlib.compressobj(wbits=-15)
        large = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH)
        for _ in range(30):
            client.send(frame(0x42, large[:-4]))
        client.send(frame(0x41, b"\x07"))
        codes = [payload[:2] for opcode, payload in client.messages() if opcode == 8]
        assert codes == [(1007).to_bytes(2)]
