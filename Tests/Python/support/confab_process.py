"""Starts the built program for tests, and ends it by its pid."""

import contextlib
import os
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONFAB = pathlib.Path(os.environ.get("CONFAB", ROOT / ".build" / "release" / "confab"))


class Confab:
    """A running server on a port that the system chose. `under` is a command that runs it."""

    def __init__(self, *options, under=(), env=None, **keywords):
        # A file, because a full pipe would block a server that logs much.
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*under, CONFAB, "serve", "--port", "0", *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=env and os.environ | env, **keywords)
        self.line = self.process.stdout.readline()
        match = re.fullmatch(r"Confab is listening on http(s?)://(?:127\.0\.0\.1|\[::\]):(\d+)/\n", self.line)
        if not match and self.line.startswith("Confab is listening on unix:"):
            return
        if not match:
            self.process.kill()
            raise AssertionError(f"no ready line: {self.line!r} {self.said()}")
        self.port = int(match[2])
        self.ws = f"ws{match[1]}://127.0.0.1:{self.port}/"
        self.http = f"http{match[1]}://127.0.0.1:{self.port}/"

    def memory(self):
        """Returns the resident memory in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def said(self):
        """Returns the server's standard error so far."""
        return os.pread(self.log.fileno(), 1 << 30, 0).decode()

    def until_said(self, text, count=1, patience=20):
        """Waits until standard error contains the text so many times."""
        end = time.monotonic() + patience
        while self.said().count(text) < count:
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def stop(self, signal=15, patience=10):
        """Stops the server and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal)
        return self.end(patience)

    def end(self, patience=10):
        """Waits until the server has stopped, and returns its exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.errors = self.said()
        self.process.stdout.close()
        self.log.close()
        return code


@contextlib.contextmanager
def confab(*options, **keywords):
    server = Confab(*options, **keywords)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            code = server.stop()
            assert code == 0, f"exit code {code}: {server.errors}"


def free_port():
    """Returns a free port, for programs that do not print which port the system chose. The system chooses from 32768 for
    its own sockets, so they do not take it before the program does. Parallel test processes have different ports."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + worker % 10 * 2_000, 12_000 + worker % 10 * 2_000)
    while True:
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port := random.choice(ports)))
            return port


def make_certificate(folder, *, name="server", key_type=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """Creates a self-signed certificate for this machine. Returns the files of the certificate and the key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    request = subprocess.run(
        ["openssl", "req", "-new", "-newkey", *key_type, "-nodes",
         "-subj", f"/CN={name}", "-addext", names, "-keyout", key], check=True, capture_output=True).stdout
    subprocess.run(
        ["openssl", "x509", "-req", "-signkey", key, "-days", "30", "-copy_extensions", "copy",
         "-out", certificate], input=request, check=True, capture_output=True)
    return certificate, key


def run(*arguments, env=None):
    """Runs the program until it exits."""
    return subprocess.run(
        [CONFAB, *map(str, arguments)], capture_output=True, text=True, timeout=20, env=env and os.environ | env)
