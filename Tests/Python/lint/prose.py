#!/usr/bin/env python3
"""Checks the project's prose against its style: `prose.py [FILE...]`, all tracked text files by default.

Prose is what people read: comments, doc comments, docstrings, articles, texts of options and of log lines. Each finding is
printed with its file, line and rule; `--count` prints the number of findings of each file instead."""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]

RULES = [
    ("a sentence begins with a subject clause (who, what, whoever)",
     re.compile(r"(?:^|[.:;!?]\s+)(?:Who|What|Whoever|Whom|Whose|That which)\b(?![^.?!]*\?)")),
    ("'is no', 'are no': say what it is", re.compile(r"\b(?:is|are|was|were|be) no\b(?! (?:longer|more|less))")),
    ("'nobody', 'somebody', 'someone': name the subject", re.compile(r"\b(?:[Nn]obody|[Ss]omebody|[Ss]omeone|[Aa]nybody)\b")),
    ("'The same': name the thing again", re.compile(r"(?:^|[.:;]\s+)The same(?:,|\.|\s+(?:for|but|as|with|without|until|by|to|is|in|from|holds)\b)")),
    ("one sentence over two comments", re.compile(r"…$|^…")),
    ("a word with a standard term", re.compile(
        r"\b(?:newcomers?|neighbours?|neighbourhood|attendance|turned away|turns? away|cut off|cuts off|let in|lets in|"
        r"shakes? hands|shaken hands|says? goodbye|backlog mark|hears?|heard|(?:is|are) told|tells?)\b", re.I)),
]

SWIFT_TEXT = re.compile(r'^\s*(?:///?|\*)\s?(.*)$')


def swift_prose(lines):
    for number, line in enumerate(lines, 1):
        match = re.match(r"^\s*//[/!]?\s?(.*)$", line)
        yield number, (match.group(1) if match else None)


def c_prose(lines):
    inside = False
    for number, line in enumerate(lines, 1):
        text = None
        if inside or "/*" in line:
            text = re.sub(r"^.*/\*", "", line) if "/*" in line else re.sub(r"^\s*\*?", "", line)
            inside = "*/" not in line
            text = re.sub(r"\*/.*$", "", text)
        elif "//" in line and "://" not in line:
            text = line.split("//", 1)[1]
        yield number, text


def hash_prose(lines):
    quoted = False
    for number, line in enumerate(lines, 1):
        text = None
        if quoted:
            text = line.replace('"""', "")
            quoted = '"""' not in line
        elif (match := re.match(r'^\s*"""(?![,)])(.*)$', line)):
            text = match.group(1).replace('"""', "")
            quoted = '"""' not in match.group(1)
        elif (match := re.match(r"^\s*#\s?(.*)$", line)):
            text = match.group(1)
        yield number, text


def markdown_prose(lines):
    code = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            code = not code
        yield number, None if code or line.startswith("```") else re.sub(r"``[^`]*``|`[^`]*`", "`x`", line)


def script_prose(lines):
    for (number, text), (_, other) in zip(swift_prose(lines), c_prose(lines)):
        yield number, text if text is not None else other


KINDS = {".swift": swift_prose, ".h": c_prose, ".c": c_prose, ".py": hash_prose, ".md": markdown_prose, ".js": script_prose,
         ".css": c_prose, ".sh": hash_prose, "Makefile": hash_prose}


def findings(path):
    kind = KINDS.get(path.suffix) or KINDS.get(path.name)
    if not kind:
        return
    for number, text in kind(path.read_text().splitlines()):
        if text is None:
            continue
        for rule, pattern in RULES:
            if match := pattern.search(text.strip()):
                yield number, rule, match.group(0).strip()


def main(arguments):
    counted = "--count" in arguments
    names = [name for name in arguments if name != "--count"]
    if not names:
        names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    counts = collections.Counter()
    for name in filter(None, names):
        for number, rule, what in findings(ROOT / name):
            counts[name] += 1
            if not counted:
                print(f"{name}:{number}: '{what}': {rule}")
    if counted:
        for name, count in counts.most_common():
            print(f"{count:5} {name}")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
