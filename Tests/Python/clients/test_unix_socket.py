"""A server that listens on a Unix domain socket."""

import os
import pwd
import signal
import socket
import stat
import subprocess

import pytest
from websockets.sync.client import connect, unix_connect

from clients.test_service import LAUNCHER
from support.confab_process import confab, free_port, run

NGINX = """
daemon off; user {user}; pid {folder}/pid; error_log {folder}/log info; worker_processes 1;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://unix:{path};
      proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade; proxy_set_header X-Forwarded-For 192.0.2.7;
    }}
  }}
}}
"""


@pytest.fixture
def path(tmp_path):
    # A path has at most 107 bytes.
    os.chdir(tmp_path)
    return "chat.sock"


def join(path, room="tea", **options):
    return unix_connect(path, f"ws://localhost/{room}", **options)


def get(path, target="/", headers=""):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode())
        return client.makefile("rb").read()


def test_serves_the_page_and_the_chat(path):
    with confab("--host", f"unix:{path}", "--loops", 3) as server:
        assert server.line == f"Confab is listening on unix:{path}\n"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        page = get(path)
        assert page.startswith(b"HTTP/1.1 200") and b"<!DOCTYPE html>" in page
        clients = [join(path) for _ in range(9)]
        for number, client in enumerate(clients):
            text = str(number) * 200_000
            client.send(text)
            assert all(each.recv(10) == text for each in clients)
        # A browser's page from another machine, as with a server that listens on 127.0.0.1.
        assert b"403" in get(path, headers="Origin: https://evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n").split(b"\r\n")[0]
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(Exception) as error:
            clients[0].recv(10)
        assert error.value.rcvd.code == 1001
    assert not os.path.exists(path)


def test_address_is_loopback(path):
    with confab("--host", f"unix:{path}", "--limit-loopback", "--max-connections-per-address", 2) as server:
        with join(path), join(path):
            with socket.socket(socket.AF_UNIX) as third:
                third.settimeout(10)
                third.connect(path)
                assert third.recv(12) == b"HTTP/1.1 429"
        assert "peer=127.0.0.1 " in server.said()


def test_socket_of_a_killed_server_is_replaced(path):
    with confab("--host", f"unix:{path}") as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert os.path.exists(path)
    with confab("--host", f"unix:{path}"):
        assert get(path).startswith(b"HTTP/1.1 200")
        # Neither the socket of a server that runs, nor another file, is replaced.
        second = run("serve", "--host", f"unix:{path}")
        assert second.returncode != 0 and "another program listens on unix:chat.sock" in second.stderr
        assert get(path).startswith(b"HTTP/1.1 200")
        os.rename(path, "other")
        os.symlink("other", path)
        linked = run("serve", "--host", f"unix:{path}")
        assert linked.returncode != 0 and "exists and is not a socket" in linked.stderr
    # The server does not remove a file that it has not made.
    assert os.path.islink(path)


@pytest.mark.parametrize("host, error", [
    ("unix:", "must have 1 to 107 bytes"), ("unix:" + "x" * 108, "must have 1 to 107 bytes"),
    ("unix:missing/chat.sock", "No such file or directory"), ("unix:file", "exists and is not a socket"),
    ("unix:/proc/chat.sock", "cannot listen on unix:/proc/chat.sock")])
def test_unusable_path_is_an_error(path, host, error):
    open("file", "w").write("kept")
    result = run("serve", "--host", host)
    assert result.returncode != 0 and error in result.stderr and result.stdout == ""
    assert open("file").read() == "kept"


def test_socket_cannot_share_its_port(path):
    result = run("serve", "--host", f"unix:{path}", "--reuse-port")
    assert result.returncode != 0 and "cannot be shared" in result.stderr and not os.path.exists(path)


def test_service_manager_passes_the_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with confab(under=[*LAUNCHER, str(listener.fileno())], pass_fds=[listener.fileno()]) as server:
            assert server.line == f"Confab is listening on unix:{path}\n"
            with join(path) as client:
                client.send("hello")
                assert client.recv(10) == "hello"
    assert os.path.exists(path)


def test_clients_of_nginx_have_their_addresses(path, tmp_path):
    port = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(
        user=pwd.getpwuid(os.geteuid()).pw_name, folder=tmp_path, port=port, path=tmp_path / path))
    with confab("--host", f"unix:{path}", "--trusted-proxy", "127.0.0.1") as server:
        with subprocess.Popen(["/usr/sbin/nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf"]) as nginx:
            try:
                while True:
                    try:
                        socket.create_connection(("127.0.0.1", port), 10).close()
                        break
                    except ConnectionRefusedError:
                        assert nginx.poll() is None
                with connect(f"ws://127.0.0.1:{port}/tea") as client:
                    client.send("hello")
                    assert client.recv(10) == "hello"
                with pytest.raises(Exception) as error:
                    connect(f"ws://127.0.0.1:{port}/tea", origin="https://evil.example")
                assert error.value.response.status_code == 403
                server.until_said("peer=192.0.2.7 reason=originNotAllowed")
                # Pages of loopback and files are those of this machine's operator only without a proxy.
                for origin in "null", "file://", "http://localhost:3000":
                    with pytest.raises(Exception) as error:
                        connect(f"ws://127.0.0.1:{port}/tea", origin=origin)
                    assert error.value.response.status_code == 403
                    with join(path, origin=origin, additional_headers={"X-Forwarded-For": "127.0.0.1"}):
                        pass
            finally:
                nginx.terminate()
