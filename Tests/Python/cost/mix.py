"""Measures how the costliest inputs of one address affect other clients, within the default limits."""

import json

from abuse.row import start
from cost.server import measured

#: The connections that one address may have.
CONNECTIONS = 256
#: Maximum p99 of the delays of well-behaved clients in other rooms, in seconds.
MOST_P99 = 0.1
# The default limits.
MESSAGES, BYTES, EVENTS = 500, 4 << 20, 10
BYTES_PER_EVENT, ANSWER_BYTES_PER_EVENT = 16 << 10, 32 << 10

TITLE = """
| sent by 256 connections of one address | server CPU | others' p99 |
| --- | ---: | ---: |"""


def allowed(cost):
    """Returns the CPU time that one connection may cause in a second."""
    size = max(cost.input.size, 1)
    rate = min(MESSAGES, BYTES / size)
    if cost.input.rich:
        rate = min(rate, EVENTS / (1 + size // BYTES_PER_EVENT + cost.received // ANSWER_BYTES_PER_EVENT))
    return rate * cost.cpu


def run(costs, seconds=5, again=2):
    """Prints a row for each of the costliest inputs, and one for all of them together. Returns the failures."""
    repeated = [cost for cost in costs if not cost.input.connects and cost.input.most > 1000]
    by_rate = sorted(repeated, key=allowed, reverse=True)
    by_byte = sorted(repeated, key=lambda cost: cost.per_byte, reverse=True)
    names = list(dict.fromkeys(cost.input.name for cost in by_rate[:5] + by_byte[:5]))
    print(TITLE, flush=True)
    failed = []
    for mix in [*([name] for name in names), names]:
        for _ in range(1 + again):
            cpu, heard = attack(mix, seconds)
            problems = heard["problems"][:3]
            if not heard["p99"] or heard["p99"] > MOST_P99:
                problems.append(f"p99 {heard['p99']} s, longest {heard['longest']} s")
            if not problems:
                break
        label = "all of these" if len(mix) > 1 else mix[0]
        print(f"| {label} | {cpu:.0%} | {heard['p99'] * 1000:,.0f} ms |", flush=True)
        failed += [f"{label}: {problem}" for problem in problems]
    return failed


def attack(names, seconds):
    """Returns the server's CPU time per second, and the victims' report."""
    with measured("--limit-loopback") as server:
        victims = start("abuse.victims", server.port, "127.0.0.2")
        try:
            victims.stdout.readline()
            with start("cost.attacker", server.port, seconds, CONNECTIONS, *names) as attacker:
                attacker.stdout.readline()
                before = server.cpu()
                attacker.stdout.readline()
                cpu = (server.cpu() - before) / 1e9
            victims.stdin.close()
            return cpu / seconds, json.loads(victims.stdout.readline())
        finally:
            victims.kill()
            victims.wait()
