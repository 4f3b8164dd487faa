"""Runs a server under a mixed load with faults, as long as you like: `python -m soak --minutes 30`.

Rich clients talk in rooms and lose their connections. The clients of Tests/C/Joins join, leave, stall and vanish in
another room. Some clients never read; hundreds are idle. Meanwhile the server is attacked as by `python -m abuse`, stopped
for a while with SIGSTOP, and killed and restarted; its history is in a file. It has 1, 2 or 4 event loops.
The run fails when a message is lost, repeated or out of order, when the server's memory keeps growing or its
descriptors stay open, and when it does not stop with exit code 0.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import pathlib
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
import urllib.request

import websockets

import abuse.attacks  # noqa: F401
from abuse.attack import ATTACKS
from soak.talker import Room, Talker
from support import joins_checker
from support.confab_process import Confab, free_port


class Soak:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.admin = f"127.0.0.1:{free_port()}"
        # The same number of loops for every restart, because the numbers of descriptors are compared.
        self.options = ["--loops", random.choice((1, 2, 4)), "--admin", self.admin, "--history", folder / "chat.db", "--durability", "full",
                        "--max-history-messages", 20_000, "--max-history-bytes", "8MiB", "--max-total-history-bytes", "96MiB", *arguments.options.split()]
        self.problems = []
        print("options of the server:", *self.options, flush=True)
        self.server = self.start()
        self.rooms = [Room(f"room/{number}") for number in range(8)]
        self.talkers = [Talker(room, f"talker-{number}-{seat}", self)
                        for number, room in enumerate(self.rooms) for seat in range(4)]
        self.said = self.heard = 0
        self.is_over = False
        self.lags = []
        self.restarting = asyncio.Lock()

    def start(self, port=0):
        server = Confab("--port", port, *self.options)
        server.started = time.monotonic()
        server.samples = []
        return server

    def begin_joins(self):
        # A new room, without history in the file.
        self.server.joins = joins_checker.start(
            self.server.port, room=f"/joins/{time.monotonic_ns()}", seed=random.randrange(1 << 31), seconds=1e9, rate=50,
            rich=20, patience=30, busy=1)

    def end_joins(self):
        """Stops the joining clients and collects their findings."""
        self.server.process.send_signal(signal.SIGCONT)
        self.server.joins.terminate()
        output, _ = self.server.joins.communicate(timeout=120)
        # SIGTERM may arrive before the program handles it.
        if self.server.joins.returncode in (0, -signal.SIGTERM):
            print(output, end="", flush=True)
        else:
            self.problems.append(output)

    def measure(self):
        """Takes a sample of the running server: memory without the history, descriptors, connections."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=20) as answer:
            metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        descriptors = len(os.listdir(f"/proc/{self.server.process.pid}/fd"))
        memory = (self.server.memory() - int(metrics["confab_history_bytes"])) / 1e6
        sample = (time.monotonic(), memory, descriptors, int(metrics["confab_connections"]))
        self.server.samples.append(sample)
        self.lags.append(float(metrics["confab_loop_lag_seconds"]))
        return sample

    # The load

    async def idle(self):
        while not self.is_over:
            with contextlib.suppress(websockets.WebSocketException, OSError, EOFError, TimeoutError):
                async with websockets.connect(self.server.ws + "idle", open_timeout=20, ping_interval=None) as client:
                    await asyncio.wait_for(client.recv(), random.uniform(10, 300))

    async def deaf(self):
        """Never reads, in a busy room."""
        while not self.is_over:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, limit=1024)
                writer.write(b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                             % (random.choice(self.rooms).path.encode(), self.server.port))
                try:
                    await asyncio.sleep(random.uniform(1, 60))
                finally:
                    writer.transport.abort()

    # The faults

    async def attack(self):
        for name in itertools.chain.from_iterable(random.sample(list(ATTACKS), len(ATTACKS)) for _ in itertools.count()):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "abuse.attacker", name, str(self.server.port), "10",
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
            start, said = time.monotonic(), self.said
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                self.problems.append(f"the attack {name!r} has not ended")
            finally:
                if process.returncode is None:
                    process.kill()
            seconds = time.monotonic() - start
            print(f"attacked by {name} for {seconds:.0f} s, {(self.said - said) / seconds:.0f} messages sent a second", flush=True)
            await asyncio.sleep(random.uniform(0, 10))

    async def hold_up(self):
        while not self.is_over:
            await asyncio.sleep(random.uniform(20, 60))
            process = self.server.process
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(random.uniform(0.1, 2))
            process.send_signal(signal.SIGCONT)

    async def kill(self):
        while not self.is_over:
            await asyncio.sleep(self.arguments.kill * random.uniform(0.7, 1.3))
            async with self.restarting:
                self.judge_growth()
                self.server = await asyncio.to_thread(self.restart, random.choice((signal.SIGKILL, signal.SIGTERM)))
                self.begin_joins()

    def restart(self, number):
        self.end_joins()
        self.server.stop(number, patience=30)
        return self.start(self.server.port)

    # The verdict

    def judge_growth(self):
        """Checks whether memory still grew in the second half of the server's life, after every kind of load had
        occurred."""
        samples = [sample for sample in self.server.samples if sample[0] > self.server.started + 60]
        if len(samples) < 60:
            return
        half = len(samples) // 2
        # Attacks and lagging readers use memory for a while, and the allocator keeps a part of it. The minimum between
        # them must not keep growing.
        before, after = statistics.median(each[1] for each in samples[:half]), min(each[1] for each in samples[half:])
        print(f"memory: {before:.1f} MB in the first half of its life, {after:.1f} at least in the second", flush=True)
        if after > before * 1.5 + 30:
            self.problems.append(f"memory grows: {before:.1f} MB, then {after:.1f} and more")

    async def watch(self):
        end = time.monotonic() + self.arguments.minutes * 60
        told = 0
        while time.monotonic() < end:
            await asyncio.sleep(2)
            with contextlib.suppress(OSError):
                _, memory, descriptors, connections = await asyncio.to_thread(self.measure)
                if time.monotonic() > told + 30:
                    told = time.monotonic()
                    print(f"{(end - told) / 60:5.1f} min left: {self.said} sent, {self.heard} received, {connections} connections, "
                          f"{descriptors} descriptors, {memory:.1f} MB, lag {max(self.lags[-15:]) * 1000:.0f} ms", flush=True)

    async def run(self):
        # The first client opens some descriptors.
        async with websockets.connect(self.server.ws, compression="deflate") as client:
            await client.send("first")
            await client.recv()
        descriptors = await self.rest()
        self.begin_joins()
        talkers = [asyncio.create_task(talker.live()) for talker in self.talkers]
        others = [asyncio.create_task(each) for each in (
            *(self.idle() for _ in range(200)), *(self.deaf() for _ in range(5)),
            self.attack(), self.hold_up(), *([self.kill()] if self.arguments.kill else []))]
        await self.watch()
        self.is_over = True
        async with self.restarting:
            for task in others:
                task.cancel()
        for result in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(result, Exception):
                self.problems.append(f"a client failed: {result!r}")
        await asyncio.to_thread(self.end_joins)
        # The clients receive the pending messages and leave.
        await asyncio.wait(talkers, timeout=90)
        for talker, task in zip(self.talkers, talkers):
            if not task.done():
                self.problems.append(f"{talker.name} has not received {len(talker.unheard)} of its own messages")
            elif task.exception():
                self.problems.append(f"{talker.name}: {task.exception()!r}")
            task.cancel()
        self.judge_growth()
        for room in self.rooms:
            self.problems += room.problems
        for talker in self.talkers:
            if missed := {number for number in talker.room.numbers if talker.first < number <= talker.last} - talker.numbers:
                self.problems.append(f"{talker.name} has missed {len(missed)} messages")
        # The runtime opens some descriptors when it first needs them.
        if (now := await self.rest()) > descriptors + 4:
            self.problems.append(f"{now} descriptors, {descriptors} at the beginning")

    async def rest(self):
        """Returns the number of descriptors when all clients are gone."""
        for _ in range(300):
            if (await asyncio.to_thread(self.measure))[3] == 0:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        return (await asyncio.to_thread(self.measure))[2]

    def finish(self):
        code = self.server.stop(patience=30)
        if code != 0:
            self.problems.append(f"exit code {code}: {self.server.errors[-2000:]}")


def main():
    parser = argparse.ArgumentParser(prog="python -m soak", description="A mixed load with faults.")
    parser.add_argument("--minutes", type=float, default=30, help="duration (default: 30)")
    parser.add_argument("--kill", type=float, default=300, metavar="SECONDS",
                        help="average time between restarts of the server; 0 is never (default: 300)")
    parser.add_argument("--options", default="", help="more options for the server")
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(arguments, pathlib.Path(folder))
        try:
            asyncio.run(soak.run())
        finally:
            soak.finish()
    connects = sum(talker.connects for talker in soak.talkers)
    print(f"{soak.said} messages sent, {soak.heard} received, {connects} connections of the talking clients; "
          f"loop lag {max(soak.lags) * 1000:.0f} ms at most")
    for problem in soak.problems[:50]:
        print("problem:", problem)
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
