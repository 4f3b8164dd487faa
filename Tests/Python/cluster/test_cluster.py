"""Several servers of one chat on NATS JetStream, while servers and brokers die: messages are not lost, repeated or
reordered.

LONG=1 runs more tests, each of them for minutes."""

import asyncio
import contextlib
import os
import random

import pytest

from cluster.traffic import Person, Plain, check, record, settle
from support.confab_process import Confab
from support.nats_process import broker, cluster, leader, wait_until_whole

LONG = bool(os.environ.get("LONG"))
ROUNDS = 15 if LONG else 1
OPTIONS = ("--max-event-rate", 0, "--max-history-messages", 100_000, "--max-history-bytes", "256MiB", "--loops", 2,
           "--max-backlog", "64MiB")


class World:
    """Several servers with users at all of them."""

    def __init__(self, urls, count, replicas=1, rate=40):
        self.options = (*OPTIONS, "--nats-replicas", replicas, *(word for url in urls for word in ("--nats", url)))
        self.servers = [Confab(*self.options) for _ in range(count)]
        self.people = [Person(f"person {number}", self.servers, rate) for number in range(6)]
        # At the first server, which survives.
        self.plain = [Plain(f"plain {number}", self.servers[0], rate) for number in range(2)]

    async def restart_server(self):
        """Kills a server other than the first, and starts another one in its place."""
        number = random.randrange(1, len(self.servers))
        server, self.servers[number] = self.servers[number], None
        server.stop(signal=9)
        await asyncio.sleep(random.uniform(0.2, 1.5))
        self.servers[number] = await asyncio.to_thread(Confab, *self.options)

    async def run(self, disturb, rounds=ROUNDS):
        """Runs the traffic while `disturb` is called `rounds` times, and returns the faults."""
        try:
            tasks = [asyncio.create_task(one.live()) for one in [*self.people, *self.plain]]
            try:
                for _ in range(rounds):
                    await asyncio.sleep(random.uniform(1, 2))
                    await disturb()
                await asyncio.sleep(2)
                for task in tasks:
                    assert not task.done() or task.result()
                await settle(self.people, self.plain)
                messages = await record(self.servers[0])
                assert [message["id"] for message in await record(self.servers[-1])] == [one["id"] for one in messages]
                assert len(messages) > 100
                faults = check(messages, self.people, self.plain)
                if faults != NOTHING:
                    for server in self.servers:
                        print(server.said())
                print(len(messages), "messages,", sum(one.visits for one in self.people), "visits", faults)
                return faults
            finally:
                for task in tasks:
                    task.cancel()
        except BaseException:
            for server in filter(None, self.servers):
                print(server.said()[-3000:])
            raise
        finally:
            for server in filter(None, self.servers):
                server.stop()


NOTHING = {"lost": 0, "duplicated": 0, "reordered": 0, "unlike": 0, "gaps": 0}


def go(world, disturb):
    assert asyncio.run(asyncio.wait_for(world.run(disturb), 1200)) == NOTHING


@pytest.mark.parametrize("count", [2, 3] if LONG else [2])
def test_killed_server_loses_no_message(count):
    with broker() as one:
        world = World([one.url], count)
        go(world, world.restart_server)


if LONG:
    def test_the_broker_dies_and_comes_back():
        with broker() as one:
            async def disturb():
                one.kill()
                await asyncio.sleep(random.uniform(0.1, 3))
                one.start()
                await asyncio.to_thread(one.wait)
            go(World([one.url], 2), disturb)


@contextlib.contextmanager
def clustered():
    with cluster() as brokers:
        yield brokers, World([one.url for one in brokers], 3, replicas=3)


def test_killed_stream_leader_loses_no_message():
    with clustered() as (brokers, world):
        async def disturb():
            victim = await asyncio.to_thread(leader, brokers)
            if victim:
                victim.kill()
                await asyncio.sleep(random.uniform(1, 6))
                victim.start()
                await asyncio.to_thread(victim.wait)
                await asyncio.to_thread(wait_until_whole, brokers)
        go(world, disturb)


if LONG:
    def test_servers_and_brokers_die_at_the_same_time():
        with clustered() as (brokers, world):
            async def disturb():
                victim = random.choice(brokers)
                victim.kill()
                await world.restart_server()
                await asyncio.sleep(random.uniform(0, 3))
                victim.start()
                await asyncio.to_thread(victim.wait)
                await asyncio.to_thread(wait_until_whole, brokers)
            go(world, disturb)
