"""Sources of tokens: the request, the hello and cookies."""

import json

import websockets

from clients.admission.users import bearer, closing, hello_error, plain, rejection, user
from support.confab_process import confab
from support.coroutines import go
from support.rich_client import SUBPROTOCOL, open_rich
from support.tokens import token


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


def test_open_server_takes_no_tokens(server):
    async def main():
        async with open_rich(server, "?token=x", **bearer("x")) as client:
            welcome = await client.hello("Ann", token="x")
            assert "rights" not in welcome and "expires" not in welcome
            assert (await client.error("token", token="x"))["code"] == "forbidden"
    go(main())
