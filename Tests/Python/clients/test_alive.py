"""The operator's view of a stuck server, and a log that is not read."""

import os
import signal
import socket
import subprocess
import time

import pytest

from support.confab_process import CONFAB, ROOT, Confab, free_port
from support.metrics import get, metrics
from support.raw_client import RawClient, head, request


@pytest.fixture(scope="module")
def stall(tmp_path_factory):
    """Returns an environment in which a loop stalls when it accepts a connection from 127.0.0.66."""
    library = tmp_path_factory.mktemp("stall") / "stall.so"
    source = ROOT / "Tests" / "C" / "Preload" / "stall.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


def test_stalled_loop_makes_health_checks_fail_and_second_signal_ends_the_process(stall):
    admin = f"127.0.0.1:{free_port()}"
    server = Confab("--host", "127.0.0.1", "--admin", admin, "--loops", 1, env=stall)
    assert get(admin, "/livez") == (200, "ok\n") and get(admin, "/readyz") == (200, "ok\n")
    with socket.create_connection(("127.0.0.1", server.port), 10, ("127.0.0.66", 0)):
        deadline = time.monotonic() + 20
        while (answer := get(admin, "/livez"))[0] == 200:
            assert time.monotonic() < deadline
        assert answer[0] == 503 and answer[1].startswith("an event loop has been stuck for ")
        assert get(admin, "/readyz")[0] == 503
        assert metrics(admin)["confab_loop_lag_seconds",] > 3
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 1
    server.process.stdout.close()
    assert "the server has not stopped" in server.said()


@pytest.mark.slow
def test_unread_log_does_not_block_the_server():
    process = subprocess.Popen(
        [CONFAB, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        port = int(process.stdout.readline().rsplit(b":", 1)[1].rstrip(b"/\n"))
        # At most ten lines a second are logged for each reason, so it takes several reasons to fill the pipe of 64 KiB.
        requests = [
            head({"Host": "a", "Content-Length": "x" * 190}), head({"Host": "a", "Content-Length": "5"}),
            head({"Host": "a"}, f"GET /{'y' * 1100} HTTP/1.1"), head({"Host": "a"}, f"GET /{'y' * 900} HTTP/1.1"),
            head({"Host": "a"}, f"POST /{'y' * 190} HTTP/1.1")]
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for one in requests:
                request(port, one)
        with RawClient(port) as client:
            client.open()
        os.set_blocking(process.stderr.fileno(), False)
        said = b""
        deadline = time.monotonic() + 20
        while b"log lines were lost" not in said and time.monotonic() < deadline:
            # Not each request is logged.
            request(port, requests[1])
            said += process.stderr.read() or b""
        assert b"log lines were lost" in said
        assert all(line.startswith((b"20", b"confab: ")) for line in said.splitlines())
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()

