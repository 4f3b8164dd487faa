"""The program: its options, its line of output, its errors, its signals, its page."""

import asyncio
import os
import re
import signal
import socket
import urllib.error
import urllib.request

import pytest
import websockets

from support.confab_process import confab, run


def get(address):
    with urllib.request.urlopen(address, timeout=10) as response:
        return response.status, dict(response.headers), response.read()


def test_help_lists_every_option():
    for arguments in (["--help"], ["help", "serve"]):
        result = run(*arguments)
        assert result.returncode == 0 and result.stderr == ""
    for option in ("--host", "--port", "--web-root", "--log-level", "--max-message-size", "--max-backlog", "--loops"):
        assert option in run("serve", "--help").stdout


@pytest.mark.parametrize("arguments, names", [
    (["--port", "99999"], "port must be 0 to 65535, not 99999"),
    (["--port", "many"], "'many'"),
    (["--frobnicate"], "--frobnicate"),
    (["--max-message-size", "1TB"], "1TB"),
    (["--max-backlog=-1"], "-1"),
    (["--web-root", "/no/such/folder"], "there is no folder '/no/such/folder'"),
    (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
    (["--log-level", "loud"], "loud"),
])
def test_startup_error_is_one_line(arguments, names):
    result = run("serve", *arguments)
    assert result.returncode not in (0, None)
    assert result.stdout == ""
    assert result.stderr.startswith("confab: ") and names in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_taken_port_is_an_error(server):
    result = run("--port", server.port)
    assert result.returncode == 1
    assert result.stderr == (
        f"confab: another program listens on http://127.0.0.1:{server.port}/; stop it, or choose another port\n")


def test_default_listener_is_loopback_with_both_families(server):
    for host in ("127.0.0.1", "[::1]"):
        assert get(f"http://{host}:{server.port}/")[0] == 200
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_gracefully(number):
    with confab() as server:
        async def main():
            async with websockets.connect(server.ws) as client:
                server.process.send_signal(number)
                with pytest.raises(websockets.ConnectionClosedOK) as caught:
                    await client.recv()
                assert caught.value.rcvd.code == 1001
        asyncio.run(asyncio.wait_for(main(), 20))
        assert server.end() == 0
        assert server.errors == ""


def test_unresponsive_client_does_not_delay_stopping():
    with confab("--stop-timeout", "0.2") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 101"
            assert server.stop() == 0


def test_sizes_have_units():
    with confab("--max-message-size", "2KiB") as server:
        async def main():
            async with websockets.connect(server.ws) as client:
                await client.send("x" * 2048)
                assert len(await client.recv()) == 2048
                await client.send("x" * 2049)
                with pytest.raises(websockets.ConnectionClosedError) as caught:
                    await client.recv()
                assert caught.value.rcvd.code == 1009
        asyncio.run(asyncio.wait_for(main(), 20))


def test_page_is_found_from_any_working_directory(tmp_path):
    with confab(cwd=tmp_path) as server:
        status, headers, page = get(server.http)
        assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        files = re.findall(rb'(?:src|href)="([^"]+)"', page)
        assert {b"style.css", b"chat.js", b"icon.svg"} <= set(files)
        assert not any(b"//" in name for name in files)
        for name in files:
            assert get(server.http + name.decode())[0] == 200


def test_web_root_replaces_the_page(tmp_path):
    (tmp_path / "index.html").write_text("<p>mine</p>")
    with confab("--web-root", tmp_path) as server:
        assert get(server.http)[2] == b"<p>mine</p>"
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(server.http + "chat.js")
        assert caught.value.code == 404


def test_logs_go_to_standard_error():
    with confab("--log-level", "debug") as server:
        server.stop()
        assert "confab" in server.errors and "Confab is listening" not in server.errors


@pytest.mark.parametrize("host", ["localhost", "twice", None])
def test_host_name_works_without_ipv6(host, tmp_path):
    """A hosts file may name ::1 on a machine without IPv6, as in containers, or an address twice."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost\n127.0.0.1 twice\n127.0.0.1 twice\n")
    script = (f"mount --bind {hosts} /etc/hosts; echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
              f"ip link set lo up; exec \"$0\" \"$@\"")
    admin = ["--admin", "localhost:9099"] if host else []
    # Root needs no user namespace, which a chroot may not have.
    under = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "-m", "sh", "-c", script]
    with confab(*(["--host", host] if host else []), *admin, under=under) as server:
        assert server.port > 0
