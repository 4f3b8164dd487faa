"""JSON Web Tokens for tests, made without the server's code."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

SECRET = "0123456789abcdef-0123456789abcdef"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, claims, sign):
    """Returns the token with this header and these claims, which may be bytes."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    message = ".".join(map(encoded, parts))
    return f"{message}.{encoded(sign(message.encode()))}"


def with_secret(secret=SECRET):
    return lambda message: hmac.digest(secret.encode(), message, hashlib.sha256)


def with_key(file, kind):
    """Signs with a private key in PEM, by OpenSSL's program."""
    def sign(message):
        if kind == "EdDSA":
            data = file.with_suffix(".data")
            data.write_bytes(message)
            return subprocess.run(
                ["openssl", "pkeyutl", "-sign", "-inkey", file, "-rawin", "-in", data],
                capture_output=True, check=True).stdout
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", file], input=message, capture_output=True, check=True).stdout
        return raw(signature) if kind == "ES256" else signature
    return sign


def raw(der):
    """Returns r and s of an ECDSA signature."""
    end = 4 + der[3]
    numbers = der[4:end], der[end + 2:]
    return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in numbers)


def token(sub="u1", *, secret=SECRET, header=None, lifetime=None, **claims):
    """A token of HS256. `lifetime` is in seconds."""
    if lifetime is not None:
        claims["exp"] = time.time() + lifetime
    return signed(header or {"alg": "HS256"}, {"sub": sub, **claims}, with_secret(secret))
