"""Builds and tests Confab against other versions of libwebsockets, beside the system's.

    python -m matrix /opt/lws-4.5.8 /opt/lws-5.0.0     the prefixes that they are installed in
    python -m matrix --fast /opt/lws-5.0.0             without the slow client tests

Prints a line for each suite. The builds are in .build/matrix/build, which each version reuses, so that packages without
libwebsockets are compiled once; logs are in a folder for each version. Nothing is fetched: the sources of packages are
copied from .build, and what the tests need must be there (`make tools`).
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
MATRIX = ROOT / ".build" / "matrix"
BUILD = MATRIX / "build"
CONFAB = BUILD / "release" / "confab"
WSTEST = ROOT / ".build" / "autobahn" / "bin" / "wstest"


class Library:
    """A libwebsockets in a folder of its own."""

    def __init__(self, prefix):
        found = sorted(pathlib.Path(prefix).resolve().glob("lib*/**/libwebsockets.pc"))
        if not found:
            sys.exit(f"{prefix} has no libwebsockets.pc: name the prefix that libwebsockets is installed in")
        self.pkgconfig = found[0].parent
        self.folder = self.pkgconfig.parent
        self.version = re.search(r"(?m)^Version: *([\d.]+)", found[0].read_text())[1]
        self.logs = MATRIX / self.version

    def environment(self):
        return os.environ | {
            "PKG_CONFIG_PATH": str(self.pkgconfig), "LD_LIBRARY_PATH": str(self.folder), "CONFAB": str(CONFAB),
            "CONFAB_TESTS": "1"}

    def run(self, suite, command, folder=ROOT):
        """Runs a suite, and prints whether it has passed. Its output is in a file."""
        log = self.logs / f"{suite.replace(' ', '-')}.log"
        start = time.monotonic()
        with open(log, "w") as output:
            code = subprocess.run(
                [str(part) for part in command], cwd=folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT).returncode
        lines = log.read_text(errors="replace").strip().splitlines() or [""]
        result = "passed" if code == 0 else f"failed, see {log.relative_to(ROOT)}"
        print(f"{self.version:8} {suite:14} {result} ({time.monotonic() - start:.0f} s): {lines[-1][:100]}", flush=True)
        return code == 0

    def is_loaded(self):
        loaded = subprocess.run(["ldd", CONFAB], env=self.environment(), capture_output=True, text=True).stdout
        line = next((line.strip() for line in loaded.splitlines() if "libwebsockets" in line), "no libwebsockets")
        if str(self.folder) in line:
            return True
        print(f"{self.version:8} the program loads another library: {line}")
        return False

    def test(self, options):
        self.logs.mkdir(exist_ok=True)
        # The compiler takes the module of the previous version's headers from its cache, whatever the path of the headers.
        for module in BUILD.glob("*/*/ModuleCache/*/CLibwebsockets-*"):
            module.unlink()
        swift = ["--scratch-path", BUILD]
        if not self.run("build", ["swift", "build", "-c", "release", "--product", "confab", *swift]) or not self.is_loaded():
            return False
        slow = ["-m", "not slow"] if options.fast else []
        tests = ["swift", "test", "--skip-build", "--no-parallel", "--disable-xctest", *swift]
        results = [
            self.run("client tests", [sys.executable, "-m", "pytest", "-n", "4", *slow, "Tests/Python/clients"]),
            self.run("conformance", [sys.executable, "-m", "conformance", "--short"], ROOT / "Tests/Python"),
            self.run("unit test build", ["swift", "build", "--product", "confabPackageTests", *swift])
            and self.run("unit tests", tests),
        ]
        return all(results)


def copy_packages():
    """Copies the sources of packages from the usual build folder."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for name in ("repositories", "checkouts", "workspace-state.json"):
        source, copy = ROOT / ".build" / name, BUILD / name
        if source.is_dir() and not copy.exists():
            shutil.copytree(source, copy, symlinks=True)
        elif source.exists() and not copy.exists():
            shutil.copy(source, copy)


def main():
    parser = argparse.ArgumentParser(prog="matrix")
    parser.add_argument("prefixes", nargs="+", metavar="PREFIX", help="where a libwebsockets is installed")
    parser.add_argument("--fast", action="store_true", help="leave out the slow client tests")
    options = parser.parse_args()
    if not WSTEST.exists():
        sys.exit(f"{WSTEST.relative_to(ROOT)} is missing: run `make tools` first")
    libraries = [Library(prefix) for prefix in options.prefixes]
    copy_packages()
    return 0 if all([library.test(options) for library in libraries]) else 1


if __name__ == "__main__":
    sys.exit(main())
