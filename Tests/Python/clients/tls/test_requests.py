"""Requests over TLS, which libwebsockets parses."""

import os

import pytest

from clients.tls.client import Encrypted
from support.confab_process import confab
from support.raw_client import frame, handshake, head


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
