"""Runs every attack while ten well-behaved clients must not be affected: `python -m abuse`.

Each attack has its own server. A row fails when a client misses a message, receives it twice or out of order, or when
the clients' p99 is too long; when an attempt ends unexpectedly; when the server's memory, descriptors or CPU use stay
above their level before the attack; and when the server does not stop with exit code 0.
"""

import argparse
import sys

import abuse.attacks  # noqa: F401
from abuse.attack import ATTACKS
from abuse.row import Row, Terms


def main():
    parser = argparse.ArgumentParser(prog="python -m abuse", description="Attacks a server and prints how it fared.")
    parser.add_argument("--only", nargs="+", choices=list(ATTACKS), metavar="NAME", default=list(ATTACKS),
                        help="attacks: " + ", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=10, help="duration of each attack (default: 10)")
    parser.add_argument("--again", type=int, default=0, metavar="TIMES",
                        help="retries of a failed attack, because a busy machine delays clients too")
    parser.add_argument("--valgrind", action="store_true", help="run the server under valgrind's memcheck")
    parser.add_argument("--checked", action="store_true",
                        help="the server is built with a checker like AddressSanitizer: it may be slow and large")
    parser.add_argument("--options", default="", help="more options for the server, to see it fail without its limits")
    arguments = parser.parse_args()
    terms = Terms(arguments.seconds, arguments.valgrind, arguments.valgrind or arguments.checked,
                  tuple(arguments.options.split()))
    print(Row.TITLE, flush=True)
    rows = []
    for name in arguments.only:
        for attempt in range(1 + arguments.again):
            row = Row(ATTACKS[name], terms)
            print(row, flush=True)
            if not row.problems:
                break
        rows.append(row)
    failed = [row for row in rows if row.problems]
    for row in failed:
        print(f"\n{row.attack.name} failed:", *row.problems, sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
