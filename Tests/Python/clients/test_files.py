"""The mount serves the folder's files with the right type, and nothing else."""

import os
import subprocess

import pytest

from support.confab_process import ROOT, confab
from support.raw_client import RawClient, head, request

GET = {"Host": "localhost"}


def get(server, path, **headers):
    return request(server.port, head(GET | {name.replace("_", "-"): value for name, value in headers.items()},
                                     f"GET {path} HTTP/1.1"))


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("index")
    (root / "sub" / "index.html").write_text("sub")
    (root / ".secret").write_text("not for you")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("not for you")
    (tmp_path / "outside.txt").write_text("not for you")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "inside.txt").symlink_to(root / "index.html")
    os.mkfifo(root / "fifo.txt")
    (root / ("long" * 50 + ".txt")).write_text("long")
    with confab("--web-root", root) as server:
        yield server, root


def test_files_are_served(site):
    server, _ = site
    assert get(server, "/")[2] == b"index"
    assert get(server, "/index.html?x=1")[2] == b"index"
    assert get(server, "/sub/")[2] == b"sub"
    assert get(server, "/inside.txt")[2] == b"index"
    assert get(server, "//index.html")[2] == b"index"
    assert get(server, "/sub/../index.html")[2] == b"index"


@pytest.mark.parametrize("path", [
    "/.secret", "/.git/config", "/%2esecret", "/sub/../.secret", "/link.txt", "/out/outside.txt", "/fifo.txt",
    "/empty/", "/nothing", "/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/%2e%2e%2foutside.txt",
    "/sub/../../outside.txt", "/sub/%2e%2e/%2e%2e/outside.txt", "/....//outside.txt", "/..\\outside.txt",
    "/..%5coutside.txt", "/%252e%252e/outside.txt", "/%c0%ae%c0%ae/outside.txt", "/index.html/",
    "//etc/passwd", "/out/../outside.txt", "/" + "x" * 900,
], ids=lambda path: path[:40])
def test_unserved_paths_get_404(site, path):
    server, _ = site
    status, _, body = get(server, path)
    assert status == 404 and b"not for you" not in body
    assert get(server, "/")[2] == b"index"


@pytest.mark.parametrize("name, kind", [
    ("a.html", "text/html; charset=utf-8"), ("a.js", "text/javascript"), ("a.mjs", "text/javascript"),
    ("a.css", "text/css; charset=utf-8"), ("a.svg", "image/svg+xml"), ("a.png", "image/png"),
    ("a.webmanifest", "application/manifest+json"), ("a.wasm", "application/wasm"), ("a.woff2", "font/woff2"),
    ("a.json", "application/json"), ("a.txt", "text/plain; charset=utf-8"), ("a.unknown", "application/octet-stream"),
])
def test_content_types(site, name, kind):
    server, root = site
    (root / name).write_bytes(b"content")
    status, headers, body = get(server, "/" + name)
    assert (status, headers["content-type"], body) == (200, kind, b"content")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "deny" and headers["referrer-policy"] == "no-referrer"


def test_cached_file_is_revalidated(site):
    server, root = site
    _, headers, _ = get(server, "/")
    assert "must-revalidate" in headers["cache-control"]
    with RawClient(server.port) as client:
        client.send(head(GET | {"If-None-Match": headers["etag"]}))
        assert client.file.readline().startswith(b"HTTP/1.1 304")
    (root / "index.html").write_text("changed")
    status, _, body = get(server, "/", If_None_Match=headers["etag"])
    assert (status, body) == (200, b"changed")


def test_a_file_that_cannot_be_read_gets_404_and_head_no_body(tmp_path):
    library = tmp_path / "unreadable.so"
    source = ROOT / "Tests" / "C" / "Preload" / "unreadable.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    (tmp_path / "index.html").write_text("index")
    with confab("--web-root", tmp_path, env={"LD_PRELOAD": str(library)}) as server:
        for method, body in [("GET", b"the file could not be read\n"), ("HEAD", b"")]:
            with RawClient(server.port) as client:
                client.send(head(GET, f"{method} / HTTP/1.1"))
                header, _, rest = client.file.read().partition(b"\r\n\r\n")
                assert header.startswith(b"HTTP/1.1 404") and b"Content-Length: 27" in header and rest == body
