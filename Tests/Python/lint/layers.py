"""Checks what each folder of Sources/Confab may touch.

    python3 Tests/Python/lint/layers.py
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3] / "Sources" / "Confab"

# Folders whose files may not name types that the other folders declare. "" is Sources/Confab itself.
SEES = {
    "Platform": {"", "Platform"},
    "Log": {"", "Platform", "Log"},
    "Limits": {"", "Platform", "Limits", "Loop"},
}
# Folders that may call C functions.
SYSTEM = ("Lws", "Platform")
# Names that exist on Linux only, or differ between C libraries: only CLibwebsockets/system.h may use them.
LINUX = re.compile(
    r"/proc/|\bimport (Glibc|Musl|Darwin)\b|\b(errno|fdatasync|st_[acm]tim|(MADV|MAP|MFD|RLIMIT|SOCK)_[A-Z_]+"
    r"|(accept4|epoll|eventfd|inotify|pipe2|prctl)\w*(?=\()|CLOCK_\w*COARSE|MSG_(NOSIGNAL|MORE|ZEROCOPY)"
    r"|SO_(BUSY_POLL|INCOMING_CPU|PEERCRED|ZEROCOPY)|TCP_(CORK|DEFER_ACCEPT|INFO|KEEP\w+|QUICKACK|USER_TIMEOUT))\b")
FOUNDATION = "ConfabChat/Foundation.swift"
UNSAFE = {"Loop/EventLoop.swift", "Loop/EventLoop+Executor.swift", "Server+HostLoop.swift"}

DECLARATION = re.compile(r"^(?:(?:public|package|final|@safe|indirect) )*(?:struct|class|enum|protocol|actor) (\w+)", re.M)
COMMENT = re.compile(r"//.*")


def main():
    faults = []
    folders, code = {}, {}
    for file in ROOT.rglob("*.swift"):
        name = file.relative_to(ROOT)
        folders[name] = name.parts[0] if len(name.parts) > 1 else ""
        code[name] = COMMENT.sub("", file.read_text())
    declared = {}
    for name, text in code.items():
        for type in DECLARATION.findall(text):
            declared[type] = folders[name]
    for file in sorted(ROOT.parent.glob("*/**/*.swift")):
        name = file.relative_to(ROOT.parent)
        if name.parts[0] == "ConfabCompare":
            continue
        text = COMMENT.sub("", file.read_text())
        for found in LINUX.finditer(text):
            faults.append(f"{name}: '{found[0]}' differs between systems: use CLibwebsockets/system.h")
        if str(name) != FOUNDATION and re.search(r"\bimport Foundation", text):
            faults.append(f"{name}: only {FOUNDATION} may import Foundation")
    for name, text in sorted(code.items()):
        folder = folders[name]
        if folder not in SYSTEM:
            if re.search(r"import CLibwebsockets", text):
                faults.append(f"{name}: only {' and '.join(SYSTEM)} may import the system's libraries")
            if re.search(r"\bunsafe\b", text) and str(name) not in UNSAFE:
                faults.append(f"{name}: only {' and '.join(SYSTEM)} may use unsafe code")
        if folder != "Lws" and re.search(r"\blws_\w+\(|\bLWS_\w+", text):
            faults.append(f"{name}: only Lws may call libwebsockets")
        for type in sorted(set(re.findall(r"\b[A-Z]\w+", text))):
            if folder in SEES and type in declared and declared[type] not in SEES[folder]:
                faults.append(f"{name}: {folder}/ may not know {type} of {declared[type]}/")
    print("\n".join(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
