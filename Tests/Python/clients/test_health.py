"""The command that a container's health check runs."""

import socket
import threading

import pytest

from support.confab_process import confab, free_port, run


def test_ready_server_is_healthy(tmp_path):
    admin = f"127.0.0.1:{free_port()}"
    settings = tmp_path / "confab.json"
    settings.write_text(f'{{ "admin": "{admin}" }}')
    with confab("--admin", admin):
        for result in (run("health", "--admin", admin), run("health", env={"CONFAB_ADMIN": admin}),
                       run("health", env={"CONFAB_CONFIG": str(settings)})):
            assert (result.returncode, result.stdout, result.stderr) == (0, "ready\n", "")
    result = run("health", "--admin", admin)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"confab: the server at {admin} is not ready: Connection refused\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[::1]", "localhost"])
def test_addresses_of_the_admin_listener(host):
    admin = f"{host}:{free_port()}"
    with confab("--admin", admin):
        assert run("health", "--admin", admin).returncode == 0


def test_missing_address_is_an_error():
    result = run("health")
    assert result.returncode == 1 and "CONFAB_ADMIN" in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("reply, reason", [
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\nthe server is stopping\n", "status 503, the server is stopping"),
    (b"HTTP/1.1 503 No\r\n\r\n\x1b[2J\xff", "status 503, "),
    (b"SSH-2.0-OpenSSH\r\n", "the reply is not HTTP/1.1"),
    (b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000, "the reply is not HTTP/1.1"),
    (b"", "there is no reply within "),
    (None, "there is no reply within "),
])
def test_reply_of_another_server_is_unhealthy(reply, reason):
    """None is a server that accepts the connection and does not reply."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        finished = threading.Event()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(reply or b"")
                except ConnectionError:
                    pass
                if reply is None:
                    finished.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        result = run("health", "--timeout", "0.3", "--admin", f"127.0.0.1:{listener.getsockname()[1]}")
        finished.set()
        thread.join(20)
    assert (result.returncode, result.stdout) == (1, "")
    assert reason in result.stderr and "\x1b" not in result.stderr and len(result.stderr.splitlines()) == 1
