"""Attacks a server from a separate process: `python -m abuse.attacker NAME PORT SECONDS`. Prints how the attempts ended.

It runs at the lowest priority, so that the victims' delays measure the server and not the attacker's use of the
shared cores. Other load on the machine still counts.
"""

import asyncio
import json
import os
import resource
import sys

import abuse.attacks  # noqa: F401
from abuse.attack import ATTACKS, Target

if __name__ == "__main__":
    os.nice(19)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seconds = float(sys.argv[3])
    target = Target(int(sys.argv[2]), seconds)
    asyncio.run(asyncio.wait_for(ATTACKS[sys.argv[1]].run(target), seconds + 120))
    print(json.dumps({"tally": target.tally, "surprises": target.surprises, "most": target.most}))
