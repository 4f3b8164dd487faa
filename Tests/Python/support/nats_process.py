"""Starts NATS servers for tests, and ends them by their pid."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from support.confab_process import free_port

PROGRAM = os.environ.get("NATS_SERVER") or shutil.which("nats-server") or "/usr/sbin/nats-server"


class Broker:
    """A NATS server with JetStream. It keeps its port and its folder when it is restarted."""

    def __init__(self, folder, *options, name="one"):
        self.port, self.folder, self.name = free_port(), pathlib.Path(folder) / name, name
        self.options = [*map(str, options)]
        self.log = tempfile.TemporaryFile("w+")
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        assert not self.is_running()
        self.process = subprocess.Popen(
            [PROGRAM, "-js", "-sd", self.folder, "-a", "127.0.0.1", "-p", str(self.port), "-n", self.name, *self.options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """Kills the server, like a power failure, except that the kernel keeps what was written."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def said(self):
        return os.pread(self.log.fileno(), 1 << 30, 0).decode()

    def request(self, subject, body=b"", patience=2):
        """Returns the reply to a request as JSON, None if there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), patience) as connection:
                lines = connection.makefile("rb")
                lines.readline()
                connection.sendall(
                    b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB answer 1\r\n'
                    b"PUB %s answer %d\r\n%s\r\n" % (subject.encode(), len(body), body))
                while line := lines.readline():
                    if line.startswith(b"MSG"):
                        return json.loads(lines.read(int(line.split()[-1])))
                    if line.startswith(b"HMSG"):
                        return None
                    if line.startswith(b"PING"):
                        connection.sendall(b"PONG\r\n")
        except OSError:
            return None

    def wait(self, patience=20):
        """Waits until JetStream works."""
        end = time.monotonic() + patience
        while "error" in (self.request("$JS.API.INFO") or {"error": 0}):
            assert self.is_running() and time.monotonic() < end, self.said()[-4000:]
            time.sleep(0.05)
        return self


@contextlib.contextmanager
def broker(*options):
    with tempfile.TemporaryDirectory() as folder:
        one = Broker(folder, *options)
        try:
            yield one.wait()
        finally:
            one.stop()


@contextlib.contextmanager
def cluster(size=3):
    with tempfile.TemporaryDirectory() as folder:
        ports = [free_port() for _ in range(size)]
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
        brokers = [
            Broker(folder, "-cluster_name", "x", "-cluster", f"nats://127.0.0.1:{port}", "-routes", routes, name=f"n{index}")
            for index, port in enumerate(ports)]
        try:
            for one in brokers:
                one.wait()
            yield brokers
        finally:
            for one in brokers:
                one.stop()


def leader(brokers, stream="CONFAB"):
    """Returns the broker that leads a stream, None if there is none now."""
    for one in brokers:
        info = one.request(f"$JS.API.STREAM.INFO.{stream}") if one.is_running() else None
        name = (info or {}).get("cluster", {}).get("leader")
        if name:
            return next(one for one in brokers if one.name == name)


def wait_until_whole(brokers, stream="CONFAB", patience=60):
    """Waits until all brokers have all messages of a stream. Before that another broker must not die."""
    end = time.monotonic() + patience
    while True:
        info = leader(brokers, stream) and brokers[0].request(f"$JS.API.STREAM.INFO.{stream}")
        replicas = (info or {}).get("cluster", {}).get("replicas", [])
        if len(replicas) == len(brokers) - 1 and all(one["current"] and not one.get("lag") for one in replicas):
            return
        assert time.monotonic() < end, info
        time.sleep(0.1)
