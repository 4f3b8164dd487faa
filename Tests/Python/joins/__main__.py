"""Checks that every client receives all messages of the room it joins, over real sockets: `python -m joins`.

The program in Tests/C/Joins plays clients that join, send, stall, leave and vanish at random while two others send 1,000
messages a second each, against servers with 1, 2 and 4 event loops. Each client must receive every message from its
join to its leave, once, in the room's order. A fault is printed with the seed of the choices; `--seed` repeats them.
"""

import argparse
import random
import sys

from support import joins_checker
from support.confab_process import Confab

# Each kind's options of the server and of the program.
WORLDS = {
    "plain protocol": ([], {"rich": 0}),
    "both protocols": ([], {"rich": 40}),
    "full sockets": (["--send-buffer", "16KiB", "--max-backlog", "1MiB"], {"rich": 0}),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m joins", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=1.5, help="duration for each kind of server (default: 1.5)")
    parser.add_argument("--joins", type=int, default=0, help="number of joins for each kind of server, however long it takes")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="repeats the choices of a run")
    parser.add_argument("--loops", type=int, nargs="*", default=[1, 2, 4], help="numbers of event loops (default: 1 2 4)")
    parser.add_argument("--only", choices=WORLDS, action="append", help="a kind of server (default: all)")
    parser.add_argument("--rate", type=int, help="messages a second of each of the two speakers")
    arguments = parser.parse_args()
    is_good = True
    for name in arguments.only or WORLDS:
        options, load = WORLDS[name]
        if arguments.rate:
            load = load | {"rate": arguments.rate}
        for loops in arguments.loops:
            server = Confab("--loops", loops, *options)
            program = joins_checker.start(
                server.port, seed=arguments.seed, seconds=arguments.seconds, joins=arguments.joins, **load)
            output, _ = program.communicate()
            code = server.stop(patience=30)
            print(f"{name}, {loops} loops: {output}", end="", flush=True)
            if code != 0:
                print(f"the server's exit code is {code}: {server.errors[-2000:]}")
            is_good = is_good and code == 0 and program.returncode == 0
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
