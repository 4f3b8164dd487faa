"""Plays mutated sessions against a server and monitors it: `CONFAB=path python -m fuzz.sockets --seconds 60`.

A finding is a server that exits, reports a memory error, leaks, keeps growing, sends invalid WebSocket data, or does
not answer a well-behaved client within 5 s. Findings are minimised for a limited time and kept.
"""

import argparse
import contextlib
import os
import pathlib
import random
import sys
import time

import websockets.sync.client

from fuzz import mutate, sessions
from support.confab_process import ROOT, Confab
from support.raw_client import head, request

# Short timeouts and small limits, so that sessions reach them. The well-behaved client has PATIENCE.
OPTIONS = [
    "--loops", 2, "--log-level", "info", "--max-message-size", "64KiB", "--max-fragments", 64, "--max-backlog",
    "256KiB", "--ping-interval", 1, "--idle-timeout", 6, "--handshake-timeout", 1, "--close-timeout", 0.5,
]
PATIENCE = 5
BATCH = 50
# Allowed growth after the first sessions, in bytes. It covers AddressSanitizer's quarantine.
GROWTH = 128 << 20
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
os.environ.setdefault("LSAN_OPTIONS", f"print_suppressions=0:suppressions={ROOT / 'Tests' / 'C' / 'lsan.txt'}")
# Swift's backtraces take long and sometimes hang.
os.environ["SWIFT_BACKTRACE"] = "enable=no"


class Finding(Exception):
    pass


class Server:
    """A server, and a well-behaved client that receives the sessions' messages."""

    def __init__(self):
        self.confab = Confab(*OPTIONS)
        self.rounds = 0
        self.base = None
        self.client = self.connect()

    def connect(self):
        # The library checks every frame. Its pongs keep the connection open.
        return websockets.sync.client.connect(
            self.confab.ws, open_timeout=PATIENCE, close_timeout=1, max_size=None, max_queue=None)

    def check(self):
        """Raises a Finding if something is wrong."""
        self.rounds += 1
        try:
            status = request(self.confab.port, head({"Host": "localhost"}), timeout=PATIENCE)[0]
            if status != 200:
                raise Finding(f"the page has status {status}")
            self.hear(f"round {self.rounds}")
        except Finding:
            raise
        except Exception as error:
            raise Finding(f"{type(error).__name__}: {error}; {self.end() or self.confab.errors[-3000:]}") from error
        memory = self.confab.memory()
        if self.rounds == 5:
            self.base = memory
        if self.base and memory > self.base + GROWTH:
            raise Finding(f"memory has grown from {self.base >> 20} to {memory >> 20} MiB")

    def hear(self, marker):
        """Sends a message and waits until it comes back."""
        deadline = time.monotonic() + PATIENCE
        try:
            self.client.send(marker)
            while self.client.recv(timeout=deadline - time.monotonic()) != marker:
                pass
        except websockets.ConnectionClosed as closed:
            # The client was evicted while nothing read its messages, so it reconnects.
            if not closed.rcvd or closed.rcvd.code != 1013:
                raise
            self.client = self.connect()
            self.hear(marker)

    def end(self):
        """Stops the server. Returns what is wrong with how it ended, the first time only."""
        if self.confab.process.returncode is not None:
            return ""
        with contextlib.suppress(Exception):
            self.client.close()
        try:
            code = self.confab.stop()
        except Exception as error:
            return f"does not stop: {error!r}"
        return "" if code == 0 and "Sanitizer" not in self.confab.errors else f"exit code {code}: {self.confab.errors}"


def trouble(batch):
    """Plays sessions to a new server. Returns what is wrong, or an empty string."""
    server = Server()
    found = ""
    try:
        for session in batch:
            sessions.play(session, server.confab.port)
        server.check()
    except (Finding, OSError) as error:
        found = str(error)
    return found + server.end()


def minimise(sessions, deadline):
    """Leaves out sessions as long as the finding stays, then steps if a single session is left."""
    sessions = shorten(sessions, trouble, deadline)
    if len(sessions) == 1:
        sessions = [shorten(sessions[0], lambda steps: trouble([steps]), deadline)]
    return sessions


def shorten(items, is_trouble, deadline):
    size = len(items) // 2
    while size:
        index = 0
        while index < len(items) and time.monotonic() < deadline:
            less = items[:index] + items[index + size:]
            if less and is_trouble(less):
                items = less
            else:
                index += size
        size //= 2
    return items


def report(batch, found, folder):
    print(f"FINDING: {found}", flush=True)
    again = trouble(batch)
    print("reproduced and minimised" if again else "not reproduced: all sessions since the last check are kept")
    if again:
        batch = minimise(batch, time.monotonic() + 60)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.session"
    path.write_text("".join(f"# {line}\n" for line in (again or found).splitlines()[:60]) + sessions.dump(batch))
    print(f"kept as {path}; to play it: {sys.argv[0]} {path}")
    return 1


def fuzz(seed, seconds, folder):
    print(f"seed {seed}; to repeat the sessions: --seed {seed}", flush=True)
    generator = random.Random(seed)
    end = time.monotonic() + seconds
    count = 0
    batch = []
    server = Server()
    while time.monotonic() < end:
        batch = [mutate.session(generator) for _ in range(BATCH)]
        try:
            for session in batch:
                sessions.play(session, server.confab.port)
            server.check()
        except (Finding, OSError) as error:
            return report(batch, f"{error}\n{server.end()}", folder)
        count += BATCH
    found = server.end()
    print(f"{count} sessions")
    return report(batch, found, folder) if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", type=pathlib.Path, default=".build/fuzz/findings", help="folder for findings")
    parser.add_argument("replay", nargs="*", type=pathlib.Path, help="session files to play instead")
    arguments = parser.parse_args()
    if arguments.replay:
        found = trouble([one for path in arguments.replay for one in sessions.load(path.read_text())])
        print(found or "no finding")
        return 1 if found else 0
    return fuzz(arguments.seed, arguments.seconds, arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
