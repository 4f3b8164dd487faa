"""Servers that admit users with tokens."""

import pytest

from support.confab_process import confab
from support.tokens import SECRET


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "secret"
    file.write_text(SECRET + "\n")
    return file


@pytest.fixture
def guarded(key_file):
    """A server whose clients need a token."""
    with confab("--auth-key", key_file) as server:
        yield server


@pytest.fixture
def welcoming(key_file):
    """A server with guests."""
    with confab("--auth-key", key_file, "--allow-guests", "read,say,history") as server:
        yield server
