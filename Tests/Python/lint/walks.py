"""Checks the tables of Architecture.md and Workarounds.md: each file declares what its row names, and each test exists.

    python3 Tests/Python/lint/walks.py
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ARTICLES = ROOT / "Sources/Confab/Confab.docc"


def rows(article):
    """Returns the cells of the rows whose first cell is a file."""
    for line in (ARTICLES / article).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`[\w/+]+\.\w+`", cells[0]):
            yield cells[0].strip("`"), cells[1:]


def declares(file, name):
    return re.search(rf"\b(func|struct|class|enum|protocol|init) {name}\b", file.read_text())


def main():
    faults = []
    for name, cells in rows("Architecture.md"):
        file = ROOT / "Sources" / name
        declaration = cells[0].strip("`")
        if not file.exists() or not declares(file, declaration):
            faults.append(f"Architecture.md: {name} does not declare {declaration}")
    tests = "\n".join(
        file.read_text() for kind in ("*.py", "*.swift") for file in (ROOT / "Tests").rglob(kind))
    documented = set()
    for name, cells in rows("Workarounds.md"):
        documented.add(name)
        if not (ROOT / "Sources/Confab" / name).exists():
            faults.append(f"Workarounds.md: there is no {name}")
        for test in re.findall(r"`(\w+)`", cells[-1]):
            if not re.search(rf"(def|func) {test}\b", tests):
                faults.append(f"Workarounds.md: there is no test {test}")
    for file in (ROOT / "Sources/Confab/Lws/Workarounds").glob("*.swift"):
        if f"Lws/Workarounds/{file.name}" not in documented:
            faults.append(f"Workarounds.md: {file.name} is missing")
    print("\n".join(faults), end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
