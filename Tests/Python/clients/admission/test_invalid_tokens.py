"""Tokens that are rejected."""

import contextlib
import json
import time

import pytest
import websockets

from clients.admission.users import bearer, closing, hello_error, plain, rejection, user
from support.confab_process import confab
from support.coroutines import go
from support.rich_client import open_rich
from support.tokens import SECRET, encoded, signed, token, with_secret

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
