"""A history file for each test."""

import pytest


@pytest.fixture
def file(tmp_path):
    return tmp_path / "chat.db"
