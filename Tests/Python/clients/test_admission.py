"""Users with tokens: who is admitted, with which name, to which rooms, and what they may do."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time

import pytest
import websockets

from support.confab_process import confab, run
from support.coroutines import go
from support.rich_client import SUBPROTOCOL, open_rich
from support.tokens import SECRET, encoded, signed, token, with_key, with_secret


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "secret"
    file.write_text(SECRET + "\n")
    return file


@pytest.fixture
def guarded(key_file):
    """A server whose clients need a token."""
    with confab("--auth-key", key_file) as server:
        yield server


@pytest.fixture
def welcoming(key_file):
    """A server with guests."""
    with confab("--auth-key", key_file, "--allow-guests", "read,say,history") as server:
        yield server


def bearer(text):
    return {"additional_headers": {"Authorization": f"Bearer {text}"}}


def plain(server, path="", **options):
    return websockets.connect(server.ws + path, compression=None, **options)


async def rejection(connecting):
    """Returns the status, the header WWW-Authenticate and the body of a rejected handshake."""
    with pytest.raises(websockets.InvalidStatus) as error:
        async with connecting:
            pass
    response = error.value.response
    return response.status_code, response.headers.get("WWW-Authenticate"), response.body.decode().strip()


async def closing(client):
    """Returns the code of the last error, and the close code and reason."""
    code = None
    try:
        while True:
            event = await client.next()
            code = event["code"] if event["type"] == "error" else code
    except websockets.ConnectionClosed as error:
        return code, error.rcvd.code, error.rcvd.reason


@contextlib.asynccontextmanager
async def user(server, text, path="", **members):
    """A client that has joined with a token in its hello."""
    async with open_rich(server, path) as client:
        await client.send("hello", token=text, **members)
        await client.until("welcome")
        yield client


async def hello_error(server, path="", **members):
    async with open_rich(server, path) as client:
        await client.send("hello", **members)
        return await closing(client)


# Where a token comes from


def test_client_without_token_is_rejected(guarded):
    async def main():
        assert await rejection(plain(guarded)) == (401, "Bearer", "token required")
        assert await hello_error(guarded, name="Ann") == ("tokenRequired", 4003, "token required")
    go(main())


def test_token_in_header_query_and_hello(guarded):
    async def main():
        text = token(name="Ann")
        async with plain(guarded, **bearer(text)) as one, plain(guarded, f"?token={text}") as two:
            await one.send("hi")
            assert await two.recv() == "hi"
        for path, options in ("", bearer(text)), (f"?token={text}", {}):
            async with open_rich(guarded, path, **options) as client:
                await client.send("hello")
                welcome = await client.until("welcome")
                assert welcome["name"] == "Ann" and welcome["rights"] == ["read", "say", "history"]
                assert "expires" not in welcome
        async with user(guarded, text, name="ignored") as client:
            assert client.welcome["name"] == "Ann"
    go(main())


def test_invalid_request_token_is_rejected_though_the_hello_could_have_one(guarded):
    async def main():
        wanted = 401, 'Bearer error="invalid_token"', "invalid token"
        for path, options in ("?token=x", {}), ("", bearer("x")), ("?token=", {}), ("?token", {}), (
                f"?token=x&token={token()}", {}), ("", {"additional_headers": {"Authorization": "bearer"}}):
            connecting = websockets.connect(guarded.ws + path, subprotocols=[SUBPROTOCOL], **options)
            assert await rejection(connecting) == wanted, path
    go(main())


def test_cookie_counts_only_with_an_allowed_origin(key_file):
    async def main(server, origin, counts):
        headers = {"Cookie": f"other=1; session={token(name='Ann')}"}
        async with open_rich(server, origin=origin, additional_headers=headers) as client:
            await client.send("hello", name="Bob")
            if counts:
                assert (await client.until("welcome"))["name"] == "Ann"
            else:
                assert (await closing(client))[:2] == ("tokenRequired", 4003)
        connecting = plain(server, origin=origin, additional_headers=headers)
        if counts:
            async with connecting:
                pass
        else:
            assert (await rejection(connecting))[0] == 401

    options = "--auth-key", key_file, "--auth-cookie", "session"
    with confab(*options) as server:
        # On loopback, all pages from loopback may connect, and pages from files, whose origin any page can have.
        own = server.http.rstrip("/")
        for origin, counts in (own, True), ("http://localhost:9", False), (None, False), ("null", False), ("file://", False):
            go(main(server, origin, counts))
    with confab(*options, "--allow-origin", "*", "--allow-origin", "https://example.org") as server:
        for origin, counts in ("https://example.org", True), ("https://attacker.example", False):
            go(main(server, origin, counts))


def test_token_of_the_hello_precedes_the_cookie(key_file):
    async def main(server):
        headers = {"Cookie": f"session={token('u1', name='Ann')}"}
        async with open_rich(server, origin="http://localhost", additional_headers=headers) as client:
            await client.send("hello", token=token("u2", name="Bob"))
            assert (await client.until("welcome"))["name"] == "Bob"
    with confab("--auth-key", key_file, "--auth-cookie", "session") as server:
        go(main(server))


def test_unreadable_cookie_is_no_token(key_file):
    async def main(server):
        for cookie in "session", "session=", "Session=x", "xsession=x; =;;", "session=a b":
            options = {"origin": "http://localhost", "additional_headers": {"Cookie": cookie}}
            assert (await rejection(plain(server, **options)))[0] == 401, cookie
    with confab("--auth-key", key_file, "--auth-cookie", "session") as server:
        go(main(server))


# Rejected tokens

INVALID = {
    "other key": lambda: token(secret="x" * 32),
    "none": lambda: signed({"alg": "none"}, {"sub": "u"}, lambda message: b""),
    "other algorithm": lambda: token(header={"alg": "HS512"}),
    "critical header": lambda: token(header={"alg": "HS256", "crit": ["exp"], "exp": 1}),
    "no sub": lambda: signed({"alg": "HS256"}, {"name": "Ann"}, with_secret()),
    "number as sub": lambda: token(7),
    "long sub": lambda: token("x" * 257),
    "duplicate claim": lambda: signed({"alg": "HS256"}, b'{"sub":"u","exp":1,"exp":99999999999}', with_secret()),
    "null exp": lambda: token(exp=None),
    "text exp": lambda: token(exp="99999999999"),
    "great exp": lambda: signed({"alg": "HS256"}, b'{"sub":"u","exp":1e300}', with_secret()),
    "infinite exp": lambda: signed({"alg": "HS256"}, b'{"sub":"u","exp":1e400}', with_secret()),
    "exp of 2^64": lambda: token(exp=2**64),
    "null rooms": lambda: token(rooms=None),
    "text rooms": lambda: token(rooms="/tea"),
    "unknown right": lambda: token(rights=["read", "rule"]),
    "claims in an array": lambda: signed({"alg": "HS256"}, [{"sub": "u"}], with_secret()),
    "not UTF-8": lambda: signed({"alg": "HS256"}, b'{"sub":"\xff"}', with_secret()),
    "padding": lambda: token() + "=",
    "two parts": lambda: token().rpartition(".")[0],
    "four parts": lambda: token() + ".x",
    "dots": lambda: "." * 8000,
    "too long": lambda: token(padding="x" * 7000),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_token_is_rejected(guarded, name):
    async def main():
        text = INVALID[name]()
        if len(text) < 8000:
            assert await rejection(plain(guarded, **bearer(text))) == (
                401, 'Bearer error="invalid_token"', "invalid token")
        async with open_rich(guarded) as client:
            await client.send_text(json.dumps({"type": "hello", "name": "Ann", "token": text}))
            assert await closing(client) == ("tokenInvalid", 4003, "invalid token")
    go(main())


def test_times_are_checked(guarded):
    async def main():
        for claims, reason in [
                ({"lifetime": -1}, "token expired"), ({"exp": -1}, "token expired"), ({"exp": 0.5}, "token expired"),
                ({"nbf": time.time() + 60}, "token not valid yet")]:
            text = token(**claims)
            assert (await rejection(plain(guarded, **bearer(text))))[::2] == (401, reason)
            code = "tokenExpired" if reason == "token expired" else "tokenInvalid"
            assert await hello_error(guarded, token=text, name="Ann") == (code, 4003, reason)
        # Clocks may differ by 10 s.
        async with user(guarded, token(nbf=time.time() + 5), name="Ann"):
            pass
    go(main())


def test_audience_is_checked(key_file):
    async def main(server):
        for aud in "chat", ["mail", "chat"]:
            async with user(server, token(aud=aud), name="Ann"):
                pass
        for claims in {}, {"aud": "mail"}, {"aud": []}, {"aud": 1}:
            assert (await hello_error(server, token=token(**claims), name="Ann"))[0] == "tokenInvalid"
    with confab("--auth-key", key_file, "--auth-audience", "chat") as server:
        go(main(server))


def test_event_before_the_hello_closes_the_connection(guarded):
    async def main():
        for event, code in [
                ({"type": "say", "tag": "t", "text": "x"}, "notIntroduced"), ({"type": "typing"}, "notIntroduced"),
                ({"type": "token", "token": "x"}, "notIntroduced"), ({"type": "x"}, "notIntroduced"), ([], "malformed")]:
            async with open_rich(guarded) as client:
                await client.send_text(json.dumps(event))
                await client.send_text(json.dumps({"type": "hello", "name": "Ann", "token": token()}))
                assert (await closing(client))[:2] == (code, 1008), event
    go(main())


def test_client_without_hello_is_closed(key_file):
    async def main(server):
        async with open_rich(server) as client:
            assert await closing(client) == ("tokenRequired", 4003, "token required")
    with confab("--auth-key", key_file, "--handshake-timeout", "0.2") as server:
        go(main(server))


def test_events_sent_with_the_hello_are_handled(guarded):
    async def main():
        async with open_rich(guarded) as client:
            await client.send("hello", name="Ann", token=token())
            await client.send("say", tag="t", text="hi")
            assert (await client.until("message"))["text"] == "hi"
    go(main())


# Names


def test_verified_name_cannot_be_taken_or_changed(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            for name in "Ann", "ANN", "Ａｎｎ", "aｎn":
                async with open_rich(guarded) as client:
                    await client.send("hello", name=name, token=token("u2"))
                    error = await client.until("error")
                    assert error["code"] == "nameTaken" and error["proposal"] == name + "2"
            assert (await ann.error("rename", name="Bob"))["code"] == "forbidden"
            # Another user with the same name in its token.
            async with open_rich(guarded) as client:
                await client.send("hello", token=token("u2", name="ann"))
                assert (await client.until("error"))["code"] == "nameTaken"
    go(main())


def test_invalid_name_in_a_token_is_rejected(guarded):
    async def main():
        for name in "", " ", "x" * 33, "a\u202eb", "\u0301":
            code, close, reason = await hello_error(guarded, token=token(name=name))
            assert (code, close, reason) == ("tokenInvalid", 4003, "invalid name in the token"), name
    go(main())


def test_verified_user_displaces_a_guest(welcoming):
    async def main():
        async with open_rich(welcoming) as guest:
            await guest.hello("ANN")
            async with user(welcoming, token("u1", name="Ann")) as ann:
                assert (await guest.until("renamed"))["name"] == "ANN2"
                assert sorted(ann.welcome["people"]) == ["ANN2", "Ann"] and ann.welcome["count"] == 2
                assert (await guest.say("x"))["from"] == "ANN2"
                assert (await guest.error("rename", name="Ann"))["code"] == "nameTaken"
                assert (await ann.say("y"))["from"] == "Ann"
                while "Ann" not in (await guest.until("presence"))["joined"]:
                    pass
            # The name is free again.
            await guest.until("presence", left=["Ann"])
            await guest.send("rename", name="Ann")
            await guest.until("renamed", name="Ann")
    go(main())


def test_two_tabs_of_a_user_share_the_name(welcoming):
    async def main():
        text = token("u1", name="Ann")
        async with open_rich(welcoming) as witness, user(welcoming, text) as one:
            await witness.hello("witness")
            async with user(welcoming, text) as two:
                assert two.welcome["member"] != one.welcome["member"]
                assert sorted(two.welcome["people"]) == ["Ann", "witness"] and two.welcome["count"] == 3
                await two.say("two")
                assert (await one.until("message"))["from"] == "Ann"
                event = await witness.until("presence", count=3)
                assert event["left"] == []
            event = await witness.until("presence", count=2)
            assert event["left"] == [] and event["joined"] == []
            async with open_rich(welcoming) as other:
                assert (await other.error("hello", name="Ann"))["code"] == "nameTaken"
        async with open_rich(welcoming) as witness, user(welcoming, text) as one:
            await witness.hello("witness")
            await one.socket.close()
            assert "Ann" in (await witness.until("presence", left=["Ann"]))["left"]
    go(main())


def test_session_of_another_user_is_not_taken_over(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            async with user(guarded, token("u2", name="Bob"), session=ann.welcome["session"]) as bob:
                assert bob.welcome["session"] != ann.welcome["session"]
                assert (await ann.say("still here"))["from"] == "Ann"
            async with user(guarded, token("u1", name="Ann"), session=ann.welcome["session"]) as again:
                assert again.welcome["session"] == ann.welcome["session"]
                assert (await closing(ann))[1] == 4001
    go(main())


# Rooms and rights


def test_rooms_are_exact_or_prefixes(guarded):
    async def main():
        text = token(rooms=["/tea", "/team/*", "/caf\u00e9", "/cafe\u0301s/*"])
        for path in "tea", "tea?x=1", "%74ea", "team/a", "team/a/b", "caf%C3%A9", "cafe%CC%81", "caf%C3%A9s/x", "/tea":
            async with user(guarded, text, path, name="Ann"):
                pass
        for path in "", "tea/", "Tea", "teas", "team", "tea/a", "team/../x", "team/%2e%2e/x", "cafe", "caf%C3%A9/x":
            assert await hello_error(guarded, path, token=text, name="Ann") == (
                "forbidden", 4003, "room not allowed"), path
            assert (await rejection(plain(guarded, path, **bearer(text))))[::2] == (403, "room not allowed")
        assert (await hello_error(guarded, token=token(rooms=[]), name="Ann"))[0] == "forbidden"
    go(main())


def test_rights_are_enforced(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann")) as ann:
            await ann.say("before")
            async with user(guarded, token("u2", name="reader", rights=["read"])) as reader:
                assert reader.welcome["rights"] == ["read"] and reader.welcome["messages"] == []
                assert (reader.welcome["last"], reader.welcome["oldest"]) == (1, 2)
                for type, members in [
                        ("say", {"tag": "t", "text": "x"}), ("typing", {}), ("history", {"before": 2})]:
                    assert (await reader.error(type, **members))["code"] == "forbidden"
                await ann.say("after")
                assert (await reader.until("message"))["text"] == "after"
            async with user(guarded, token("u3", name="Bob", rights=["read", "history"])) as bob:
                assert [message["text"] for message in bob.welcome["messages"]] == ["before", "after"]
        assert (await hello_error(guarded, token=token(rights=["say"]), name="x"))[0] == "forbidden"
        async with plain(guarded, **bearer(token(rights=["read"]))) as one:
            await one.send("x")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await one.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4003, "sending is not allowed")
    go(main())


def test_guests_have_their_rights_only(key_file):
    async def main(server):
        async with open_rich(server) as guest, plain(server) as other:
            welcome = await guest.hello("guest")
            assert welcome["rights"] == ["read"]
            assert (await guest.error("say", tag="t", text="x"))["code"] == "forbidden"
            async with user(server, token("u1", name="Ann")) as ann:
                await ann.say("hi")
                assert (await guest.until("message"))["text"] == "hi"
                assert "hi" in await other.recv()
        # A token that is rejected does not make a guest.
        assert (await hello_error(server, token=token(secret="x" * 32), name="x"))[0] == "tokenInvalid"
        async with open_rich(server) as client:
            await client.send_text(json.dumps({"type": "hello", "name": "x", "token": ""}))
            assert (await closing(client))[0] == "tokenInvalid"
    with confab("--auth-key", key_file, "--allow-guests", "read") as server:
        go(main(server))


# Expiry


def test_expired_client_is_asked_for_a_token(key_file):
    async def main(server):
        async with user(server, token("u1", name="Ann", lifetime=0.5)) as ann:
            assert ann.welcome["expires"] <= time.time() * 1000 + 500
            assert await ann.until("token") == {"type": "token", "grace": 2000}
            for text, code in [
                    (token("u1", lifetime=-1), "tokenExpired"), (token("u2"), "forbidden"), ("x", "tokenInvalid"),
                    (token("u1", rooms=["/x"]), "forbidden")]:
                assert (await ann.error("token", token=text, ref="r"))["code"] == code
            await ann.send("token", token=token("u1", name="Bob", rights=["read"], lifetime=1.5))
            admitted = await ann.until("admitted")
            assert admitted["rights"] == ["read"] and admitted["expires"] > ann.welcome["expires"]
            assert (await ann.error("say", tag="t", text="x"))["code"] == "forbidden"
            # The next token expires, too, and the client sends none.
            await ann.until("token")
            start = time.monotonic()
            assert (await closing(ann))[1:] == (4002, "token expired")
            assert 1.5 < time.monotonic() - start < 10
    with confab("--auth-key", key_file, "--auth-grace", "2") as server:
        go(main(server))


def test_token_without_expiry_ends_the_watch(guarded):
    async def main():
        async with user(guarded, token("u1", name="Ann", lifetime=1)) as ann:
            await ann.send("token", token=token("u1", name="Ann"))
            assert "expires" not in await ann.until("admitted")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ann.until("token"), 1.5)
            assert (await ann.say("x"))["from"] == "Ann"
    go(main())


def test_plain_client_is_closed_at_its_expiry(guarded):
    async def main():
        async with plain(guarded, **bearer(token(lifetime=0.5))) as client:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "token expired")
    go(main())


def test_open_server_takes_no_tokens(server):
    async def main():
        async with open_rich(server, "?token=x", **bearer("x")) as client:
            welcome = await client.hello("Ann", token="x")
            assert "rights" not in welcome and "expires" not in welcome
            assert (await client.error("token", token="x"))["code"] == "forbidden"
    go(main())


# Keys


KINDS = {
    "RS256": ("RSA", "rsa_keygen_bits:2048"), "ES256": ("EC", "ec_paramgen_curve:prime256v1"), "EdDSA": ("ED25519", None)}


@pytest.fixture(scope="module", params=KINDS)
def key_pair(request, tmp_path_factory):
    """The algorithm, and the files of the private and the public key."""
    folder = tmp_path_factory.mktemp(request.param)
    algorithm, option = KINDS[request.param]
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", algorithm, *(["-pkeyopt", option] if option else []),
         "-out", folder / "private.pem"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-in", folder / "private.pem", "-pubout", "-out", folder / "public.pem"], check=True)
    return request.param, folder / "private.pem", folder / "public.pem"


def test_public_key_verifies_its_algorithm_only(key_pair, key_file):
    async def main(server, text, is_valid):
        if is_valid:
            async with user(server, text):
                pass
        else:
            assert (await hello_error(server, token=text))[0] == "tokenInvalid"

    kind, private, public = key_pair
    claims = {"sub": "u", "name": "Ann"}
    valid = signed({"alg": kind}, claims, with_key(private, kind))
    with confab("--auth-key", public, "--auth-key", key_file) as server:
        for _ in range(3):
            go(main(server, signed({"alg": kind}, claims, with_key(private, kind)), True))
        go(main(server, token(name="Ann"), True))
        message, _, signature = valid.rpartition(".")
        go(main(server, f"{message}.{signature[:-8]}AAAAAAAA", False))
        # The public key, which everybody knows, as a secret.
        go(main(server, signed({"alg": "HS256"}, claims, with_secret(public.read_text())), False))
        go(main(server, signed({"alg": "HS256"}, claims, with_key(private, kind)), False))
        for other in {*KINDS, "none"} - {kind}:
            go(main(server, signed({"alg": other}, claims, with_key(private, kind)), False))


def test_token_command_signs_with_each_key(key_pair, key_file):
    async def main(server, text):
        async with user(server, text, "tea") as client:
            assert client.welcome["name"] == "Ann" and client.welcome["rights"] == ["read", "moderate"]
            assert 1700 < client.welcome["expires"] / 1000 - time.time() <= 1800
        assert (await hello_error(server, token=text))[0] == "forbidden"

    kind, private, public = key_pair
    for signer, verifier in (private, public), (key_file, key_file):
        made = run("token", "--key", signer, "--name", "Ann", "--room", "/tea", "--rights", "read,moderate", "--for", "30m")
        assert made.returncode == 0 and made.stderr == ""
        with confab("--auth-key", verifier) as server:
            go(main(server, made.stdout.strip()))
    failed = run("token", "--key", public, "--name", "Ann")
    assert failed.returncode == 1 and "cannot sign" in failed.stderr and failed.stdout == ""


@pytest.mark.parametrize("options, error", [
    (("--name", "Ann"), "--key"), (("--key", "KEY"), "--id or --name is missing"),
    (("--key", "KEY", "--id", "x" * 257), "1 to 256 bytes"), (("--key", "KEY", "--id", "u", "--room", "tea"), "begin with /"),
    (("--key", "KEY", "--id", "u", "--for", "1w"), "--for"), (("--key", "KEY", "--id", "u", "--for", "0s"), "--for"),
    (("--key", "KEY", "--id", "u", "--rights", "all"), "--rights"), (("--key", "/nonexistent", "--id", "u"), "No such file"),
])
def test_token_command_rejects_invalid_options(key_file, options, error):
    failed = run("token", *(key_file if option == "KEY" else option for option in options))
    assert failed.returncode != 0 and error in failed.stderr and failed.stdout == ""


def test_invalid_settings_are_rejected(tmp_path, key_file):
    broken = tmp_path / "keys.json"
    broken.write_text('{"keys": [{"kty": "oct", "kid": "one", "k": "c2hvcnQ"}]}')
    for options, error in [
            (("--auth-key", broken), f"the key file '{broken}' is not usable: key 1 ('one') of the set: a secret must have"),
            (("--auth-key", tmp_path), "Is a directory"), (("--auth-key", ""), "'' is not usable"),
            (("--auth-cookie", "c"), "--auth-cookie needs --auth-key"),
            (("--allow-guests", "read"), "--allow-guests needs --auth-key"),
            (("--auth-audience", "a"), "--auth-audience needs --auth-key"),
            (("--auth-grace", "1"), "--auth-grace needs --auth-key"),
            (("--auth-key", key_file, "--auth-cookie", "a b"), "--auth-cookie must be the name of a cookie"),
            (("--auth-key", key_file, "--allow-guests", "say"), "--allow-guests"),
            (("--auth-key", key_file, "--allow-guests", "read,moderate"), "--allow-guests")]:
        failed = run("check", *options)
        assert failed.returncode != 0 and error in failed.stderr, (options, failed.stderr)
    checked = run("check", "--auth-key", key_file, env={"CONFAB_ALLOW_GUESTS": "read,say"})
    assert checked.returncode == 0 and "allow-guests = read,say" in checked.stdout


def test_keys_are_reloaded(tmp_path):
    async def main(server, file):
        async def wait(text):
            while text not in server.said():
                await asyncio.sleep(0.02)

        old, new = token("u1", name="Ann"), token("u1", secret="y" * 40, name="Ann")
        async with user(server, old) as ann:
            file.write_text("broken")
            server.process.send_signal(signal.SIGHUP)
            await wait(f"the keys for tokens have not been reloaded: the key file '{file}' is not usable")
            async with user(server, old):
                pass
            file.write_text("y" * 40)
            server.process.send_signal(signal.SIGHUP)
            await wait("the keys for tokens have been reloaded")
            assert (await hello_error(server, token=old))[0] == "tokenInvalid"
            async with user(server, new):
                pass
            assert (await ann.say("still here"))["from"] == "Ann"

    file = tmp_path / "secret"
    file.write_text(SECRET)
    with confab("--auth-key", file) as server:
        go(main(server, file))


def test_secrets_are_not_logged(key_file):
    async def main(server):
        texts = [token(name="Ann"), token(name="Bob", secret="z" * 32)]
        for text in texts:
            headers = {"Cookie": f"session={text}"}
            for path, options in (f"tea?token={text}", {}), ("tea", bearer(text)), (
                    "tea", {"origin": "http://localhost", "additional_headers": headers}):
                with contextlib.suppress(websockets.InvalidStatus):
                    async with plain(server, path, **options):
                        pass
            with contextlib.suppress(websockets.ConnectionClosed):
                async with user(server, text) as client:
                    await client.error("token", token=texts[1])
        with contextlib.suppress(websockets.InvalidStatus):
            async with plain(server, f"%ff?token={texts[0]}&x=%zz"):
                pass
        assert "/tea" in server.said() and encoded(b'{"alg')[:6] not in server.said() and SECRET not in server.said()
    with confab("--auth-key", key_file, "--auth-cookie", "session", "--log-level", "trace") as server:
        go(main(server))


def test_moderator_removes_any_message(key_file):
    async def main(server):
        everything = ["read", "say", "history", "moderate"]
        async with user(server, token("a", name="Ann")) as ann, websockets.connect(server.ws, additional_headers={
                "Authorization": f"Bearer {token('p')}"}) as plain, user(
                server, token("h", name="Host", rights=["read", "moderate"])) as host, user(
                server, token("b", rights=everything[:3]), name="Bob") as bob:
            said = await ann.say("rude")
            await plain.send("plain and rude")
            from_plain = await host.until("message", text="plain and rude")
            error = await bob.error("remove", id=said["id"])
            assert error["code"] == "forbidden"
            for id in (said["id"], from_plain["id"]):
                await host.send("remove", id=id)
                for one in (ann, bob, host):
                    assert (await one.until("removed", message=id))["by"] == "Host"
            # A moderator edits no message of others, and this one may not publish.
            kept = await ann.say("kept")
            assert (await host.error("edit", id=kept["id"], text="other"))["code"] == "forbidden"
            assert (await host.error("say", tag="t", text="hello"))["code"] == "forbidden"
            await ann.send("remove", id=kept["id"])
            await host.until("removed", message=kept["id"])
    with confab("--auth-key", key_file, "--max-change-age", 0) as server:
        async def late(server):
            async with user(server, token("a", name="Ann")) as ann, user(
                    server, token("h", name="Host", rights=["read", "moderate"])) as host:
                said = await ann.say("rude")
                assert (await ann.error("remove", id=said["id"]))["code"] == "forbidden"
                await host.send("remove", id=said["id"])
                await ann.until("removed", message=said["id"])
        go(late(server))
    with confab("--auth-key", key_file) as server:
        go(main(server))
