"""The program in Tests/C/Joins: its clients check that they receive all messages of a room."""

import subprocess

from support.confab_process import ROOT

SOURCES = ROOT / "Tests" / "C" / "Joins"
PROGRAM = ROOT / ".build" / "joins"


def build():
    """Compiles the program when a source is newer."""
    sources = sorted(SOURCES.glob("*.[ch]"))
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        PROGRAM.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", PROGRAM,
                        *SOURCES.glob("*.c"), "-lz", "-lm"], check=True)


def start(port, **options):
    """Starts the program with options like `rich=0`, and its output in a pipe."""
    build()
    return subprocess.Popen(
        [PROGRAM, str(port), *(part for name, value in options.items() for part in (f"--{name}", str(value)))],
        stdout=subprocess.PIPE, text=True)


def check(port, **options):
    """Runs the program to its end. Returns its output: faults, and a summary as the last line. Fails when there are
    faults."""
    process = start(port, **options)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output
