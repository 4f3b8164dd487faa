"""The files of `make install`, and the dependencies and symbols of the libraries."""

import re
import shutil
import urllib.request

import pytest

from embed_c.installed import ENVIRONMENT, Tree, run
from support.confab_process import ROOT, confab

HEADER = (ROOT / "include" / "confab.h").read_text()
FUNCTIONS = set(re.findall(r"^CONFAB_API [^(]*?(\w+)\(", HEADER, re.M))
VERSION = re.search(r'#define CONFAB_VERSION "(.*)"', HEADER)[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Installs with DESTDIR, like a packager."""
    return Tree("/opt/confab", destdir=tmp_path_factory.mktemp("root"))


def symbols(*options):
    return {line.split()[-1].split("@")[0] for line in run("nm", *options).splitlines() if line.split()[1:]}


def test_all_files_are_installed(tree):
    files = {str(path.relative_to(tree.files)) for path in tree.files.rglob("*") if path.is_file()}
    page = {f"share/confab/Page/{path.name}" for path in (ROOT / "Sources/ConfabPage/Page").iterdir()}
    assert files == page | {
        "bin/confab", "include/confab.h", "lib/libconfab.a", "lib/libconfab.so", "lib/libconfab.so.0",
        "lib/pkgconfig/confab.pc", "lib/systemd/system/confab.service", "lib/systemd/system/confab.socket",
        "share/man/man1/confab.1", "share/bash-completion/completions/confab",
        "share/fish/vendor_completions.d/confab.fish", "share/zsh/site-functions/_confab"}


def test_installed_files_do_not_contain_the_staging_folder(tree):
    destdir = str(tree.files)[:-len("/opt/confab")]
    for path in ("lib/pkgconfig/confab.pc", "lib/libconfab.so.0", "bin/confab"):
        assert destdir.encode() not in (tree.files / path).read_bytes()
    assert tree.pkg_config("--variable=prefix") == ["/opt/confab"]
    assert tree.pkg_config("--modversion") == [VERSION]
    assert tree.pkg_config("--libs") == ["-L/opt/confab/lib", "-lconfab"]


def test_libraries_export_only_the_headers_functions(tree):
    assert len(FUNCTIONS) > 30
    assert symbols("-D", "--defined-only", tree.files / "lib/libconfab.so.0") == FUNCTIONS
    assert symbols("-g", "--defined-only", tree.files / "lib/libconfab.a") == FUNCTIONS


def test_systemd_unit_runs_the_program(tree):
    unit = (tree.files / "lib/systemd/system/confab.service").read_text()
    assert "\nExecStart=/opt/confab/bin/confab serve " in unit and "/usr/local" not in unit


@pytest.mark.parametrize("file", ["lib/libconfab.so.0", "bin/confab"])
def test_program_runs_without_swift(tree, file):
    needed = run("ldd", tree.files / file)
    assert "swift" not in needed and "Foundation" not in needed and "not found" not in needed, needed
    assert (tree.files / file).stat().st_size < 20 << 20


def test_shared_library_has_its_soname(tree):
    assert "Library soname: [libconfab.so.0]" in run("readelf", "-d", tree.files / "lib/libconfab.so.0")


def test_program_finds_its_page(tree, monkeypatch):
    monkeypatch.setattr("support.confab_process.CONFAB", tree.files / "bin" / "confab")
    with confab(cwd="/") as server, urllib.request.urlopen(server.http) as response:
        assert b"<!DOCTYPE html>" in response.read()


def test_version_lists_the_linked_libraries(tree):
    lines = run(tree.files / "bin" / "confab", "--version", env=ENVIRONMENT).splitlines()
    assert lines[0] == f"confab {VERSION}"
    assert [line.split()[0] for line in lines[1:]] == ["libwebsockets", "OpenSSL", "libuv", "zlib", "SQLite", "libnats"]
    for line in lines[1:]:
        assert re.fullmatch(r"\w+ \d+\.\d+[\w.~-]*( \(--\w+\))?", line)


def test_completions_complete_options(tree):
    script = tree.files / "share/bash-completion/completions/confab"
    shown = run("bash", "-c", f'. {script}; COMP_WORDS=(confab serve --max-m); COMP_CWORD=2; COMP_LINE="confab serve --max-m"; '
                'COMP_POINT=${#COMP_LINE}; _confab confab --max-m serve; printf "%s\n" "${COMPREPLY[@]}"')
    assert "--max-message-size" in shown.split()
    for name in ("fish/vendor_completions.d/confab.fish", "zsh/site-functions/_confab"):
        assert "max-message-size" in (tree.files / "share" / name).read_text()


def test_manual_has_the_programs_version(tree):
    assert f'"confab {VERSION}"' in (tree.files / "share/man/man1/confab.1").read_text()


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man")
def test_manual_is_well_formed(tree):
    page = tree.files / "share/man/man1/confab.1"
    shown = run("man", "--warnings", "-l", page, env=ENVIRONMENT | {"LC_ALL": "C.UTF-8"}, stderr_too=True)
    assert "--max-message-size size" in shown and "warning: " not in shown


def test_uninstall_removes_all_files(tree):
    run("make", "-C", ROOT, "uninstall", f"PREFIX={tree.prefix}", f"DESTDIR={str(tree.files)[:-len('/opt/confab')]}")
    assert not [path for path in tree.files.rglob("*") if path.is_file()]
