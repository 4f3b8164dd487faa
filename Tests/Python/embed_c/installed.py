"""An installed tree, and C programs built with it."""

import os
import pathlib
import re
import signal
import subprocess

import websockets

from support.confab_process import ROOT
from support.coroutines import go

SOURCES = ROOT / "Tests" / "C" / "Embed"
NAMES = sorted(path.stem for path in SOURCES.glob("*.c"))
COMPILERS = [["gcc", "-std=c99"], ["clang", "-std=c99"], ["g++", "-x", "c++"]]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
# The environment of a machine without Swift.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
VALGRIND = [
    "valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
    "--error-exitcode=9"]


def run(*command, stderr_too=False, **keywords):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **keywords)
    assert result.returncode == 0, f"{command}: {result.stdout}\n{result.stderr}"
    return result.stdout + (result.stderr if stderr_too else "")


class Tree:
    """The result of `make install` with a PREFIX. The files are under `files`."""

    def __init__(self, prefix, destdir=""):
        run("make", "-C", ROOT, "-o", "libraries", "install", f"PREFIX={prefix}", f"DESTDIR={destdir}")
        self.prefix = pathlib.Path(prefix)
        self.files = pathlib.Path(f"{destdir}{prefix}")

    def pkg_config(self, *options):
        environment = os.environ | {"PKG_CONFIG_PATH": str(self.files / "lib" / "pkgconfig")}
        return run("pkg-config", *options, "confab", env=environment).split()

    def build(self, folder, name, compiler, *options, static=False):
        """Builds a program from a source in this folder, with only the options that pkg-config prints."""
        program = folder / f"{name}-{'-'.join([*compiler, 'static' if static else 'dynamic'])}".replace("/", "_")
        libraries = [
            "-l:libconfab.a" if static and one == "-lconfab" else one
            for one in self.pkg_config("--libs", *(["--static"] if static else []))]
        run(*compiler, *WARNINGS, *options, *self.pkg_config("--cflags"), SOURCES / f"{name}.c", "-o", program,
            *(["-x", "none"] if "-x" in compiler else []), *libraries, "-lpthread", "-luv")
        return program


class Program:
    """A running program that has printed its address. `said` is its output after that."""

    def __init__(self, tree, program, *arguments, under=(), **keywords):
        environment = ENVIRONMENT | {"LD_LIBRARY_PATH": str(tree.files / "lib")}
        self.process = subprocess.Popen(
            [*under, program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment, cwd="/", **keywords)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"https?://127\.0\.0\.1:(\d+)/\n", line)
        if not match:
            self.process.kill()
            raise AssertionError(f"{line!r} {self.process.communicate()}")
        self.http = match[0].strip()
        self.ws = "ws" + self.http[4:]
        self.port = int(match[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def close_input(self):
        self.process.stdin.close()
        self.process.stdin = None

    def end(self, signal=None, patience=60):
        """Ends the program with `signal` or by closing its input. Returns its output. The exit code must be 0."""
        if signal:
            self.process.send_signal(signal)
        self.said, self.errors = self.process.communicate(timeout=patience)
        assert self.process.returncode == 0, f"{self.process.returncode}: {self.said}\n{self.errors}"
        return self.said


def talk(program, *speeches, path="", **keywords):
    """Sends each message and returns the replies."""
    async def main():
        async with websockets.connect(program.ws + path, **keywords) as client:
            answers = []
            for speech in speeches:
                await client.send(speech)
                answers.append(await client.recv())
            return answers
    return go(main())
