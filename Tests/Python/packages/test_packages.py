"""The Debian packages and the tarball in a new system without Swift: installed, used, upgraded, removed."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import urllib.request

import pytest
from websockets.sync.client import connect

from packages.new_system import PACKAGES, System, package
from support.confab_process import ROOT, free_port

NAMES = ["confab", "libconfab0", "libconfab-dev"]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    system = System(tmp_path_factory.mktemp("packages"))
    try:
        system.run("apt-get", "update")
        yield system
    finally:
        system.remove()


@contextlib.contextmanager
def serving(system, program="/usr/bin/confab", *options, user="confab:confab"):
    port = free_port()
    with system.running(program, "serve", "--port", port, *options, user=user) as line:
        assert line == f"Confab is listening on http://127.0.0.1:{port}/"
        yield port


def chat(port, text):
    with connect(f"ws://127.0.0.1:{port}/tea") as one, connect(f"ws://127.0.0.1:{port}/tea") as other:
        one.send(text)
        assert one.recv(10) == other.recv(10) == text


def page(port):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()


@pytest.mark.parametrize("name", NAMES)
def test_lintian_finds_nothing(name):
    result = subprocess.run(["lintian", "--allow-root", package(name)], capture_output=True, text=True)
    assert result.returncode == 0 and not result.stdout, result.stdout + result.stderr


def test_installed_program_serves_a_chat(system):
    system.install(package("confab"))
    assert not [path for path in system.files() if re.search("/(lib)?swift", path)]
    admin = f"127.0.0.1:{free_port()}"
    with serving(system, "/usr/bin/confab", "--admin", admin, "--history", "/var/lib/confab/chat.db") as port:
        assert b"<!DOCTYPE html>" in page(port)
        chat(port, "hello")
        assert system.run("confab", "health", "--admin", admin) == "ready\n"
    assert "not ready" in system.run("confab", "health", "--admin", admin, succeeds=False)


def test_service_runs_as_the_packages_user(system):
    units = system.folder / "usr/lib/systemd/system"
    service = (units if units.exists() else system.folder / "lib/systemd/system") / "confab.service"
    text = service.read_text()
    assert "\nUser=confab\nGroup=confab\n" in text and "\nExecStart=/usr/bin/confab serve " in text
    assert "DynamicUser" not in text
    enabled = system.folder / "etc/systemd/system/multi-user.target.wants/confab.service"
    assert enabled.is_symlink()
    assert not (system.folder / "etc/systemd/system/sockets.target.wants/confab.socket").exists()
    user = next(line for line in system.run("getent", "passwd").splitlines() if line.startswith("confab:"))
    assert user.endswith(":/var/lib/confab:/usr/sbin/nologin")


def test_upgrade_keeps_settings_and_history(system, tmp_path):
    settings = system.folder / "etc/default/confab"
    settings.write_text('CONFAB_OPTIONS="--port 9000"\n')
    subprocess.run(["dpkg-deb", "-R", package("confab"), tmp_path / "newer"], check=True)
    control = tmp_path / "newer/DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1+1", control.read_text(), flags=re.M))
    newer = tmp_path / "confab_newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tmp_path / "newer", newer], check=True, capture_output=True)
    history = system.folder / "var/lib/confab/chat.db"
    size = history.stat().st_size
    system.install(newer)
    assert system.run("dpkg-query", "-W", "-f=${Version}", "confab").endswith("+1")
    assert settings.read_text() == 'CONFAB_OPTIONS="--port 9000"\n'
    assert history.stat().st_size == size > 0
    with serving(system, "/usr/bin/confab", "--history", "/var/lib/confab/chat.db") as port:
        chat(port, "hello")


@pytest.mark.parametrize("name", ["echo", "chat"])
def test_c_program_runs_with_the_library(system, name):
    system.install(package("libconfab0"), package("libconfab-dev"), "gcc", "libc6-dev", "pkg-config")
    folder = system.folder / "opt/embed"
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / f"Tests/C/Embed/{name}.c", folder)
    system.run("sh", "-c", f"cd /opt/embed && cc -Wall -Werror -o {name} {name}.c $(pkg-config --cflags --libs confab) -luv")
    with system.running(f"/opt/embed/{name}", "0", user="nobody:nogroup") as line:
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", line)[1])
        with connect(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            assert client.recv(10) == "hello"
        if name == "chat":
            assert b"<!DOCTYPE html>" in page(port)
    shutil.rmtree(folder)


def test_removal_keeps_settings_and_history(system):
    system.run("apt-get", "remove", "-y", *NAMES)
    left = {path for path in system.files() if "confab" in path}
    assert {"/etc/default/confab", "/var/lib/confab/chat.db"} < left
    assert not [path for path in left if path.startswith(("/usr", "/lib"))]


def test_purge_leaves_nothing(system):
    system.run("dpkg", "--purge", "confab")
    assert not [path for path in system.files() if "confab" in path]
    for file in ("passwd", "group", "shadow", "gshadow"):
        assert "confab" not in (system.folder / "etc" / file).read_text()


def test_tarball_runs_from_any_folder(system):
    (tarball,) = PACKAGES.glob("*.tar.gz")
    for folder in ("opt", "srv/a b"):
        place = system.folder / folder
        place.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xzf", tarball, "-C", place], check=True)
        name = tarball.name.removesuffix(".tar.gz")
        with serving(system, f"/{folder}/{name}/bin/confab", user="nobody:nogroup") as port:
            assert b"<!DOCTYPE html>" in page(port)
            chat(port, "hello")
        environment = {"PKG_CONFIG_PATH": f"{place}/{name}/lib/pkgconfig", "PATH": "/usr/bin"}
        flags = subprocess.run(["pkg-config", "--cflags", "confab"], capture_output=True, text=True, env=environment)
        assert name in flags.stdout


def test_checksums_and_bill_of_materials():
    listed = dict(reversed(line.split("  ")) for line in (PACKAGES / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in PACKAGES.iterdir() if path.is_file()} - {"SHA256SUMS"}
    assert set(listed) == files
    for name, digest in listed.items():
        assert hashlib.sha256((PACKAGES / name).read_bytes()).hexdigest() == digest
    (bill,) = PACKAGES.glob("*.spdx.json")
    names = {one["name"] for one in json.loads(bill.read_text())["packages"]}
    assert {"confab", "swift-log", "swift-argument-parser", "swift-runtime", "libssl3", "libc6"} < names
    assert "swift-metrics" not in names
    assert [name for name in names if name.startswith("libwebsockets")]
