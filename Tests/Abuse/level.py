"""What a server takes of the machine, and when it has come to rest."""

import os
import pathlib
import re
import time

# After an attack the server may hold so much more than before, in bytes: some arrays, and what glibc keeps, which gives
# memory back from the end of its heaps only, of which each event loop has one. That depends on what the connections took
# that there were at once, and not on how many there were in all: a leak grows with --seconds, this does not.
ALLOWANCE = 8 << 20
# While it is attacked it may take so much more.
PEAK = 128 << 20
# It must come down to that within so many seconds.
PATIENCE = 15


class Level:
    def __init__(self, server):
        process = pathlib.Path(f"/proc/{server.process.pid}")
        status = (process / "status").read_text()
        self.memory, self.peak = (
            int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) * 1024 for name in ("VmRSS", "VmHWM"))
        self.descriptors = len(list((process / "fd").iterdir()))
        times = (process / "stat").read_text().rpartition(")")[2].split()
        self.busy = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        self.at = time.monotonic()

    def settled(self, server, taken, is_checked):
        """The level once it is near this one, or too late; and what is wrong then.

        So many bytes were taken at a time. A server with a checker is not asked for its memory and its pace.
        """
        deadline = time.monotonic() + PATIENCE
        last = Level(server)
        while True:
            time.sleep(0.25)
            level = Level(server)
            problem = self.problem(last, level, taken, is_checked)
            if not problem or time.monotonic() > deadline:
                return level, problem
            last = level

    def problem(self, last, level, taken, is_checked):
        if level.descriptors > self.descriptors:
            return f"{level.descriptors - self.descriptors} descriptors are not given back"
        if is_checked:
            return None
        if level.peak > self.memory + PEAK:
            return f"it took {(level.peak - self.memory) >> 20} MiB"
        if level.memory > self.memory + ALLOWANCE + taken:
            return f"{(level.memory - self.memory) >> 20} MiB are not given back"
        if level.busy - last.busy > 0.5 * (level.at - last.at):
            return "it keeps a core busy when nobody attacks"
        return None
