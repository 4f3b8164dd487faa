"""Plays spoilt sessions against a server, and looks after it: `CONFAB=path fuzz_sockets.py --seconds 60`.

A finding is a server that ends, reports an error of memory, leaks, keeps growing, sends what is no WebSocket, or does
not answer a well-behaved client within 5 s. It is made as small as a few tries allow, and kept.
"""

import argparse
import contextlib
import os
import pathlib
import random
import sys
import time

import websockets.sync.client

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import mutate  # noqa: E402
import sessions  # noqa: E402
from confab_process import Confab  # noqa: E402
from raw_client import head, request  # noqa: E402

# Short times and small limits, so that they are met.
OPTIONS = [
    "--loops", 2, "--log-level", "critical", "--max-message-size", "64KiB", "--max-fragments", 64, "--max-backlog",
    "256KiB", "--ping-interval", 1, "--idle-timeout", 3, "--handshake-timeout", 1, "--close-timeout", 0.5,
]
PATIENCE = 5
BATCH = 50
# What it may grow by after the first sessions: as much as their remains in the quarantine of AddressSanitizer, and more.
GROWTH = 128 << 20
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16:detect_leaks=1:abort_on_error=0")


class Finding(Exception):
    pass


class Server:
    """A server and a well-behaved client, which hears what the others get said."""

    def __init__(self):
        self.confab = Confab(*OPTIONS)
        self.rounds = 0
        self.base = None
        self.client = self.connect()

    def connect(self):
        # The library checks every frame. Pings keep it in.
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
            raise Finding(f"{type(error).__name__}: {error}; {self.end()}") from error
        memory = self.confab.memory()
        if self.rounds == 5:
            self.base = memory
        if self.base and memory > self.base + GROWTH:
            raise Finding(f"memory has grown from {self.base >> 20} to {memory >> 20} MiB")

    def hear(self, marker):
        """Says something and waits until it comes back."""
        deadline = time.monotonic() + PATIENCE
        try:
            self.client.send(marker)
            while self.client.recv(timeout=deadline - time.monotonic()) != marker:
                pass
        except websockets.ConnectionClosed as closed:
            # One that has fallen behind, while nobody read, comes again; but whoever closes for another reason errs.
            if closed.sent and not closed.rcvd_then_sent or not closed.rcvd or closed.rcvd.code != 1013:
                raise
            self.client = self.connect()
            self.hear(marker)

    def end(self):
        """Ends it, and tells how it went."""
        with contextlib.suppress(Exception):
            self.client.close()
        try:
            code = self.confab.stop()
        except Exception as error:
            return f"does not stop: {error!r}"
        return "" if code == 0 and "Sanitizer" not in self.confab.errors else f"exit code {code}: {self.confab.errors}"


def trouble(batch):
    """Plays sessions against a server of their own; what is wrong then, or an empty string."""
    server = Server()
    found = ""
    try:
        for session in batch:
            sessions.play(session, server.confab.port)
        server.check()
    except (Finding, OSError) as error:
        found = str(error)
    return found + server.end() if server.confab.process.returncode is None else found


def minimise(batch, seconds):
    """Leaves out sessions, then steps, as long as the trouble stays."""
    deadline = time.monotonic() + seconds
    for parts in (lambda b: b, lambda b: b[0]):
        size = len(parts(batch)) // 2
        while size and (len(batch) == 1 or parts(batch) is batch):
            index = 0
            while index < len(parts(batch)) and time.monotonic() < deadline:
                less = parts(batch)[:index] + parts(batch)[index + size:]
                if less and trouble(less if parts(batch) is batch else [less]):
                    batch = less if parts(batch) is batch else [less]
                else:
                    index += size
            size //= 2
    return batch


def keep(batch, found, folder):
    """Writes a session file for each session of a finding."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, session in enumerate(batch):
        path = folder / f"{time.strftime('%H%M%S')}-{number}.session"
        path.write_text("".join(f"# {line}\n" for line in found.splitlines()[:60]) + sessions.dump(session))
        print(f"kept as {path}")


def fuzz(seed, seconds, folder):
    print(f"seed {seed}; to have the same sessions again: --seed {seed}")
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
    print(f"{count} sessions, {server.confab.process.returncode=}")
    return report(batch, found, folder) if found else 0


def report(batch, found, folder):
    print(f"FINDING: {found}")
    again = trouble(batch)
    print("comes again: made smaller" if again else "does not come again by itself: all since the last check are kept")
    keep(minimise(batch, 60) if again else batch, again or found, folder)
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", type=pathlib.Path, default=".build/fuzz/findings", help="where findings go")
    parser.add_argument("replay", nargs="*", type=pathlib.Path, help="session files to play instead")
    arguments = parser.parse_args()
    if arguments.replay:
        found = trouble([sessions.load(path.read_text()) for path in arguments.replay])
        print(found or "nothing is wrong")
        return 1 if found else 0
    return fuzz(arguments.seed, arguments.seconds, arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
