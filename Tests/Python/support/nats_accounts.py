"""NATS's decentralised accounts: an operator that servers trust, and credentials files for users."""

import base64
import json
import os

import nkeys


class Party:
    """A holder of a key that signs others: an operator, an account, a user."""

    def __init__(self, prefix):
        self.seed = nkeys.encode_seed(os.urandom(32), prefix)
        self.name = nkeys.from_seed(self.seed).public_key.decode()

    def sign(self, subject, name, **claims):
        """Returns a signed token with claims about `subject`, a public key."""
        part = ".".join(map(encoded, (
            {"typ": "JWT", "alg": "ed25519-nkey"},
            {"jti": os.urandom(8).hex(), "iat": 0, "iss": self.name, "sub": subject, "name": name, "nats": {"version": 2, **claims}})))
        return f"{part}.{base64url(nkeys.from_seed(self.seed).sign(part.encode()))}"


class Operator(Party):
    """An operator with a system account, which JetStream needs, and an account for the chat."""

    def __init__(self):
        super().__init__(nkeys.PREFIX_BYTE_OPERATOR)
        self.system, self.account = Party(nkeys.PREFIX_BYTE_ACCOUNT), Party(nkeys.PREFIX_BYTE_ACCOUNT)

    def configuration(self):
        """Returns the configuration of a server for these accounts."""
        limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "wildcards": True}
        storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        tokens = {
            self.system.name: self.sign(self.system.name, "SYS", type="account", limits=limits),
            self.account.name: self.sign(self.account.name, "chat", type="account", limits=limits | storage)}
        return "\n".join((
            f'operator: "{self.sign(self.name, "operator", type="operator", system_account=self.system.name)}"',
            f"system_account: {self.system.name}", "resolver: MEMORY", "resolver_preload: {",
            *(f'{account}: "{token}"' for account, token in tokens.items()), "}\n"))


def write_credentials(path, account):
    """Writes the credentials file of a new user of the account."""
    user = Party(nkeys.PREFIX_BYTE_USER)
    token = account.sign(user.name, "confab", type="user", subs=-1, data=-1, payload=-1)
    path.write_text(f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
                    f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n")
    path.chmod(0o600)
    return path


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encoded(value):
    return base64url(json.dumps(value).encode())
