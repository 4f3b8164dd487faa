"""Replays sessions that once were findings, and similar ones. The server must be healthy after each."""

import pathlib

import pytest

from fuzz import sessions, sockets

CORPUS = pathlib.Path(__file__).parent / "corpus"


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.session")), ids=lambda path: path.stem)
def test_server_survives_recorded_session(path):
    assert sockets.trouble(sessions.load(path.read_text())) == ""
