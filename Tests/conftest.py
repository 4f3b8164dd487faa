"""Makes the helpers beside this file importable, and gives each test its own server."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from confab_process import confab  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "memory: holds the server to so little memory that one with a sanitizer takes more")


@pytest.fixture
def server():
    with confab() as server:
        yield server
