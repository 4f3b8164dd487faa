"""The documentation's examples are compiled and run."""

import contextlib
import json
import re
import subprocess
import time
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from docs import options
from support.confab_process import CONFAB, ROOT
from support.raw_client import RawClient, head


def blocks():
    """Returns every piece of Swift and C in the documentation, except for parts of a Package.swift."""
    for file in [ROOT / "README.md", *sorted((ROOT / "Sources").glob("*/*.docc/*.md"))]:
        pieces = re.findall(r"^```(swift|c)\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)
        for number, (language, text) in enumerate(pieces, 1):
            if "PackageDescription" not in text and not text.startswith(".package("):
                yield pytest.param(text, id=f"{file.name}-{number}-{language}")
    for file in sorted((ROOT / "Sources").rglob("*.swift")):
        pieces = re.findall(r"^ */// ```swift\n(.*?)^ */// ```", file.read_text(), re.MULTILINE | re.DOTALL)
        for number, text in enumerate(pieces, 1):
            yield pytest.param(re.sub(r"^ */// ?", "", text, flags=re.MULTILINE), id=f"{file.name}-{number}")


def lines(text):
    """Removes the indentation."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


@pytest.mark.parametrize("block", blocks())
def test_shown_code_is_part_of_an_example(block):
    programs = [*(ROOT / "Tests/Examples").glob("*/*.swift"), *(ROOT / "Tests/C/Embed").glob("*.c")]
    assert any(lines(block) in lines(program.read_text()) for program in programs)


def test_shown_package_manifest_is_valid(tmp_path):
    text = (ROOT / "Sources/Confab/Confab.docc/EmbedInSwift.md").read_text()
    manifest, = (block for block in re.findall(r"^```swift\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
                 if "PackageDescription" in block)
    (tmp_path / "Package.swift").write_text(manifest.replace("../confab", str(ROOT)))
    (tmp_path / "Sources/hello").mkdir(parents=True)
    (tmp_path / "Sources/hello/main.swift").write_text("")
    told = subprocess.run(["swift", "package", "describe"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0 and "ConfabChat" in told.stdout, told.stderr


def test_code_in_the_header_compiles():
    text = (ROOT / "include/confab.h").read_text()
    shown = re.search(r"^ \*   confab_config config;\n.*?\n(?= \*\n \* \S)", text, re.MULTILINE | re.DOTALL)[0]
    program = "#include <confab.h>\n#include <stdio.h>\nint main(void) {\n" + re.sub(r"^ \* ?", "", shown, flags=re.M)
    subprocess.run(
        ["clang", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{ROOT}/include", "-xc", "-"],
        input=program + "return rc;\n}\n", text=True, check=True, timeout=60)


@contextlib.contextmanager
def example(name, **keywords):
    """Runs an example. Examples listen on port 8080, as the documentation shows."""
    with contextlib.suppress(ConnectionRefusedError), RawClient(8080):
        pytest.fail("something else listens on port 8080, which the examples need")
    process = subprocess.Popen(
        ["stdbuf", "-oL", ROOT / ".build/release" / f"Example{name}"], stderr=subprocess.DEVNULL, **keywords)
    try:
        deadline = time.monotonic() + 20
        while True:
            # The examples print nothing when they listen, so the test polls.
            with contextlib.suppress(ConnectionRefusedError), RawClient(8080):
                break
            assert process.poll() is None and time.monotonic() < deadline, f"{name} does not listen"
            time.sleep(0.02)
        yield process
        assert process.poll() in (None, 0), f"{name} has ended with {process.poll()}"
    finally:
        process.terminate()
        process.wait(10)


URL = "ws://localhost:8080/"


def test_signal_stops_the_service_gracefully():
    with example("Service") as program, connect(URL) as client:
        client.send("hello")
        assert client.recv(10) == "hello"
        program.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
        assert closed.value.rcvd.code == 1001
        assert program.wait(10) == 0


@pytest.mark.parametrize("name", ["Echo", "Tasks"])
def test_echo_examples(name):
    with example(name), connect(URL) as one, connect(URL) as other:
        for client in [one, other]:
            client.send("hello")
            assert client.recv(10) == "hello"


def test_chat_example():
    with example("Chat"), connect(URL) as one, connect(URL) as other:
        one.send("hello")
        assert [client.recv(10) for client in [one, other]] == ["hello", "hello"]
        with urllib.request.urlopen("http://localhost:8080/", timeout=10) as page:
            assert b"<html" in page.read()


def test_own_loop_example():
    with example("OwnLoop", stdout=subprocess.PIPE, text=True) as program, connect(URL) as one, connect(URL) as other:
        for number in range(2):
            one.send(f"hello {number}")
            assert [client.recv(10) for client in [one, other]] == [f"hello {number}"] * 2
            assert program.stdout.readline() == "still here\n"


def test_desk_example():
    with example("Desk"), connect(URL) as one:
        one.send("is anybody here?")
        assert one.recv(10) == "is anybody here?"
        assert re.fullmatch(r"question 1, of \d+ people", one.recv(10))


def test_host_example():
    with example("Host"):
        with pytest.raises(InvalidStatus) as rejected, connect(URL):
            pass
        assert rejected.value.response.status_code == 401
        with connect(f"{URL}?token=secret") as client:
            client.send("!members")
            assert client.recv(10) == "!members"
            assert client.recv(10).endswith("1 members")
            client.send("!quit")
            assert client.recv(10) == "!quit"
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(10)
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "you asked for it")


def test_users_example():
    with example("Users"):
        for query, status in ("", 401), ("?token=guess", 401), ("?token=secret", 403):
            with pytest.raises(InvalidStatus) as rejected, connect(URL + query):
                pass
            assert rejected.value.response.status_code == status
        with connect(f"{URL}team/tea?token=secret", subprotocols=["chat.confab.v1"]) as client:
            client.send('{"type":"hello"}')
            welcome = json.loads(client.recv(10))
            assert (welcome["name"], welcome["rights"]) == ("Ann", ["read", "say", "history", "moderate"])


def test_door_example():
    with example("Door"):
        for headers, status in [({}, 401), ({"Authorization": "guess"}, 403)]:
            with pytest.raises(InvalidStatus) as rejected, connect(URL, additional_headers=headers):
                pass
            assert rejected.value.response.status_code == status
        with connect(URL, additional_headers={"Authorization": "secret"}) as ann:
            ann.send("hello")
            assert ann.recv(10) == "Ann says: hello"
        with RawClient(8080) as client:
            client.send(head({"Host": "localhost"}, "GET /health HTTP/1.1"))
            status, _, body = client.answer()
            assert (status, body) == (200, b"well\n")


@pytest.mark.parametrize("file, form", [(options.ARTICLE, options.article), (options.MANUAL, options.manual)])
def test_options_are_generated_from_the_help(file, form):
    """`make options` writes them."""
    assert file.read_text() == form(file.read_text(), options.sections(CONFAB))
