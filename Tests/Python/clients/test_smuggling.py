"""Request smuggling through nginx and HAProxy: requests whose end a proxy and the server could see in different places.

The server must never answer a request that the proxy has not passed on, and clients must never get more responses than the
proxy has seen requests."""

import contextlib
import pathlib
import re
import select
import socket
import subprocess
import threading
import time

import pytest

from support.confab_process import confab, free_port
from support.raw_client import HANDSHAKE, head, request

SMUGGLED = b"GET /smuggled.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
END = b"0\r\n\r\n"
#: Number of clients at a time.
BATCH = 24


def get(*lines, body=b"", line=b"GET /first.txt HTTP/1.1", end=b"\r\n"):
    return end.join([line, b"Host: localhost", *lines, b"", b""]) + body


def chunked(data):
    return b"%x\r\n%b\r\n" % (len(data), data) + END


def te(*lines):
    """A request with a body of chunks, as one of both readers sees it. For the other one, a request follows it."""
    return get(*lines, b"Content-Length: %d" % len(END + SMUGGLED), body=END + SMUGGLED)


def upgrade(**changes):
    return head(HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()},
                "GET /first.txt HTTP/1.1") + SMUGGLED


FORMS = [
    # Content-Length with Transfer-Encoding.
    te(b"Transfer-Encoding: chunked"),
    get(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=chunked(SMUGGLED)),
    get(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=chunked(SMUGGLED)),
    *(te(b"Transfer-Encoding: " + value) for value in [
        b"chunked ,", b", chunked", b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"\tchunked", b"xchunked", b"chunked, identity",
        b"identity, chunked", b"CHUNKED", b'"chunked"', b"chunked;q=1", b"chunked, chunked", b"\0chunked", b"identity", b"", b"cow"]),
    te(b"Transfer-Encoding : chunked"), te(b"Transfer-Encoding\t: chunked"), te(b"Transfer-Encoding:\r\n chunked"),
    te(b"Transfer-Encoding\r\n : chunked"), te(b" Transfer-Encoding: chunked"), te(b"Transfer_Encoding: chunked"),
    te(b"X: y\nTransfer-Encoding: chunked"), te(b"X: y\rTransfer-Encoding: chunked"), te(b"\x00Transfer-Encoding: chunked"),
    te(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), te(b"Transfer-Encoding: x", b"Transfer-Encoding: chunked"),
    te(b"Connection: close, Content-Length", b"Transfer-Encoding: chunked"), te(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"),
    # Content-Length alone.
    *(get(b"Content-Length: " + value, body=SMUGGLED) for value in [
        b"+%d" % len(SMUGGLED), b"-0", b"-1", b"0x10", b"1e1", b"0, %d" % len(SMUGGLED), b"%d, %d" % (len(SMUGGLED), len(SMUGGLED)),
        b"1 0", b"", b"0", b"0%d" % len(SMUGGLED), b"18446744073709551616", b"\x0b5", b"%d" % len(SMUGGLED), b"5;"]),
    get(b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    get(b"Content-Length: %d" % len(SMUGGLED), b"Content-Length: 0", body=SMUGGLED),
    get(b"Content-Length: %d" % len(SMUGGLED), b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    get(b"Content-Length : %d" % len(SMUGGLED), body=SMUGGLED), get(b"Content-Length:\r\n %d" % len(SMUGGLED), body=SMUGGLED),
    get(b"X: y\nContent-Length: %d" % len(SMUGGLED), body=SMUGGLED), get(b"Content_Length: %d" % len(SMUGGLED), body=SMUGGLED),
    get(b"Connection: Content-Length", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    # Chunks.
    *(get(b"Transfer-Encoding: chunked", body=body + SMUGGLED) for body in [
        b"0\n\n", b"0;a\n\r\n", b"+0\r\n\r\n", b"0x0\r\n\r\n", b"-0\r\n\r\n", b" 0\r\n\r\n", b"0 \r\n\r\n", b"00000000000000000\r\n\r\n",
        b"10000000000000000\r\n\r\n", b"1\r\nxx0\r\n\r\n", b"1\r\nx\n0\r\n\r\n", b'0;a="\r\n"\r\n\r\n', b"0\r\nX: y\r\n\r\n", b"0\r\n\n"]),
    # Lines, targets and versions.
    get(end=b"\n", body=SMUGGLED), get(end=b"\r", body=SMUGGLED), get(b"X: y\n\r\n" + SMUGGLED), get(b"X: y", b"\x0b", body=SMUGGLED),
    get(b"X: y\r\n " + SMUGGLED), get(b"X: y\0", body=SMUGGLED), get(line=b"GET http://other.example/first.txt HTTP/1.1", body=SMUGGLED),
    get(line=b"GET //other.example/first.txt HTTP/1.1", body=SMUGGLED), get(b"Host: other.example", body=SMUGGLED),
    get(line=b"GET /first.txt%20HTTP/1.1%0d%0aX:%20y%0d%0a%0d%0aGET%20/smuggled.txt HTTP/1.1"),
    get(line=b"GET /first.txt HTTP/1.1\x0bGET /smuggled.txt HTTP/1.1"), get(line=b"GET /first.txt HTTP/1.1 HTTP/1.1", body=SMUGGLED),
    get(line=b"GET\t/first.txt\tHTTP/1.1", body=SMUGGLED), get(line=b"GET /first.txt HTTP/1.0", body=SMUGGLED),
    get(b"Connection: keep-alive", b"Transfer-Encoding: chunked", line=b"GET /first.txt HTTP/1.0", body=END + SMUGGLED),
    get(line=b"GET /first.txt HTTP/1.2", body=SMUGGLED), get(line=b"GET /first.txt", body=SMUGGLED), b"GET /first.txt\r\n" + SMUGGLED,
    get(line=b"CONNECT localhost:80 HTTP/1.1", body=SMUGGLED), get(line=b"HEAD /first.txt HTTP/1.1", body=SMUGGLED),
    get(b"Expect: 100-continue", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    get(b"Expect: 100-continue, x", b"Content-Length: 0", body=SMUGGLED),
    # Upgrades.
    upgrade(), upgrade(Sec_WebSocket_Version="12"), upgrade(Sec_WebSocket_Key="x"), upgrade(Upgrade="websocket, foo"),
    upgrade(Upgrade="foo"), upgrade(Connection="keep-alive"), upgrade(Origin="https://evil.example"),
    upgrade(Content_Length=len(SMUGGLED)), upgrade(Transfer_Encoding="chunked"), upgrade(Content_Length="0"),
    get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", body=SMUGGLED),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
]

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 900; }}
http {{
  log_format seen '$status|$upstream_addr|$request'; access_log {folder}/log seen;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream confab {{ server 127.0.0.1:{server}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://confab; proxy_http_version 1.1; proxy_next_upstream off; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
HAPROXY = """
global
  log stdout len 4096 format raw local0
defaults
  mode http
  log global
  log-format "%ST|%s|%{{+Q}}r"
  retries 0
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  timeout tunnel 5s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend confab
backend confab
  server one 127.0.0.1:{server}
"""


class Recorder:
    """Passes connections on to the server, and keeps its responses."""

    def __init__(self, server):
        self.answers = []
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.copy, args=[self.listener.accept()[0]], daemon=True).start()

    def copy(self, proxy):
        answer = bytearray()
        self.answers.append(answer)
        with contextlib.suppress(OSError), proxy, socket.create_connection(("127.0.0.1", self.server)) as server:
            while True:
                for ready in select.select([proxy, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is server:
                        answer += data
                    (proxy if ready is server else server).sendall(data)


def responses(data):
    """Returns the number of final responses in the data. Their bodies contain no status line."""
    return len(re.findall(rb"HTTP/1\.[01] (?!100)\d\d\d ", data))


@contextlib.contextmanager
def running(program, folder, server):
    """Runs the proxy, and yields its port and a function that returns the lines of its log."""
    port = free_port()
    configuration = folder / "configuration"
    configuration.write_text((NGINX if program == "nginx" else HAPROXY).format(folder=folder, port=port, server=server))
    command = {"nginx": ["/usr/sbin/nginx", "-p", folder, "-c"], "haproxy": ["/usr/sbin/haproxy", "-db", "-f"]}[program]
    log = folder / ("log" if program == "nginx" else "output")
    with open(folder / "output", "w") as output:
        process = subprocess.Popen([*command, configuration], stdout=output, stderr=subprocess.STDOUT)
    try:
        await_port(port, process)
        yield port, lambda: [line.split("|", 2) for line in log.read_text("latin-1").splitlines() if line.count("|") >= 2]
    finally:
        process.terminate()
        process.wait(10)


def await_port(port, process):
    for _ in range(200):
        assert process.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    pytest.fail("the proxy does not listen")


def exchange(port, forms):
    """Sends each form on a connection of its own. Returns what comes back until nothing more comes for a while."""
    with contextlib.ExitStack() as stack:
        received = {}
        for form in forms:
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.sendall(form)
            received[client] = bytearray()
        waiting = set(received)
        while waiting and (ready := select.select(waiting, [], [], 0.3)[0]):
            for client in ready:
                data = b""
                with contextlib.suppress(ConnectionError):
                    data = client.recv(1 << 16)
                received[client] += data
                if not data:
                    waiting.remove(client)
        return list(received.values())


def settled(log):
    """Returns the log once the proxy adds nothing more."""
    before = None
    while (lines := log()) != before:
        before = lines
        time.sleep(0.2)
    return lines


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_no_request_is_smuggled_through_a_proxy(program, tmp_path):
    if not pathlib.Path("/usr/sbin", program).exists():
        pytest.skip(f"{program} is not installed")
    site, folder = tmp_path / "site", tmp_path / "proxy"
    site.mkdir()
    folder.mkdir()
    for name in ["first", "smuggled", "probe"]:
        (site / f"{name}.txt").write_text(f"This is {name}.")
    forms = [*FORMS, *(form.replace(b"GET", b"POST", 1) for form in FORMS)]
    with confab("--web-root", site, "--log-level", "info") as server:
        recorder = Recorder(server.port)
        with running(program, folder, recorder.port) as (port, log):
            received, probes = [], []
            for start in range(0, len(forms), BATCH):
                received += exchange(port, forms[start:start + BATCH])
                # The proxy uses its connections to the server again: a response that is left would be for this client.
                probes.append(request(port, get(line=b"GET /probe.txt HTTP/1.1")))
            seen = settled(log)
        passed = [line for line in seen if line[1] not in ("-", "<NOSRV>")]
        answered = b"".join(recorder.answers)
        recorder.listener.close()
    assert {body for _, _, body in probes} == {b"This is probe."}
    assert len(received) == len(forms) and answered.count(b"This is first.") >= 10
    assert responses(answered) <= len(passed), "the server has answered more requests than the proxy has passed on"
    assert responses(b"".join(received)) <= len(seen) - len(probes), "clients have got more responses than the proxy has seen requests"
    smuggled = [line for line in passed if "/smuggled.txt" in line[2].split(" ")[1:2]]
    assert answered.count(b"This is smuggled.") <= len(smuggled)
