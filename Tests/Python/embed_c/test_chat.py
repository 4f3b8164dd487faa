"""C programs with a chat: they publish, moderate, and form one chat on NATS."""

import asyncio
import json
import re
import signal
import urllib.error
import urllib.request

import pytest
import websockets

from embed_c.installed import VALGRIND, Program
from support.coroutines import go
from support.nats_process import broker


def test_chat_runs_in_the_hosts_loop(tree, programs):
    with Program(tree, programs["chat"][0], 0, under=VALGRIND) as program:
        with urllib.request.urlopen(program.http) as response:
            assert b"<!DOCTYPE html>" in response.read()

        async def main():
            async with websockets.connect(program.ws + "tea") as one, websockets.connect(program.ws + "tea") as other:
                for client in (one, other):
                    await client.send("hello")
                    assert await one.recv() == await other.recv() == "hello"
                await asyncio.sleep(0.5)
                program.process.send_signal(signal.SIGINT)
                with pytest.raises(websockets.ConnectionClosedOK):
                    await one.recv()
        go(main())
        said = program.end()
        assert int(said.split()[0]) >= 5, said


@pytest.mark.parametrize("history", [[], ["history.db"]], ids=["memory", "file"])
def test_program_publishes_and_reads_in_its_chat(tree, programs, tmp_path, history):
    with Program(tree, programs["publish"][0], *[tmp_path / name for name in history], under=VALGRIND) as program:
        async def main():
            plain = await websockets.connect(program.ws + "tea")
            rich = await websockets.connect(program.ws + "tea", subprotocols=["chat.confab.v1"])
            await rich.send('{"type":"hello","name":"Ann"}')
            await expect(rich, "welcome")
            program.process.stdin.write("\n")
            program.process.stdin.flush()
            message = await expect(rich, "message")
            assert (message["from"], message["text"], message["tag"]) == ("Bot", "hello", "greeting")
            line = await plain.recv()
            assert "Bot" in line and line.endswith("hello")
            for client in (plain, rich):
                with pytest.raises(websockets.ConnectionClosed):
                    while True:
                        await client.recv()
                assert (client.close_code, client.close_reason) == (4000, "closed by the program")
        go(main())
        program.close_input()
        assert program.end() == "done\n"


def test_programs_form_one_chat_on_nats(tree, programs):
    program = programs["stream"][0]
    with broker() as nats, Program(tree, program, nats.url) as one, Program(tree, program, nats.url) as other:
        async def main():
            async with websockets.connect(one.ws + "tea") as here, websockets.connect(other.ws + "tea") as there:
                for client in (here, there):
                    await client.send("hello")
                    assert await here.recv() == await there.recv() == "hello"
                one.process.stdin.write("\n")
                one.process.stdin.flush()
                line = await there.recv()
                assert line == await here.recv() and "Bot" in line and line.endswith("here")
        go(main())
        other.process.stdin.write("\n")
        for program in (one, other):
            program.close_input()
            assert program.end() == "published\nno error\n"


def test_program_ends_while_nats_cannot_be_reached(tree, programs):
    with broker() as nats, Program(tree, programs["stream"][0], nats.url) as program:
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        assert program.process.stdout.readline() == "published\n"
        nats.stop()
        program.close_input()
        assert program.end(patience=40) == "the message may have been stored, or not\n"


async def expect(client, kind):
    """Returns the client's next event of that type."""
    while (event := json.loads(await client.recv()))["type"] != kind:
        pass
    return event


@pytest.mark.parametrize("history", [[], ["history.db"]], ids=["memory", "file"])
def test_program_moderates_its_chat(tree, programs, tmp_path, history):
    with Program(tree, programs["moderate"][0], *[tmp_path / name for name in history], under=VALGRIND) as program:
        def command(name):
            program.process.stdin.write(f"{name}\n")
            program.process.stdin.flush()
            assert program.process.stdout.readline() == "ok\n"

        async def join(**members):
            client = await websockets.connect(program.ws + "tea", subprotocols=["chat.confab.v1"])
            await client.send(json.dumps({"type": "hello", "name": "Bob", **members}))
            return client, await expect(client, "welcome")

        async def main():
            bob, welcome = await join()
            command("mute")
            assert (await expect(bob, "muted"))["reason"] == "hush"
            command("unmute")
            await expect(bob, "unmuted")
            command("kick")
            assert (await expect(bob, "kicked"))["reason"] == "out"
            bob, again = await join(session=welcome["session"])
            assert again["member"] != welcome["member"]
            command("ban")
            await expect(bob, "banned")
            with pytest.raises(websockets.InvalidStatus) as error:
                await join()
            assert error.value.response.status_code == 403
            command("unban")
            bob, _ = await join()
            await bob.close()
        go(main())
        program.close_input()
        assert program.end() == "done\n"


@pytest.mark.parametrize("history", [[], ["history.db"]], ids=["memory", "file"])
def test_bot_answers(tree, programs, tmp_path, history):
    with Program(tree, programs["bot"][0], 0, *[tmp_path / name for name in history]) as program:
        async def main():
            async with websockets.connect(program.ws) as client:
                await client.send("!time")
                assert await client.recv() == "!time"
                assert re.fullmatch(r".*Clock.*It is \d\d:\d\d\.", await client.recv(), re.DOTALL)
        go(main())


def test_program_gets_connections_and_members_of_its_chat(tree, programs):
    with Program(tree, programs["members"][0], under=VALGRIND) as program:
        def line():
            return program.process.stdout.readline().strip()

        async def join(name, path="tea"):
            client = await websockets.connect(program.ws + path, subprotocols=["chat.confab.v1"])
            await client.send(json.dumps({"type": "hello", "name": name}))
            await expect(client, "welcome")
            return client

        async def main():
            with urllib.request.urlopen(program.http + "hello") as response:
                assert response.read() == b"from the program\n"
            with urllib.request.urlopen(program.http) as response:
                assert b"<!DOCTYPE html>" in response.read()
            ann = await join("Ann")
            assert [line(), line()] == ["opened 1", "joined Ann"]
            plain = await websockets.connect(program.ws + "tea")
            assert line() == "opened 2"
            await plain.send("x")
            assert await plain.recv() == "x"
            await ann.send('{"type":"rename","name":"Anna"}')
            assert line() == "renamed Anna from Ann"
            other = await join("Bob", "coffee")
            assert line() == "opened 3"
            await other.close(4001)
            assert line() == "closed 4001"
            # The program closes this one when it opens.
            rejected = await websockets.connect(program.ws + "closed")
            with pytest.raises(websockets.ConnectionClosed):
                await rejected.recv()
            assert rejected.close_code == 4000 and [line(), line()] == ["opened 4", "closed 4000"]
            await ann.close()
            assert sorted([line(), line()]) == ["closed 1000", "left Anna"]
            program.process.stdin.write("\n")
            program.process.stdin.flush()
            assert line() == "ended"
            # The server is destroyed while this one is in the room.
            cid = await join("Cid")
            assert line() == "opened 5"
            program.close_input()
            with pytest.raises(websockets.ConnectionClosed):
                await cid.recv()
            assert cid.close_code == 1001
        go(main())
        assert "closed 1001" in program.end()
