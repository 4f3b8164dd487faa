"""TLS: https and wss on one port, with clients that check the certificate."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest
import websockets

from support.confab_process import confab, free_port, make_certificate, run
from support.metrics import metrics
from support.raw_client import RawClient, frame, handshake, head, request


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(files):
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--loops", 2, "--log-level", "info") as server:
        yield server


def trust(certificate, **settings):
    context = ssl.create_default_context(cafile=certificate)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def encrypted(server, context):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="localhost")


def get(server, context):
    with encrypted(server, context) as client:
        client.sendall(head({"Host": "localhost", "Connection": "close"}))
        data = b""
        while chunk := client.recv(65536):
            data += chunk
        return data


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_page_and_chat_work_over_tls(server, files, compression):
    context = trust(files[0])
    assert get(server, context).startswith(b"HTTP/1.1 200 OK\r\n")

    async def main():
        options = {"ssl": context, "compression": compression, "max_size": None}
        async with websockets.connect(server.ws, **options) as alice, websockets.connect(server.ws, **options) as bob:
            for text in ("hello", "x" * 100_000, "y" * 1_000_000, "", "end"):
                await alice.send(text)
                assert await alice.recv() == text and await bob.recv() == text
            for ping in [await alice.ping() for _ in range(20)]:
                await ping

    asyncio.run(asyncio.wait_for(main(), 30))


def test_slow_reader_gets_every_message(files):
    messages = [bytes([number]) * 50_000 for number in range(100)]

    async def main(server):
        options = {"ssl": trust(files[0]), "compression": None, "max_size": None}
        async with websockets.connect(server.ws, **options) as sender:
            async with websockets.connect(server.ws, max_queue=1, **options) as slow:
                for message in messages:
                    await sender.send(message)
                    assert await sender.recv() == message
                assert [await slow.recv() for _ in messages] == messages

    with confab("--tls-cert", files[0], "--tls-key", files[1], "--max-backlog", "16MiB") as server:
        asyncio.run(asyncio.wait_for(main(server), 30))


def test_cleartext_page_request_is_redirected_and_others_rejected(server, files):
    status, headers, _ = request(server.port, head({"Host": "localhost:1234"}, "GET /a%20b/%E7%BE%A4?x=1&y=%20 HTTP/1.1"))
    assert (status, headers["location"]) == (308, "https://localhost:1234/a%20b/%E7%BE%A4?x=1&y=%20")
    status, _, body = request(server.port, handshake())
    assert status == 400 and b"wss" in body
    assert request(server.port, head({"Host": "a b"}))[0] == 400
    assert request(server.port, head({"Host": "localhost"}, "POST / HTTP/1.1"))[0] == 400
    assert get(server, trust(files[0])).startswith(b"HTTP/1.1 200")


def test_http_2_is_not_negotiated(server, files):
    context = trust(files[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    with encrypted(server, context) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize("version, is_spoken", [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_only_tls_1_2_and_1_3_are_accepted(server, files, version, is_spoken):
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", files[0], "-verify_return_error",
         "-cipher", "DEFAULT@SECLEVEL=0", version], input=b"", capture_output=True, timeout=20)
    assert (result.returncode == 0) == is_spoken


def test_tls_1_2_renegotiation_is_rejected(server, files):
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", files[0], "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        output = client.communicate(b"R\n", timeout=20)[0]
    assert b"no renegotiation" in output


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508), b"\x16" * 5000,
                                  bytes(100), b"\x80\x2e\x01\x00\x02" + bytes(40)],
                         ids=["nothing", "half a hello", "one type", "zeros", "SSL 2"])
def test_garbage_handshake_is_dropped(server, files, data):
    with RawClient(server.port) as client:
        with contextlib.suppress(OSError):
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            while client.file.read(4096):
                pass
    assert get(server, trust(files[0])).startswith(b"HTTP/1.1 200")


def test_unfinished_tls_handshake_times_out(files):
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--handshake-timeout", 0.3) as server:
        with RawClient(server.port) as client:
            client.send(b"\x16\x03\x01\x02\x00\x01\x00")
            assert client.ends()


def subject(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with encrypted(server, context) as client:
        return client.getpeercert(binary_form=True)


def await_log(server, text, count=1):
    for _ in range(200):
        if server.said().count(text) >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"the log does not say '{text}' {count} times")


def await_subject(server, expected):
    for _ in range(200):
        if subject(server) == expected:
            return
        time.sleep(0.02)
    pytest.fail("the certificate is not the new one")


def test_certificate_reload_keeps_connections(files, tmp_path):
    certificate, key = tmp_path / "now.pem", tmp_path / "now-key.pem"
    certificate.write_bytes(files[0].read_bytes())
    key.write_bytes(files[1].read_bytes())

    with confab("--tls-cert", certificate, "--tls-key", key, "--loops", 1) as server:
        with encrypted(server, trust(files[0])) as old:
            old.sendall(handshake())
            assert old.recv(4096).startswith(b"HTTP/1.1 101")
            new = make_certificate(tmp_path, name="new")
            certificate.write_bytes(new[0].read_bytes())
            # The key does not match, so the old certificate stays.
            server.process.send_signal(signal.SIGHUP)
            await_log(server, "does not belong")
            assert subject(server) == ssl.PEM_cert_to_DER_cert(files[0].read_text())
            key.write_bytes(new[1].read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await_subject(server, ssl.PEM_cert_to_DER_cert(new[0].read_text()))
            assert get(server, trust(new[0])).startswith(b"HTTP/1.1 200")
            old.sendall(frame(1, b"still here"))
            assert old.recv(4096) == b"\x81\x0astill here"


@pytest.mark.slow
def test_certificate_reload_may_change_the_key_type(files, tmp_path):
    pair = tmp_path / "now.pem", tmp_path / "now-key.pem"
    rsa = make_certificate(tmp_path, name="rsa", key_type=["rsa:2048"])
    with contextlib.ExitStack() as stack:
        for source, target in zip(files, pair):
            target.write_bytes(source.read_bytes())
        server = stack.enter_context(confab("--tls-cert", pair[0], "--tls-key", pair[1]))
        for new in (rsa, files):
            for source, target in zip(new, pair):
                target.write_bytes(source.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await_subject(server, ssl.PEM_cert_to_DER_cert(new[0].read_text()))
            for _ in range(5):
                assert get(server, trust(new[0])).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_all_loops_use_new_certificate_once_it_is_logged(files, tmp_path):
    pair = tmp_path / "now.pem", tmp_path / "now-key.pem"
    pairs = [files, make_certificate(tmp_path, name="new")]
    for source, target in zip(files, pair):
        target.write_bytes(source.read_bytes())
    with confab("--tls-cert", pair[0], "--tls-key", pair[1], "--loops", 4) as server:
        for number in range(6):
            new = pairs[(number + 1) % 2]
            for source, target in zip(new, pair):
                target.write_bytes(source.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await_log(server, "has been reloaded", count=number + 1)
            # The server does not need the files any more.
            pair[0].write_text("nothing")
            for _ in range(8):
                assert subject(server) == ssl.PEM_cert_to_DER_cert(new[0].read_text())


def openssl(*arguments, **keywords):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **keywords).stdout


def issue(folder, name, issuer=None, *, is_authority=False):
    """Creates a certificate signed by `issuer`, or self-signed. Returns the two files."""
    certificate, key, extensions = folder / f"{name}.pem", folder / f"{name}-key.pem", folder / f"{name}.ext"
    # Python 3.13 and later require these (RFC 5280, section 4.2.1).
    lines = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
    lines += ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"] if is_authority else ["subjectAltName=DNS:localhost"]
    extensions.write_text("\n".join(lines))
    request = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", key)
    signer = ("-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial") if issuer else ("-signkey", key)
    openssl("x509", "-req", "-days", 30, "-extfile", extensions, *signer, "-out", certificate, input=request)
    return certificate, key


@pytest.mark.slow
def test_full_certificate_chain_is_sent(tmp_path):
    root = issue(tmp_path, "root", is_authority=True)
    middle = issue(tmp_path, "middle", root, is_authority=True)
    leaf = issue(tmp_path, "leaf", middle)
    chain = tmp_path / "chain.pem"
    chain.write_text(leaf[0].read_text() + middle[0].read_text())
    with confab("--tls-cert", chain, "--tls-key", leaf[1]) as server:
        assert get(server, trust(root[0])).startswith(b"HTTP/1.1 200")
    with confab("--tls-cert", leaf[0], "--tls-key", leaf[1]) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            get(server, trust(root[0]))


def made_for(folder, name, start, end):
    """Creates a certificate that is valid in the years from `start` to `end`."""
    key, request, certificate = folder / f"{name}-key.pem", folder / f"{name}.csr", folder / f"{name}.pem"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    (folder / f"{name}.index").touch()
    (folder / f"{name}.conf").write_text(
        f"[ca]\ndefault_ca=a\n[a]\ndatabase={folder}/{name}.index\nserial={folder}/{name}.serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-selfsign", "-config", folder / f"{name}.conf", "-create_serial", "-keyfile", key,
            "-startdate", f"{start}0101000000Z", "-enddate", f"{end}0101000000Z", "-in", request, "-out", certificate, "-notext")
    return certificate, key


@pytest.mark.slow
def test_invalid_certificate_files_stop_the_start(files, tmp_path):
    other = make_certificate(tmp_path, name="other")
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "ec", "-in", files[1], "-aes256", "-passout", "pass:secret", "-out", locked],
                   check=True, capture_output=True)
    for certificate, key, message in (
        ("missing.pem", files[1], "cannot read the certificate 'missing.pem': No such file"),
        (files[0], "missing.pem", "cannot read the key 'missing.pem'"),
        (files[1], files[1], "is not a certificate chain in PEM"),
        (files[0], files[0], "is not a private key in PEM"),
        (files[0], locked, "is not a private key in PEM without a password"),
        (files[0], other[1], "does not belong to the certificate"),
        (*made_for(tmp_path, "expired", 2024, 2025), "has expired on 2025-1-1"),
        (*made_for(tmp_path, "later", 2099, 2100), "is not valid before 2099-1-1"),
    ):
        result = run("serve", "--port", 0, "--tls-cert", certificate, "--tls-key", key)
        assert result.returncode == 1 and message in result.stderr and result.stderr.count("\n") == 1, result.stderr
    result = run("serve", "--tls-cert", files[0])
    assert result.returncode == 1 and "--tls-cert and --tls-key need each other" in result.stderr


class Encrypted(RawClient):
    def __init__(self, server, certificate):
        super().__init__(server.port)
        self.socket = trust(certificate).wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")


def answers(server, certificate, *requests):
    with Encrypted(server, certificate) as client:
        client.send(b"".join(requests))
        return [client.answer() for _ in requests]


GET = {"Host": "localhost"}


# libwebsockets takes the header after one of these for a part of its name.
@pytest.mark.parametrize("name", ["X-Auth", "Auth", "X", "If", "User", "Accept-L", "P"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_headers_that_libwebsockets_misreads_are_rejected(server, files, name, end):
    for lost in ({"Origin": "https://evil.example"}, {"Content-Length": "5"}, {"X-Anything": "1"}):
        data = handshake(**{name: "1"} | lost).replace(b"\r\n", end)
        status, _, body = answers(server, files[0], data)[0]
        assert (status, body) == (400, b"a header that libwebsockets cannot read\n"), lost
        page = head(GET | {name: "1"} | lost).replace(b"\r\n", end)
        assert answers(server, files[0], page)[0][0] == 400, lost


def test_headers_unknown_to_libwebsockets_are_read(server, files):
    # Lengths, and offsets in the table of libwebsockets, that look like line ends.
    for length in (1, 9, 10, 13, 2560, 2570, 3338):
        headers = {"X-Other": "x" * length, "Other": "a:b", "Z" * 10: "x" * 10, "Z" * 13: "y" * 13}
        assert answers(server, files[0], handshake(**headers))[0][0] == 101
        assert answers(server, files[0], head(GET | headers))[0][0] == 200


@pytest.mark.parametrize("path, status", [("/r&d", 400), ("/r;d", 400), ("/r%26d", 101), ("/?a&b;c", 101)])
def test_paths_that_libwebsockets_truncates_are_rejected(server, files, path, status):
    data = handshake().replace(b"GET / ", f"GET {path} ".encode())
    assert answers(server, files[0], data)[0][0] == status


def test_more_offers_than_libwebsockets_parses_are_rejected(server, files):
    for offers, status in [({"Sec_WebSocket_Extensions": ", ".join(["permessage-deflate"] * 20)}, 431),
                           ({"Sec_WebSocket_Protocol": "x" * 200}, 431), ({"Sec_WebSocket_Protocol": "1.2"}, 400)]:
        assert answers(server, files[0], handshake(**offers))[0][0] == status


def test_files_have_validators(files, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("sub")
    (tmp_path / "index.html").write_text("index")
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--web-root", tmp_path) as server:
        (status, headers, body), = answers(server, files[0], head(GET))
        assert (status, body) == (200, b"index") and "date" in headers and "last-modified" in headers
        tag = headers["etag"]
        assert tag[0] == tag[-1] == '"'
        with Encrypted(server, files[0]) as client:
            client.send(head(GET | {"If-None-Match": f'"x", W/{tag}'}))
            assert client.file.readline().startswith(b"HTTP/1.1 304")
            assert f"ETag: {tag}\r\n".encode() in list(iter(client.file.readline, b"\r\n"))
            client.send(head(GET))
            assert client.answer()[2] == b"index"
        assert answers(server, files[0], head(GET | {"If-Match": '"x"'}))[0][0] == 412
        assert answers(server, files[0], head(GET, "GET /sub HTTP/1.1"))[0][1]["location"] == "/sub/"
        status, headers, body = answers(server, files[0], head(GET, "GET /sub/ HTTP/1.1"))[0]
        assert (status, body, headers["content-type"]) == (200, b"sub", "text/html; charset=utf-8")
        assert answers(server, files[0], head(GET, "GET /missing HTTP/1.1"))[0][0] == 404
        assert answers(server, files[0], head(GET, "OPTIONS / HTTP/1.1"))[0][0] == 204


def test_truncated_file_drops_only_its_response(files, tmp_path):
    (tmp_path / "big.bin").write_bytes(bytes(3 << 20))
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--web-root", tmp_path, "--loops", 1) as server:
        with Encrypted(server, files[0]) as slow, Encrypted(server, files[0]) as other:
            other.open()
            slow.send(head(GET, "GET /big.bin HTTP/1.1"))
            assert slow.file.readline().startswith(b"HTTP/1.1 200")
            os.truncate(tmp_path / "big.bin", 1000)
            try:
                assert len(slow.file.read()) < 3 << 20
            except OSError:
                pass
            other.send(frame(1, b"hello"))
            assert other.frame() == (1, b"hello")


def test_failed_handshakes_count_once(files):
    admin = f"127.0.0.1:{free_port()}"
    with confab("--tls-cert", files[0], "--tls-key", files[1], "--admin", admin, "--limit-loopback",
                "--max-connections-per-address", 3) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Encrypted(server, files[0])).open()
        for _ in range(50):
            # Reset before it is accepted, most of the time: the handshake fails at once.
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stack.pop_all().close()
        # Bytes that are not TLS fail at once, too. The server closes the connection.
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port), 10) as client, contextlib.suppress(OSError):
                client.sendall(b"\x16\x03\x01\x00\x05AAAAA")
                while client.recv(100):
                    pass
        deadline = time.monotonic() + 10
        while (count := metrics(admin)[("confab_connections",)]) > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert count == 0
        for _ in range(3):
            stack.enter_context(Encrypted(server, files[0])).open()
        with pytest.raises(OSError):
            Encrypted(server, files[0])
