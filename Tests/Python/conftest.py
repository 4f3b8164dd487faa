"""Gives each test its own server."""

import pytest

from support.confab_process import confab


@pytest.fixture
def server():
    with confab() as server:
        yield server
