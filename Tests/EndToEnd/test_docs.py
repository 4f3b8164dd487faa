"""What the documentation shows is compiled, and works."""

import contextlib
import pathlib
import re
import subprocess
import time
import urllib.request

import pytest
from raw_client import RawClient, head
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

ROOT = pathlib.Path(__file__).resolve().parents[2]


def blocks():
    """Every piece of Swift and C in the documentation, but for what belongs into a Package.swift."""
    for file in [ROOT / "README.md", *sorted((ROOT / "Sources").glob("*/*.docc/*.md"))]:
        pieces = re.findall(r"^```(swift|c)\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)
        for number, (language, text) in enumerate(pieces, 1):
            if not text.startswith(".package("):
                yield pytest.param(text, id=f"{file.name}-{number}-{language}")


@pytest.mark.parametrize("block", blocks())
def test_what_is_shown_is_part_of_a_program(block):
    programs = [*(ROOT / "Tests/Examples").glob("*/*.swift"), *(ROOT / "Tests/EmbedC").glob("*.c")]
    assert any(block.strip() in program.read_text() for program in programs)


@contextlib.contextmanager
def example(name):
    """A running example: they listen on port 8080, as they are shown."""
    with contextlib.suppress(ConnectionRefusedError), RawClient(8080):
        pytest.fail("something else listens on port 8080, which the examples need")
    process = subprocess.Popen([ROOT / ".build/debug" / f"Example{name}"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            # Nothing tells that it listens, but that it does.
            with contextlib.suppress(ConnectionRefusedError), RawClient(8080):
                break
            assert process.poll() is None and time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.02)
        yield
        assert process.poll() is None, f"{name} has ended with {process.poll()}"
    finally:
        process.terminate()
        process.wait(10)


URL = "ws://localhost:8080/"


@pytest.mark.parametrize("name", ["Echo", "Tasks"])
def test_the_echo_servers(name):
    with example(name), connect(URL) as one, connect(URL) as other:
        for client in [one, other]:
            client.send("hello")
            assert client.recv(10) == "hello"


def test_the_chat():
    with example("Chat"), connect(URL) as one, connect(URL) as other:
        one.send("hello")
        assert [client.recv(10) for client in [one, other]] == ["hello", "hello"]
        with urllib.request.urlopen("http://localhost:8080/", timeout=10) as page:
            assert b"<html" in page.read()


def test_the_desk_beside_the_chat():
    with example("Desk"), connect(URL) as one:
        one.send("is anybody here?")
        assert one.recv(10) == "is anybody here?"
        assert re.fullmatch(r"question 1, of \d+ people", one.recv(10))


def test_the_door():
    with example("Door"):
        for headers, status in [({}, 401), ({"Authorization": "guess"}, 403)]:
            with pytest.raises(InvalidStatus) as refused, connect(URL, additional_headers=headers):
                pass
            assert refused.value.response.status_code == status
        with connect(URL, additional_headers={"Authorization": "secret"}) as ann:
            ann.send("hello")
            assert ann.recv(10) == "Ann says: hello"
        with RawClient(8080) as client:
            client.send(head({"Host": "localhost"}, "GET /health HTTP/1.1"))
            status, _, body = client.answer()
            assert (status, body) == (200, b"well\n")
