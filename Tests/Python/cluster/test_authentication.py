"""Authentication between servers and brokers: TLS, passwords, certificates, and credentials files."""

import asyncio
import contextlib
import json
import re
import secrets

import nkeys
import pytest
import websockets

from support.confab_process import ROOT, confab, make_certificate
from support.nats_accounts import Operator, Party, write_credentials
from support.nats_process import Broker
from support.rich_client import open_rich, rich


@contextlib.contextmanager
def strict_broker(folder, configuration):
    """May still be starting. An accepted server waits for it, so a test begins with one of these."""
    path = folder / "nats.conf"
    path.write_text(configuration)
    one = Broker(folder, "-c", path)
    try:
        yield one
    finally:
        one.stop()


def is_let_in(*options):
    with confab(*options) as server:
        async def talk():
            async with rich(server, "Ann") as ann:
                await ann.say("x")
        asyncio.run(asyncio.wait_for(talk(), 20))
        assert "connected to NATS" in server.said()
        return server.said()


def is_rejected(*options, reason="NATS cannot be reached: "):
    with confab(*options, "--handshake-timeout", 1) as server:
        async def wait():
            while reason not in server.said():
                with pytest.raises(websockets.InvalidStatus) as rejected:
                    async with open_rich(server):
                        pass
                assert rejected.value.response.status_code == 503
        asyncio.run(asyncio.wait_for(wait(), 20))
        assert "connected" not in server.said()
        return server.said()


def test_tls_with_passwords(tmp_path):
    certificate, key = make_certificate(tmp_path)
    other, _ = make_certificate(tmp_path, name="other")
    password = secrets.token_hex(8)
    with strict_broker(tmp_path, f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'
                                 f'authorization {{ user: confab, password: "{password}" }}\n') as one:
        url = f"tls://confab:{password}@localhost:{one.port}"
        assert password not in is_let_in("--nats", url, "--nats-ca", certificate)
        for wrong in (
            ("--nats", url, "--nats-ca", other),  # signed by another CA
            ("--nats", f"tls://confab:no@localhost:{one.port}", "--nats-ca", certificate),
            ("--nats", f"tls://confab:{password}@127.0.0.2:{one.port}", "--nats-ca", certificate),  # wrong host name
        ):
            assert password not in is_rejected(*wrong)


def test_client_certificates(tmp_path):
    certificate, key = make_certificate(tmp_path)
    own, own_key = make_certificate(tmp_path, name="confab")
    other, other_key = make_certificate(tmp_path, name="other")
    with strict_broker(tmp_path, f'tls {{ cert_file: "{certificate}", key_file: "{key}", '
                                 f'ca_file: "{own}", verify: true }}\n') as one:
        options = "--nats", f"tls://localhost:{one.port}", "--nats-ca", certificate
        is_let_in(*options, "--nats-cert", own, "--nats-key", own_key)
        is_rejected(*options)
        is_rejected(*options, "--nats-cert", other, "--nats-key", other_key)


def test_credentials_files(tmp_path):
    operator = Operator()
    own = write_credentials(tmp_path / "own.creds", operator.account)
    other = write_credentials(tmp_path / "other.creds", Party(nkeys.PREFIX_BYTE_ACCOUNT))
    with strict_broker(tmp_path, operator.configuration()) as one:
        options = "--nats", one.url
        said = is_let_in(*options, "--nats-creds", own)
        assert not any(line in said for line in own.read_text().splitlines() if line)
        is_rejected(*options, reason="NATS cannot be reached: Authorization Violation")
        is_rejected(*options, "--nats-creds", other, reason="NATS cannot be reached: Authorization Violation")


def test_documented_permissions_are_enough(tmp_path):
    article = (ROOT / "Sources/ConfabChat/ConfabChat.docc/Cluster.md").read_text()
    allowed = re.search(r"A server needs permission to subscribe to (.*?), and to publish to (.*?)\.\n", article, re.DOTALL)
    subscribe, publish = (json.dumps(re.findall("`(.*?)`", list)) for list in allowed.groups())
    user = f'{{ user: confab, password: secret, permissions: {{ subscribe: {subscribe}, publish: {publish} }} }}'
    with strict_broker(tmp_path, f"authorization {{ users: [ {user} ] }}\n") as one:
        assert "ermissions Violation" not in is_let_in("--nats", f"nats://confab:secret@127.0.0.1:{one.port}")
        assert "ermissions Violation" not in one.said()
