"""Certificates: reloaded, with a chain, and invalid."""

import contextlib
import signal
import ssl
import subprocess
import time

import pytest

from clients.tls.client import encrypted, get, trust
from support.confab_process import confab, make_certificate, run
from support.raw_client import frame, handshake, request


def subject(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with encrypted(server, context) as client:
        return client.getpeercert(binary_form=True)


def await_subject(server, expected):
    for _ in range(200):
        if subject(server) == expected:
            return
        time.sleep(0.02)
    pytest.fail("the certificate is not the new one")


def test_certificate_reload_keeps_connections(files, tmp_path):
    certificate, key = tmp_path / "now.pem", tmp_path / "now-key.pem"
    certificate.write_bytes(files[0].read_bytes())
    key.write_bytes(files[1].read_bytes())

    with confab("--tls-cert", certificate, "--tls-key", key, "--loops", 1) as server:
        with encrypted(server, trust(files[0])) as old:
            old.sendall(handshake())
            assert old.recv(4096).startswith(b"HTTP/1.1 101")
            new = make_certificate(tmp_path, name="new")
            certificate.write_bytes(new[0].read_bytes())
            # The key does not match, so the old certificate stays.
            server.process.send_signal(signal.SIGHUP)
            server.until_said("does not belong")
            assert subject(server) == ssl.PEM_cert_to_DER_cert(files[0].read_text())
            key.write_bytes(new[1].read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await_subject(server, ssl.PEM_cert_to_DER_cert(new[0].read_text()))
            assert get(server, trust(new[0])).startswith(b"HTTP/1.1 200")
            old.sendall(frame(1, b"still here"))
            assert old.recv(4096) == b"\x81\x0astill here"


@pytest.mark.slow
def test_certificate_reload_may_change_the_key_type(files, tmp_path):
    pair = tmp_path / "now.pem", tmp_path / "now-key.pem"
    rsa = make_certificate(tmp_path, name="rsa", key_type=["rsa:2048"])
    with contextlib.ExitStack() as stack:
        for source, target in zip(files, pair):
            target.write_bytes(source.read_bytes())
        server = stack.enter_context(confab("--tls-cert", pair[0], "--tls-key", pair[1]))
        for new in (rsa, files):
            for source, target in zip(new, pair):
                target.write_bytes(source.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            await_subject(server, ssl.PEM_cert_to_DER_cert(new[0].read_text()))
            for _ in range(5):
                assert get(server, trust(new[0])).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_all_loops_use_new_certificate_once_it_is_logged(files, tmp_path):
    pair = tmp_path / "now.pem", tmp_path / "now-key.pem"
    pairs = [files, make_certificate(tmp_path, name="new")]
    for source, target in zip(files, pair):
        target.write_bytes(source.read_bytes())
    with confab("--tls-cert", pair[0], "--tls-key", pair[1], "--loops", 4) as server:
        for number in range(6):
            new = pairs[(number + 1) % 2]
            for source, target in zip(new, pair):
                target.write_bytes(source.read_bytes())
            server.process.send_signal(signal.SIGHUP)
            server.until_said("has been reloaded", count=number + 1)
            # The server does not need the files any more.
            pair[0].write_text("nothing")
            for _ in range(8):
                assert subject(server) == ssl.PEM_cert_to_DER_cert(new[0].read_text())


def openssl(*arguments, **keywords):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **keywords).stdout


def issue(folder, name, issuer=None, *, is_authority=False):
    """Creates a certificate signed by `issuer`, or self-signed. Returns the two files."""
    certificate, key, extensions = folder / f"{name}.pem", folder / f"{name}-key.pem", folder / f"{name}.ext"
    # Python 3.13 and later require these (RFC 5280, section 4.2.1).
    lines = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
    lines += ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"] if is_authority else ["subjectAltName=DNS:localhost"]
    extensions.write_text("\n".join(lines))
    request = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", key)
    signer = ("-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial") if issuer else ("-signkey", key)
    openssl("x509", "-req", "-days", 30, "-extfile", extensions, *signer, "-out", certificate, input=request)
    return certificate, key


@pytest.mark.slow
def test_full_certificate_chain_is_sent(tmp_path):
    root = issue(tmp_path, "root", is_authority=True)
    middle = issue(tmp_path, "middle", root, is_authority=True)
    leaf = issue(tmp_path, "leaf", middle)
    chain = tmp_path / "chain.pem"
    chain.write_text(leaf[0].read_text() + middle[0].read_text())
    with confab("--tls-cert", chain, "--tls-key", leaf[1]) as server:
        assert get(server, trust(root[0])).startswith(b"HTTP/1.1 200")
    with confab("--tls-cert", leaf[0], "--tls-key", leaf[1]) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            get(server, trust(root[0]))


def made_for(folder, name, start, end):
    """Creates a certificate that is valid in the years from `start` to `end`."""
    key, request, certificate = folder / f"{name}-key.pem", folder / f"{name}.csr", folder / f"{name}.pem"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    (folder / f"{name}.index").touch()
    (folder / f"{name}.conf").write_text(
        f"[ca]\ndefault_ca=a\n[a]\ndatabase={folder}/{name}.index\nserial={folder}/{name}.serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-selfsign", "-config", folder / f"{name}.conf", "-create_serial", "-keyfile", key,
            "-startdate", f"{start}0101000000Z", "-enddate", f"{end}0101000000Z", "-in", request, "-out", certificate, "-notext")
    return certificate, key


@pytest.mark.slow
def test_invalid_certificate_files_stop_the_start(files, tmp_path):
    other = make_certificate(tmp_path, name="other")
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "ec", "-in", files[1], "-aes256", "-passout", "pass:secret", "-out", locked],
                   check=True, capture_output=True)
    for certificate, key, message in (
        ("missing.pem", files[1], "cannot read the certificate 'missing.pem': No such file"),
        (files[0], "missing.pem", "cannot read the key 'missing.pem'"),
        (files[1], files[1], "is not a certificate chain in PEM"),
        (files[0], files[0], "is not a private key in PEM"),
        (files[0], locked, "is not a private key in PEM without a password"),
        (files[0], other[1], "does not belong to the certificate"),
        (*made_for(tmp_path, "expired", 2024, 2025), "has expired on 2025-1-1"),
        (*made_for(tmp_path, "later", 2099, 2100), "is not valid before 2099-1-1"),
    ):
        result = run("serve", "--port", 0, "--tls-cert", certificate, "--tls-key", key)
        assert result.returncode == 1 and message in result.stderr and result.stderr.count("\n") == 1, result.stderr
    result = run("serve", "--tls-cert", files[0])
    assert result.returncode == 1 and "--tls-cert and --tls-key need each other" in result.stderr
