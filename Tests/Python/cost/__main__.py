"""Measures the cost of each client input, and the effect of the costliest ones on others: `python -m cost`.

A row fails when an input takes more than 20 times the CPU time per byte on the wire of a 64-byte chat message, or
leaves more memory behind than documented.
"""

import argparse
import sys

from cost import mix
from cost.inputs import INPUTS
from cost.measure import BASELINE, measure

TITLE = """| input | bytes sent | CPU | CPU per byte | times a chat message | bytes received per byte sent | memory left |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def row(cost, baseline):
    return (f"| {cost.input.name} | {cost.sent:,.0f} | {cost.cpu / 1000:,.0f} µs | {cost.per_byte:,.0f} ns "
            f"| {cost.per_byte / baseline.per_byte:.2g} | {cost.received / cost.sent:,.1f} | {cost.left / 1024:,.0f} KiB |")


def main():
    parser = argparse.ArgumentParser(prog="python -m cost", description=__doc__)
    parser.add_argument("--only", help="only inputs whose name contains this")
    parser.add_argument("--seconds", type=float, default=1, help="duration of each input (default: 1)")
    parser.add_argument("--short", action="store_true", help="only the worst inputs of each kind, and no mix")
    parser.add_argument("--again", type=int, default=2, metavar="TIMES",
                        help="retries of a failed input, because the machine may have been busy")
    parser.add_argument("--no-mix", action="store_true", help="do not measure the costliest inputs' effect on others")
    arguments = parser.parse_args()
    inputs = [one for one in INPUTS if not arguments.only or arguments.only in one.name]
    if arguments.short:
        inputs = [one for one in inputs if one.is_short]
    baseline = measure(BASELINE, arguments.seconds)
    print(TITLE, flush=True)
    costs, failed = [], []
    for one in inputs:
        for attempt in range(1 + arguments.again):
            cost = measure(one, arguments.seconds)
            problems = list(cost.problems(baseline))
            if not problems:
                break
            # Both must be measured under the same load.
            baseline = measure(BASELINE, arguments.seconds)
        print(row(cost, baseline), flush=True)
        costs.append(cost)
        failed += [f"{one.name}: {problem}" for problem in problems]
    if not arguments.short and not arguments.no_mix and not arguments.only:
        failed += mix.run(costs)
    if failed:
        print("\nfailed:", *failed, sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
