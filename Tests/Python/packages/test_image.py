"""The image's last stage: its commands run in a new system, and its server starts with a read-only root. The build of the
image needs a container engine, and is not tested."""

import re
import shutil
import subprocess

import pytest
from websockets.sync.client import connect

from packages.new_system import System, package
from support.confab_process import ROOT, free_port

STAGE = (ROOT / ".packaging/Containerfile").read_text().split("\nFROM ")[-1].replace("\\\n", " ")


def instruction(name):
    (line,) = re.findall(rf"^{name} (.*)$", STAGE, re.M)
    return line


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    system = System(tmp_path_factory.mktemp("image"))
    try:
        (system.folder / "packages").mkdir()
        shutil.copy(package("confab"), system.folder / "packages")
        system.run("sh", "-c", instruction("RUN").removeprefix("--mount=from=build,source=/src/.build/packages,target=/packages"))
        shutil.rmtree(system.folder / "packages")
        subprocess.run(["mount", "--bind", system.folder, system.folder], check=True)
        subprocess.run(["mount", "--bind", "/proc", system.folder / "proc"], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", system.folder], check=True)
        try:
            yield system
        finally:
            subprocess.run(["umount", "--recursive", system.folder], check=True)
    finally:
        system.remove()


def test_server_runs_as_the_images_user_on_a_read_only_root(image):
    user = instruction("USER")
    assert image.run("id", "-u", "-n", user=user) == "confab\n"
    assert "Read-only" in image.run("touch", "/var/lib/confab/file", user=user, succeeds=False)
    port, admin = free_port(), f"127.0.0.1:{free_port()}"
    defaults = dict(one.split("=") for one in instruction("ENV").split())
    assert defaults["CONFAB_ADMIN"] == "127.0.0.1:9090"
    settings = [f"{name}={value}" for name, value in (defaults | {"CONFAB_PORT": port, "CONFAB_ADMIN": admin}).items()]
    with image.running("env", *settings, "confab", "serve", user=user) as line:
        assert line.startswith("Confab is listening on http://0.0.0.0:")
        with connect(f"ws://127.0.0.1:{port}/tea") as client:
            client.send("hello")
            assert client.recv(10) == "hello"
        assert image.run("env", *settings, "confab", "health", user=user) == "ready\n"
    assert "not ready" in image.run("env", *settings, "confab", "health", user=user, succeeds=False)
