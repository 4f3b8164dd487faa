"""A server with guests and moderators for each test."""

import pytest

from support.moderation import moderated


@pytest.fixture
def server(tmp_path):
    with moderated(tmp_path, "--loops", 2) as server:
        yield server
