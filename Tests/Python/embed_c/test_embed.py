"""C programs, built from only the installed header and libraries, run under valgrind."""

import asyncio
import json
import signal
import ssl
import time
import urllib.error
import urllib.request

import pytest
import websockets

from embed_c.installed import COMPILERS, VALGRIND, WARNINGS, Program, run, talk
from support import joins_checker
from support.confab_process import make_certificate
from support.coroutines import go


@pytest.mark.parametrize("compiler", [
    ["gcc", "-std=c99"], ["gcc", "-std=c17"], ["clang", "-std=c99"], ["g++", "-x", "c++", "-std=c++98"],
    ["clang++", "-x", "c++", "-std=c++20"]], ids=" ".join)
def test_header_compiles_without_warnings(tree, tmp_path, compiler):
    source = tmp_path / "alone.c"
    source.write_text('#include "confab.h"\n#include "confab.h"\nint main(void) { return CONFAB_OK; }\n')
    run(*compiler, *WARNINGS, "-Wstrict-prototypes" if "++" not in compiler[0] else "-Wold-style-cast",
        "-I", tree.files / "include", "-c", source, "-o", tmp_path / "alone.o")


@pytest.mark.parametrize("which", range(len(COMPILERS)), ids=[compiler[0] for compiler in COMPILERS])
def test_echo_server(tree, programs, which):
    with Program(tree, programs["echo"][which], 0) as program:
        assert talk(program, "hello", b"\0\xff", "", "x" * 100_000) == ["hello", b"\0\xff", "", "x" * 100_000]
    with Program(tree, programs["signals"][which], 0, under=VALGRIND if which == 0 else ()) as program:
        assert talk(program, "hello", b"\0\xff", "", "x" * 100_000) == ["hello", b"\0\xff", "", "x" * 100_000]
        program.end(signal.SIGTERM)


def test_program_with_static_library(tree, tmp_path):
    built = tree.build(tmp_path, "signals", ["gcc", "-std=c99"], static=True)
    assert "libconfab" not in run("ldd", built)
    with Program(tree, built, 0) as program:
        assert talk(program, "hello") == ["hello"]
        program.end(signal.SIGINT)


def test_stopping_closes_clients_with_1001(tree, programs):
    with Program(tree, programs["signals"][0], 0) as program:
        async def main():
            async with websockets.connect(program.ws) as client:
                program.process.send_signal(signal.SIGTERM)
                with pytest.raises(websockets.ConnectionClosedOK) as caught:
                    await client.recv()
                assert caught.value.rcvd.code == 1001
        go(main(), 20)
        program.end()


def test_draining_notifies_clients_before_closing(tree, programs):
    with Program(tree, programs["signals"][0], 0, 1000) as program:
        async def main():
            async with websockets.connect(program.ws) as client:
                program.process.send_signal(signal.SIGTERM)
                assert await client.recv() == "moving"
                await client.send("still here")
                assert await client.recv() == "still here"
                with pytest.raises(websockets.ConnectionClosedOK) as caught:
                    await client.recv()
                assert caught.value.rcvd.code == 1001
        go(main(), 20)
        program.end()


def test_rooms_on_two_loops(tree, programs):
    with Program(tree, programs["rooms"][0], under=VALGRIND) as program:
        async def main():
            clients = [await websockets.connect(program.ws + "tea") for _ in range(6)]
            for client in clients:
                await client.send("hello")
            for client in clients:
                assert [await client.recv() for _ in clients] == ["hello"] * 6
            await clients[0].send("pause")
            await clients[0].send("after")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(clients[0].recv(), 0.1)
            for client in clients:
                assert await client.recv() == "after"
            await clients[0].send("leave")
            assert await clients[0].recv() == "left"
            await clients[0].close()
            async with websockets.connect(program.ws + "news") as news:
                assert [await news.recv() for _ in range(3)] == ["news"] * 3
            both = await websockets.connect(program.ws + "tea")
            await both.send("join")
            await both.send("for tea")
            while (text := await both.recv()) != "for tea":
                assert text == "news"
            assert await both.recv() == "news"
            assert await clients[1].recv() == "for tea"
            await both.close()
            flooded = await websockets.connect(program.ws + "flood")
            await flooded.send("flood")
            while await flooded.recv() != "drained":
                pass
            async with websockets.connect(program.ws + "third"), websockets.connect(program.ws + "fourth") as fourth:
                with pytest.raises(websockets.ConnectionClosed):
                    await fourth.recv()
                assert (fourth.close_code, fourth.close_reason) == (4000, "too many rooms")
            for client in clients[1:] + [flooded]:
                await client.close(4321, "bye")
        go(main())
        program.close_input()
        said = program.end()
        assert said.count("closed 4321 'bye' cleanly after 1\n") == 6
        assert said.count("closed 4000 'too many rooms' ") == 1
        assert said.endswith("11 accepted, 0 now\n"), said


