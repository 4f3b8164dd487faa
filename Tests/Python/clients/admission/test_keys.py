"""Keys that verify and sign tokens."""

import asyncio
import signal
import subprocess
import time

import pytest

from clients.admission.users import hello_error, user
from support.confab_process import confab, run
from support.coroutines import go
from support.tokens import SECRET, signed, token, with_key, with_secret

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
        old, new = token("u1", name="Ann"), token("u1", secret="y" * 40, name="Ann")
        async with user(server, old) as ann:
            file.write_text("broken")
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(server.until_said, f"the keys for tokens have not been reloaded: the key file '{file}' is not usable")
            async with user(server, old):
                pass
            file.write_text("y" * 40)
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(server.until_said, "the keys for tokens have been reloaded")
            assert (await hello_error(server, token=old))[0] == "tokenInvalid"
            async with user(server, new):
                pass
            assert (await ann.say("still here"))["from"] == "Ann"

    file = tmp_path / "secret"
    file.write_text(SECRET)
    with confab("--auth-key", file) as server:
        go(main(server, file))
