"""One row of the table: an attack on a server, and the results of both."""

import collections
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from abuse.level import Level
from support.confab_process import ROOT, Confab, make_certificate

MIB = 1 << 20
# Log lines a second of each reason, and of libwebsockets, at most.
LINES_PER_SECOND = 11


@dataclasses.dataclass
class Terms:
    """The duration of an attack, and how strict the checks are."""
    seconds: float
    valgrind: bool
    is_checked: bool
    options: tuple

    @property
    def longest_p99(self):
        return 5 if self.is_checked else 0.1

    def command(self, attack):
        """Returns the command that the server is run under."""
        limit = ["sh", "-c", f'ulimit -n {attack.descriptors}; exec "$@"', "sh"] if attack.descriptors else []
        return limit + (valgrind() if self.valgrind else [])

    def end(self, server):
        """Stops the server, and returns what is wrong with how it ended."""
        if self.valgrind:
            # libdispatch gets no signals under valgrind: LifecycleCheck tests how the server stops there.
            server.stop(signal.SIGKILL)
            found = re.findall(r"^==\d+== (.*)", server.errors, re.MULTILINE)
            return "\n  ".join(found[:40])
        code = server.stop(patience=60)
        return f"exit code {code}: {server.errors[-2000:]}" if code else None


class Row:
    WIDTHS = "{:24}{:>6}  {:56} {:72}{:>7}{:>7}{:>7}{:>10}  {}"
    TITLE = WIDTHS.format("attack", "tried", "ended", "the server's log", "before", "peak", "after", "p99", "")

    def __init__(self, attack, terms):
        self.attack, self.terms = attack, terms
        self.problems = []
        with tempfile.TemporaryDirectory() as folder:
            certificate = certificate_options(pathlib.Path(folder)) if attack.is_encrypted else ()
            start = time.monotonic()
            server = Confab(
                "--log-level", "info", *certificate, *attack.options, *terms.options, under=terms.command(attack))
        try:
            self.attempt(server)
            if problem := terms.end(server):
                self.problems.append(problem)
            self.reasons = reasons(server.errors)
            if attack.reason and attack.reason not in self.reasons:
                self.problems.append(f"the log does not name {attack.reason}")
            lines = server.errors.count("\n")
            if lines > LINES_PER_SECOND * (time.monotonic() - start + 1) * (1 + len(self.reasons)):
                self.problems.append(f"{lines} lines of log")
        finally:
            if server.process.poll() is None:
                server.process.kill()

    def attempt(self, server):
        victims = start("abuse.victims", server.port, "127.0.0.2", *["tls"] * self.attack.is_encrypted)
        try:
            victims.stdout.readline()
            self.before = Level(server)
            with start("abuse.attacker", self.attack.name, server.port, self.terms.seconds) as attacker:
                attacker.stdin.close()
                told = attacker.stdout.read()
            if not told:
                raise SystemExit("the attacker has failed")
            self.outcome = json.loads(told)
            for surprise, count in self.outcome["surprises"].items():
                self.problems.append(f"{count} × {surprise}")
            self.after, problem = self.before.settled(
                server, self.attack.each * self.outcome["most"], self.terms.is_checked)
            if problem:
                self.problems.append(problem)
            victims.stdin.close()
            self.heard = json.loads(victims.stdout.readline())
        finally:
            victims.kill()
            victims.wait()
        self.problems += self.heard["problems"][:5]
        if not self.heard["p99"] or self.heard["p99"] > self.terms.longest_p99:
            self.problems.append(f"p99 {self.heard['p99']} s, longest {self.heard['longest']} s")

    def __str__(self):
        tally = self.outcome["tally"]
        return self.WIDTHS.format(
            self.attack.name, sum(tally.values()), counted(tally), counted(self.reasons),
            *(f"{memory / MIB:.1f}" for memory in (self.before.memory, self.after.peak, self.after.memory)),
            f"{self.heard['p99'] * 1000:.1f} ms", "FAILED" if self.problems else "ok")


def certificate_options(folder):
    certificate, key = make_certificate(folder)
    return "--tls-cert", certificate, "--tls-key", key


def valgrind():
    library = ROOT / ".build" / "sigsuspend.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, ROOT / "Tests" / "C" / "Preload" / "sigsuspend.c"], check=True)
    return ["env", f"LD_PRELOAD={library}", "valgrind", "-q"]


def start(module, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def reasons(log):
    """Counts the log lines of each reason, including the suppressed ones that `leftOut` reports."""
    counts = collections.Counter()
    for more, name in re.findall(r"^\S+ \S+ \S+ (?:leftOut=(\d+) )?(?:.*? )?reason=(\w+): ", log, re.MULTILINE):
        counts[name] += 1 + int(more or 0)
    return counts


def counted(counts):
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
