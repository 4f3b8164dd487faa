"""A server's use of memory, descriptors and CPU, and when it is back to normal."""

import os
import pathlib
import re
import time

# Memory that the server may keep after an attack, in bytes: some arrays, and what glibc keeps. glibc returns memory
# only from the end of its heaps, and each event loop has one. This memory depends on the number of connections at a
# time, not on their total: a leak grows with --seconds, this does not.
ALLOWANCE = 8 << 20
# Memory that the server may use in addition during an attack, in bytes.
PEAK = 128 << 20
# Time to return to the allowed level, in seconds.
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
        """Waits until the level is near this one. Returns the last level, and what is wrong with it after the deadline.

        `taken` is the memory of the connections at a time, in bytes. With a checker only descriptors are checked.
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
            return f"{level.descriptors - self.descriptors} descriptors are still open"
        if is_checked:
            return None
        if level.peak > self.memory + PEAK:
            return f"the server used {(level.peak - self.memory) >> 20} MiB more"
        if level.memory > self.memory + ALLOWANCE + taken:
            return f"{(level.memory - self.memory) >> 20} MiB are not freed"
        if level.busy - last.busy > 0.5 * (level.at - last.at):
            return "the server keeps a core busy after the attack"
        return None
