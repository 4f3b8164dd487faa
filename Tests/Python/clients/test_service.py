"""The program as a service: its notifications to systemd, and the sockets that it is given."""

import contextlib
import os
import signal
import socket
import sys
import time

import pytest
from websockets.sync.client import connect

from support.confab_process import confab, make_certificate
from support.raw_client import RawClient, frame, handshake

# Executes the program in the arguments, with the passed descriptors from 3 on.
LAUNCHER = [sys.executable, "-c", """
import fcntl, os, sys
given = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 100) for each in sys.argv[1].split(",")]
for number, each in enumerate(given, 3):
    os.dup2(each, number)
    os.close(each)
os.environ["LISTEN_PID"] = os.environ.get("LISTEN_PID") or str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(given))
os.execv(sys.argv[2], sys.argv[2:])
"""]


class Manager:
    """A service manager that records the notifications."""

    def __init__(self, path):
        self.name = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.socket.settimeout(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def hear(self):
        return self.socket.recv(4096).decode()

    def environment(self, **variables):
        return {"env": os.environ | {"NOTIFY_SOCKET": self.name} | variables}


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    with Manager(tmp_path / "notify" if request.param == "path" else f"@confab-test-{os.getpid()}") as manager:
        yield manager


def test_service_manager_gets_ready_reloading_and_stopping(manager, tmp_path):
    certificate, key = make_certificate(tmp_path)
    with confab("--tls-cert", certificate, "--tls-key", key, "--drain", 600, **manager.environment()) as server:
        assert manager.hear() == "READY=1"
        start = time.monotonic()
        server.process.send_signal(signal.SIGHUP)
        reloading, when = manager.hear().split("\nMONOTONIC_USEC=")
        assert reloading == "RELOADING=1" and start <= int(when) / 1e6 + 0.001 and int(when) / 1e6 <= time.monotonic()
        assert manager.hear() == "READY=1"
        server.process.terminate()
        assert manager.hear() == "STOPPING=1"
        assert server.end() == 0


def test_watchdog_is_notified(manager):
    with confab("--loops", 2, **manager.environment(WATCHDOG_USEC="200000")):
        assert [manager.hear() for _ in range(4)] == ["READY=1"] + ["WATCHDOG=1"] * 3


def test_stalled_loop_stops_watchdog_notifications(manager):
    with confab(**manager.environment(WATCHDOG_USEC="200000")) as server:
        assert [manager.hear() for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
        server.process.send_signal(signal.SIGSTOP)
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while manager.hear():
                pass
        server.process.send_signal(signal.SIGCONT)
        assert manager.hear() == "WATCHDOG=1"


def test_watchdog_of_another_process_is_ignored(manager):
    with confab(**manager.environment(WATCHDOG_USEC="1", WATCHDOG_PID="1")) as server:
        assert manager.hear() == "READY=1"
        server.stop()
        assert manager.hear() == "STOPPING=1"


def test_missing_notify_socket_is_ignored():
    for name in ("/nowhere/notify", "@", "x" * 200):
        with confab(env=os.environ | {"NOTIFY_SOCKET": name}):
            pass


def listener(family=socket.AF_INET, host="127.0.0.1"):
    one = socket.socket(family)
    one.bind((host, 0))
    one.listen(64)
    return one


def given(*sockets, **variables):
    """Returns the options of Confab() that pass these sockets to the server."""
    descriptors = [each.fileno() for each in sockets]
    return {"under": [*LAUNCHER, ",".join(map(str, descriptors))], "pass_fds": descriptors,
            "env": os.environ | variables}


@pytest.mark.parametrize("loops", [1, 3])
def test_inherited_sockets_are_used(loops):
    with listener() as one, listener(socket.AF_INET6, "::1") as other:
        with confab("--loops", loops, **given(one, other)) as server:
            assert server.port == one.getsockname()[1]
            with contextlib.ExitStack() as clients:
                everybody = [
                    clients.enter_context(connect(f"ws://{host}:{each.getsockname()[1]}/"))
                    for host, each in [("127.0.0.1", one), ("[::1]", other)] * 4]
                everybody[0].send("hello")
                assert [client.recv(10) for client in everybody] == ["hello"] * 8


def test_ipv4_clients_of_dual_stack_socket_have_ipv4_addresses():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        options = "--limit-loopback", "--max-connections-per-address", 2
        with confab(*options, **given(both)) as server, contextlib.ExitStack() as clients:
            def status(host):
                client = clients.enter_context(RawClient(server.port, host=host))
                client.send(handshake())
                return client.answer()[0]

            # As IPv6 addresses, 127.0.0.1 and ::1 share their first 64 bits.
            for host in ("127.0.0.1", "::1"):
                assert [status(host) for _ in range(3)] == [101, 101, 429]


@pytest.mark.parametrize("drain", [0, 1])
def test_clients_wait_in_inherited_socket_for_next_server(drain):
    with listener() as given_one:
        port = given_one.getsockname()[1]
        with RawClient(port) as early:
            early.send(handshake())
            with confab("--drain", drain, **given(given_one)) as server:
                assert early.answer()[0] == 101
                server.process.terminate()
                assert early.close_code() == 1001
                early.send(frame(8, b"\x03\xe9"))
                assert server.end() == 0
        with RawClient(port) as late:
            late.send(handshake())
            with confab("--stop-timeout", 0, **given(given_one)):
                assert late.answer()[0] == 101


def test_inherited_sockets_of_another_process_are_ignored():
    with listener() as one, confab(**given(one, LISTEN_PID="1")) as server:
        assert server.port != one.getsockname()[1]


def test_inherited_descriptor_must_be_a_listening_socket(tmp_path):
    with socket.socket() as idle, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "socket"))
        for one in (idle, local):
            with pytest.raises(AssertionError, match="descriptor 3 is not a listening TCP or Unix socket"):
                with confab(**given(one)):
                    pass