def test_misuse_returns_errors(tree, programs):
    with Program(tree, programs["misuse"][0], under=VALGRIND) as program:
        async def main():
            async with websockets.connect(program.ws + "a%20b?flag&name=Zo%C3%AB") as client:
                await client.send(b"")
                assert await client.recv() == ""
                with pytest.raises(websockets.ConnectionClosed):
                    await client.recv()
                assert (client.close_code, client.close_reason) == (4000, "enough")
        go(main())
        assert program.end() == "all is told\n"
    with Program(tree, programs["chat_misuse"][0], under=VALGRIND) as program:
        assert program.end() == "all is told\n"


def test_callback_authorizes_and_responds(tree, programs, tmp_path):
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "hello.txt").write_text("hello")
    context = ssl.create_default_context(cafile=certificate)

    def get(path, **headers):
        request = urllib.request.Request(program.http + path, headers=headers)
        with urllib.request.urlopen(request, context=context) as response:
            return response.headers["Content-Type"], response.read()

    with Program(tree, programs["door"][0], tmp_path, certificate, key, under=VALGRIND) as program:
        assert get("health") == ("application/json", b"{}")
        assert get("files/hello.txt")[1] == b"hello"
        for path, headers, status in (("", {}, 404), ("health", {"Host": "example.com"}, 403)):
            with pytest.raises(urllib.error.HTTPError, match=str(status)):
                get(path, **headers)

        def connect(query, **keywords):
            return websockets.connect(program.ws + query, ssl=context, **keywords)

        async def main():
            async with connect("?token=secret", subprotocols=["door.v1"], origin="https://example.org") as client:
                assert (client.subprotocol, await client.recv()) == ("door.v1", "welcome")
                assert client.response.headers.get_all("Set-Cookie") == ["seen=1; HttpOnly"]
            async with connect("?name=friend") as client:
                assert await client.recv() == "a guest"
                assert client.response.headers["X-Decided"] == "later"
            for query, status, body in (("?name=foe", 403, b"not today\n"), ("", 401, b"who are you?\n")):
                with pytest.raises(websockets.InvalidStatus) as caught:
                    await connect(query)
                assert (caught.value.response.status_code, caught.value.response.body) == (status, body)
            assert caught.value.response.headers["WWW-Authenticate"] == "Bearer"
            nobody = asyncio.create_task(connect("?name=nobody").__aenter__())
            await asyncio.sleep(1)
            program.close_input()
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await nobody
        go(main())
        program.end()


def test_callback_admits_users(tree, programs):
    async def main(program):
        async def status(query):
            with pytest.raises(websockets.InvalidStatus) as caught:
                await websockets.connect(program.ws + query)
            return caught.value.response.status_code, caught.value.response.body

        async def joined(path, token, **members):
            async with websockets.connect(program.ws + path, subprotocols=["chat.confab.v1"]) as client:
                await client.send(json.dumps({"type": "hello", "token": token, **members}))
                return json.loads(await client.recv())

        assert await status("tea") == (401, b"token required\n")
        assert await status("tea?token=x") == (403, b"banned\n")
        assert await status("?token=ann") == (403, b"room not allowed\n")
        assert (await status("?token=never"))[0] == 503
        async with websockets.connect(program.ws + "team/a?token=ann") as client:
            await client.send("hi")
            assert await client.recv() == "hi"
        welcome = await joined("tea", "ann", name="Bob")
        assert (welcome["name"], welcome["rights"]) == ("Ann", ["read", "say", "history"])
        assert (await joined("tea", "later", name="Bob"))["name"] == "Bob"
        assert (await joined("tea", "errors", name="Cid"))["rights"] == ["read", "moderate"]
        assert (await joined("tea", "x", name="Cid"))["code"] == "forbidden"
        assert (await joined("tea", "never", name="Cid"))["code"] == "unavailable"
    for under, timeout in (VALGRIND, 5000), ((), 500):
        with Program(tree, programs["users"][0], timeout, under=under) as program:
            go(main(program))
            program.end()


@pytest.mark.parametrize("loops", [1, 2, 4])
def test_members_receive_all_messages_of_other_threads(tree, programs, loops):
    with Program(tree, programs["relay"][0], loops) as program:
        joins_checker.check(program.port, rich=0, seconds=1.5, seed=time.monotonic_ns() % (1 << 31))
        program.close_input()
        program.end()


def test_every_accepted_client_is_released_when_the_server_stops(tree, programs):
    with Program(tree, programs["stops"][0]) as program:
        program.end()


def test_loop_threads_have_names_and_block_signals(tree, programs):
    with Program(tree, programs["threads"][0]) as program:
        program.end()


def test_server_runs_in_steps_of_the_programs_loop(tree, programs):
    with Program(tree, programs["steps"][0], under=VALGRIND) as program:
        async def main():
            async with websockets.connect(program.ws) as client:
                assert [await client.recv() for _ in range(3)] == ["tick"] * 3
                await client.send("hello")
                while (heard := await client.recv()) == "tick":
                    pass
                assert heard == "hello"
                await client.send("stop")
                with pytest.raises(websockets.ConnectionClosedOK):
                    while await client.recv() == "tick":
                        pass
                assert client.close_code == 1001
        go(main())
        assert program.end() == "stopped\n"


def test_child_of_fork_gets_an_error(tree, programs):
    with Program(tree, programs["forked"][0]) as program:
        assert talk(program, "") == ["from the parent"]
        program.close_input()
        program.end()
