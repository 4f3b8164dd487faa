"""The behaviour of libwebsockets itself."""

import subprocess

from support.confab_process import ROOT, confab
from support.raw_client import RawClient, frame


def test_server_resolves_no_host(tmp_path):
    """libwebsockets with secure streams, the default since 4.4, would look for a captive portal."""
    library = tmp_path / "lookups.so"
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, ROOT / "Tests/C/Preload/lookups.c"], check=True)
    with confab(env={"LD_PRELOAD": str(library)}) as server, RawClient(server.port) as client:
        client.open()
        client.send(frame(1, b"hello"))
        assert client.frame() == (1, b"hello")
    assert "getaddrinfo" not in server.errors


def test_loaded_libwebsockets_has_all_features():
    with confab() as server:
        pass
    assert "libwebsockets" not in server.errors
