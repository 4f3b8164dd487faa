"""Measures the cost of an input for the server."""

import dataclasses
import tempfile
import time

from cost.inputs import INPUTS, MEBIBYTE, VALID
from cost.server import CONNECTION_BYTES, Client, measured, request
from support.tokens import SECRET

#: One loop, so that threads do not contend, and no event limits, so that the server processes each input completely.
OPTIONS = ("--loops", 1, "--max-event-rate", 0, "--max-rename-rate", 0)
#: The key of the tokens. The file is deleted at the end.
KEY = tempfile.NamedTemporaryFile("w", suffix=".key")
KEY.write(SECRET + "\n")
KEY.flush()
#: Options for moderators, who have tokens, and guests.
USERS = ("--auth-key", KEY.name, "--allow-guests", "read,say,history", "--max-restrictions", 100)
BASELINE = INPUTS[0]
#: Maximum CPU time per byte on the wire, as a multiple of the baseline's.
MOST = 20
#: Maximum memory left behind: a room's history of 1 MiB, 4 KiB for the room, and what the allocator keeps for reuse,
#: see Security.md.
MOST_LEFT = 16 * MEBIBYTE


@dataclasses.dataclass
class Cost:
    input: object
    #: Per repetition: CPU time in nanoseconds, bytes to the server, bytes from the server.
    cpu: float
    sent: float
    received: float
    left: float

    @property
    def per_byte(self):
        return self.cpu / self.sent

    def problems(self, baseline):
        if self.per_byte > MOST * baseline.per_byte:
            yield f"{self.per_byte / baseline.per_byte:.1f} times the CPU time per byte of a chat message"
        most = self.input.left and 1.5 * self.input.left or MOST_LEFT
        if self.left > most:
            yield f"{self.left / 1024:.0f} KiB are left behind, more than {most / 1024:.0f}"


def measure(one, seconds, rounds=3):
    """Returns the minimum of several rounds: other load on the machine only adds to it."""
    options = USERS if one.moderates else ()
    with measured(*OPTIONS, *options) as server:
        kept = one.room(server, "/") if one.room else []
        server.settle(*kept)
        attempts = Connections(server, one, kept) if one.connects else Messages(server, one, kept)
        number = attempts.run(0, 3)[0]
        before = server.trimmed_memory()
        results = []
        total = 0
        for _ in range(rounds):
            start = time.monotonic()
            begin, (count, cpu, sent, received) = number, attempts.run(number, 2 if results else 1)
            while time.monotonic() - start < seconds / rounds:
                more = attempts.run(number + count, 4)
                count, cpu, sent, received = (a + b for a, b in zip((count, cpu, sent, received), more))
                if count > 2000:
                    break
            number = begin + count
            total += count
            results.append((cpu / count, sent / count, received / count))
        attempts.close()
        server.settle(*kept)
        left = server.trimmed_memory() - before
        for client in kept:
            client.close()
        cpu, sent, received = min(results)
        return Cost(one, cpu, sent, received, max(0, left) / (total if one.left else 1))


class Messages:
    """Sends an input on one connection, or on as many as `most` requires, one message at a time."""

    def __init__(self, server, one, kept):
        self.server, self.one, self.kept = server, one, kept
        self.client, self.used = None, 0

    def run(self, number, count):
        """Sends at most `count` inputs. Returns how many, their CPU time, and the bytes sent and received."""
        if self.client is None or self.used >= self.one.most:
            self.close()
            self.client = Client(self.server, rich=self.one.rich, compressed=self.one.compressed, name=self.one.rich and "n",
                                 **({"token": VALID} if self.one.moderates else {}))
            self.used = 0
        count = min(count, self.one.most - self.used)
        self.used += count
        self.server.settle(self.client, *self.kept)
        clients = [self.client, *self.kept]
        cpu, received, sent = self.server.cpu(), sum(client.received for client in clients), 0
        for index in range(count):
            data = self.one.data(number + index, self.kept)
            self.client.send(data)
            sent += len(data)
            # Pauses so that each message arrives separately.
            time.sleep(0.004 + len(data) / 1e9)
        self.server.settle(*clients)
        return count, self.server.cpu() - cpu, sent, sum(client.received for client in clients) - received

    def close(self):
        if self.client:
            self.client.close()
            self.client = None


class Connections:
    """Sends each repetition of an input on a new connection."""

    def __init__(self, server, one, kept):
        self.server, self.one, self.kept = server, one, kept

    def run(self, number, count):
        cpu, received, sent = self.server.cpu(), 0, 0
        before = sum(client.received for client in self.kept)
        for index in range(count):
            data = self.one.data(number + index, self.kept)
            received += request(self.server, data, self.one.until)
            sent += sum(map(len, data)) + CONNECTION_BYTES
            time.sleep(0.002)
        self.server.settle(*self.kept)
        received += sum(client.received for client in self.kept) - before
        return count, self.server.cpu() - cpu, sent, received

    def close(self):
        pass
