"""One server and its broker: unreachable, reconnected, with TLS, with another stream."""

import asyncio
import contextlib
import shutil
import tempfile
import urllib.error
import urllib.request

import pytest
import websockets

from support.confab_process import confab, run
from support.coroutines import go
from support.nats_process import Broker, broker, free_port
from support.network import Network
from support.rich_client import rich


def readiness(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


async def until_ready(port, status=200):
    while await asyncio.to_thread(readiness, port) != status:
        await asyncio.sleep(0.05)


def test_server_starts_without_a_broker():
    port, admin = free_port(), free_port()
    with confab("--nats", f"nats://127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}") as server, \
            tempfile.TemporaryDirectory() as folder:
        async def main():
            assert readiness(admin) == 503
            one = Broker(folder, "-p", port)
            try:
                await until_ready(admin)
                async with rich(server, "Ann") as ann, websockets.connect(server.ws, compression=None) as plain:
                    one.kill()
                    assert not (await ann.until("availability"))["available"]
                    await until_ready(admin, 503)
                    # The room is open: clients join and leave, and their messages are pending.
                    async with rich(server, "Bob") as bob:
                        assert not (await bob.until("availability"))["available"]
                    await ann.send("say", tag="t", text="while it is away")
                    await plain.send("this, too")
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(plain.recv(), 1)
                    one.start()
                    await ann.until("message", text="while it is away")
                    assert {(await plain.recv()).split("\n")[-1] for _ in range(2)} == {"while it is away", "this, too"}
                    said = [event["available"] for event in ann.heard if event["type"] == "availability"]
                    assert said in ([False, True], [False]), said
            finally:
                one.stop()
        go(main())


def test_senders_are_paused_while_the_broker_is_away():
    with broker() as one, confab("--nats", one.url, "--max-message-rate", 0, "--max-byte-rate", 0) as server:
        async def main():
            async with websockets.connect(server.ws, compression=None, max_queue=None) as plain:
                await plain.send("0")
                assert await plain.recv() == "0"
                one.kill()
                before, count = server.memory(), 0
                with contextlib.suppress(TimeoutError):
                    while True:
                        await asyncio.wait_for(plain.send(f"{count + 1}".ljust(10_000)), 1)
                        count += 1
                # The kernel buffers some bytes, and the server holds some.
                assert 10 < count < 5000 and server.memory() - before < 8 << 20
                one.start()
                for number in range(count):
                    assert (await plain.recv()).strip() == f"{number + 1}"
        go(main())


def test_pending_messages_of_all_connections_are_limited():
    with broker() as one, confab("--nats", one.url, "--max-pending-bytes", "1MiB", "--max-message-rate", 0) as server:
        async def main():
            # The room is open before the broker stops.
            async with rich(server, "Ann") as ann:
                one.kill()
                await ann.until("availability", available=False)
                codes = []
                for number in range(40):
                    plain = await websockets.connect(server.ws, compression=None)
                    await plain.send(bytes(900_000))
                    with contextlib.suppress(TimeoutError, websockets.ConnectionClosed):
                        await asyncio.wait_for(plain.recv(), 0.2 if number < 21 else 10)
                    codes.append(plain.close_code)
                    plain.transport.abort()
                # The limit of 1 MiB, plus 16 MiB.
                assert codes[:17] == [None] * 17 and codes[21:] == [1013] * 19, codes
                error = await ann.say("one more")
                assert error["code"] == "rateLimited" and error["retryAfter"] > 0
        go(main())


async def closed_with_1012(client):
    """Reads until the connection is closed, and returns the messages."""
    heard = []
    with pytest.raises(websockets.ConnectionClosed) as closed:
        while True:
            heard.append(await client.recv())
    assert closed.value.rcvd.code == 1012, closed.value
    return heard


@pytest.mark.parametrize("options, size", [
    (["--max-history-messages", 20], 1), (["--nats-max-bytes", "200KiB", "--max-message-size", "64KiB"], 3900)])
def test_messages_deleted_during_disconnection_are_a_gap(options, size):
    options = ["--max-event-rate", 0, *options]
    with broker() as one, Network(one) as network, confab("--nats", one.url, *options) as near, confab(
            "--nats", f"nats://127.0.0.1:{network.port}", *options) as far:
        async def main():
            async with rich(near, "Ann") as ann, rich(far, "Bob") as bob, rich(far, "Cid", "quiet") as cid, \
                    websockets.connect(far.ws, compression=None) as plain:
                await cid.say("before")
                first = await ann.say("first")
                await bob.until("message", id=first["id"])
                await plain.recv()
                await asyncio.to_thread(network.cut)
                said = [await ann.say(f"{number}".ljust(size, "x")) for number in range(60)]
                await asyncio.to_thread(network.restore)
                assert await closed_with_1012(plain) == []
                await closed_with_1012(bob.socket)
                known = {name: bob.welcome[name] for name in ("session", "epoch")}
                async with rich(far, "Bob", after=first["id"], **known) as bob:
                    assert bob.welcome["gap"] and bob.welcome["epoch"] == known["epoch"]
                    heard = bob.welcome["messages"]
                    assert 0 < len(heard) < 60 and heard == said[-len(heard):]
                    last = await ann.say("last")
                    assert await bob.until("message") == last
                if size == 1:
                    # This room has no gap.
                    await cid.say("still here")
        go(main())


def test_messages_published_during_disconnection_are_delivered():
    """The room is full afterwards, without a gap."""
    options = ["--max-event-rate", 0, "--max-history-messages", 20]
    with broker() as one, Network(one) as network, confab("--nats", one.url, *options) as near, confab(
            "--nats", f"nats://127.0.0.1:{network.port}", *options) as far:
        async def main():
            async with rich(near, "Ann") as ann, rich(far, "Bob") as bob, \
                    websockets.connect(far.ws, compression=None) as plain:
                for number in range(30):
                    await ann.say(f"{number}")
                await asyncio.to_thread(network.cut)
                for number in range(30, 49):
                    await ann.say(f"{number}")
                await asyncio.to_thread(network.restore)
                texts = [(await bob.until("message"))["text"] for _ in range(49)]
                assert texts == [f"{number}" for number in range(49)]
                assert [(await plain.recv()).split("\n")[-1] for _ in range(49)] == texts
        go(main())


def test_restored_older_stream_starts_a_new_epoch():
    """The stream is ahead of the server again when the server reads it."""
    with tempfile.TemporaryDirectory() as folder:
        one = Broker(folder).wait()
        try:
            with Network(one) as network, confab("--nats", one.url, "--max-event-rate", 0) as near, confab(
                    "--nats", f"nats://127.0.0.1:{network.port}", "--max-event-rate", 0) as far:
                async def main():
                    async with rich(far, "Bob", "r") as bob:
                        await bob.say("old")
                        one.stop()
                        shutil.copytree(one.folder, f"{folder}/copy")
                        one.start()
                        said = [await bob.say(f"mine {number}") for number in range(5)]
                        await asyncio.to_thread(network.cut)
                        one.kill()
                        shutil.rmtree(one.folder)
                        shutil.copytree(f"{folder}/copy", one.folder)
                        one.start()
                        await asyncio.to_thread(one.wait)
                        async with rich(near, "Ann", "r") as ann:
                            for number in range(20):
                                last = await ann.say(f"other {number}")
                            await asyncio.to_thread(network.restore)
                            await closed_with_1012(bob.socket)
                            known = {name: bob.welcome[name] for name in ("session", "epoch")}
                            async with rich(far, "Bob", "r", after=said[-1]["id"], **known) as bob:
                                assert bob.welcome["gap"] and bob.welcome["epoch"] != known["epoch"]
                                assert bob.welcome["messages"][-1] == last
                go(main())
        finally:
            one.stop()


def test_stopping_logs_no_error():
    with broker() as one, confab("--nats", one.url, "--log-level", "warning") as server:
        is_let_in(server)
        assert server.stop() == 0
        assert server.errors == ""


def is_let_in(server):
    async def main():
        async with rich(server, "Ann") as ann:
            await ann.say("x")
    go(main())


def test_foreign_stream_is_rejected():
    with broker() as one:
        config = b'{"name":"CONFAB","subjects":["other"],"num_replicas":1,"storage":"file","max_msgs_per_subject":-1}'
        assert "error" not in one.request("$JS.API.STREAM.CREATE.CONFAB", config)
        with confab("--nats", one.url, "--nats-stream", "Tea") as other, confab("--nats", one.url) as server:
            async def main():
                async with rich(other, "Ann") as ann:
                    await ann.say("x")
            go(main())
            server.until_said("cannot be used: its subjects are")


def test_replaced_stream_makes_clients_reconnect():
    with broker() as one, confab("--nats", one.url) as server:
        async def main():
            async with rich(server, "Ann") as ann, websockets.connect(server.ws, compression=None) as plain:
                said = await ann.say("before")
                known = {"epoch": ann.welcome["epoch"], "after": said["id"]}
                assert one.request("$JS.API.STREAM.DELETE.CONFAB")["success"]
                one.kill()
                one.start()
                for hear in (ann.next, plain.recv):
                    with pytest.raises(websockets.ConnectionClosed) as closed:
                        while True:
                            await hear()
                    assert closed.value.rcvd.code == 1012
            async with rich(server, "Ann", **known) as ann:
                assert ann.welcome["gap"] and ann.welcome["epoch"] != known["epoch"]
                await ann.say("after")
        go(main())


def test_invalid_nats_options_are_errors(tmp_path):
    for options, words in (
        (("--nats", "nats://localhost", "--history", tmp_path / "x"), "cannot be used together"),
        (("--nats-stream", "X"), "needs --nats"),
        (("--nats", "nats://localhost", "--nats-stream", "a.b"), "--nats-stream must be"),
        (("--nats", "nats://localhost", "--nats-cert", __file__), "need each other"),
        (("--nats", "tls://localhost", "--nats-ca", tmp_path / "none"), "none' cannot be read"),
        (("--nats", "nats://localhost", "--nats-creds", tmp_path / "none"), "none' cannot be read: No such file"),
        (("--nats", "nats://localhost", "--nats-creds", __file__), "has no credentials"),
    ):
        done = run("serve", "--port", 0, *options)
        assert done.returncode != 0 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_password_is_not_logged():
    told = run("check", "--nats", "nats://confab:secret@localhost:4222").stdout
    assert "nats = nats://...@localhost:4222" in told and "secret" not in told
