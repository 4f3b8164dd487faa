"""A new Debian system in a folder, without Swift, in which programs run by chroot."""

import contextlib
import os
import platform
import shutil
import subprocess

from support.confab_process import ROOT

PACKAGES = ROOT / ".build" / "packages"
SUITE = platform.freedesktop_os_release()["VERSION_CODENAME"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def package(name):
    """Returns the file of a built Debian package."""
    (file,) = PACKAGES.glob(f"{name}_*.deb")
    return file


def mirror():
    """Returns the address of the mirror from which this system gets its packages."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"],
        capture_output=True, text=True, check=True).stdout
    return targets.splitlines()[0]


class System:
    def __init__(self, folder):
        base = ROOT / ".build" / f"new-system-{SUITE}"
        if not base.exists():
            unfinished = base.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(["debootstrap", "--variant=minbase", SUITE, unfinished, mirror()], check=True)
            unfinished.rename(base)
        self.folder = folder / "system"
        subprocess.run(["cp", "-a", base, self.folder], check=True)
        subprocess.run(["mount", "--bind", "/proc", self.folder / "proc"], check=True)

    def remove(self):
        subprocess.run(["umount", self.folder / "proc"], check=True)
        shutil.rmtree(self.folder)

    def command(self, *command, user=None):
        return ["chroot", *([f"--userspec={user}"] if user else []), str(self.folder), *map(str, command)]

    def run(self, *command, user=None, succeeds=True):
        """Runs a command in the system, and returns its output."""
        result = subprocess.run(
            self.command(*command, user=user), capture_output=True, text=True, timeout=600, env=ENVIRONMENT, cwd="/")
        assert (result.returncode == 0) == succeeds, f"{command}: {result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def install(self, *packages):
        """Installs packages, by name or file, with their dependencies."""
        names = []
        for one in packages:
            if isinstance(one, os.PathLike):
                shutil.copy(one, self.folder / "tmp")
                one = f"/tmp/{one.name}"
            names.append(one)
        self.run("apt-get", "install", "-y", "--no-install-recommends", *names)
        for one in names:
            if one.startswith("/"):
                (self.folder / one[1:]).unlink()

    def files(self):
        """Returns the paths of all files and folders."""
        return set(self.run("find", "/", "-xdev").splitlines())

    @contextlib.contextmanager
    def running(self, *command, user):
        """Runs a server, and yields the first line of its output."""
        process = subprocess.Popen(
            self.command(*command, user=user), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.communicate(timeout=20)
        assert process.returncode in (0, -15), process.returncode
