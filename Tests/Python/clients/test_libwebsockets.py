"""The behaviour of libwebsockets itself."""

import os
import re
import subprocess

from support.confab_process import CONFAB, ROOT, confab
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


def test_other_version_than_the_compiled_one_is_an_error(tmp_path):
    library = tmp_path / "lws_version.so"
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, ROOT / "Tests/C/Preload/lws_version.c"], check=True)
    result = subprocess.run(
        [CONFAB, "serve", "--port", "0"], capture_output=True, text=True, timeout=20,
        env=os.environ | {"LD_PRELOAD": str(library)})
    assert result.returncode == 1
    assert re.search(r"compiled for libwebsockets \d+\.\d+, but 4\.0\.22-test is loaded: build it again", result.stderr)
