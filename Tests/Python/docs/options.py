#!/usr/bin/env python3
"""The options of `confab serve`, as its help has them: `options.py [PROGRAM]` writes them into the Options article and the
manual page, between their headings. `make options` runs it. ArgumentParser's plugin generate-manual writes no defaults,
no sections of options, and only sections of its own."""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ARTICLE = ROOT / "Sources/Confab/Confab.docc/Options.md"
MANUAL = ROOT / "Sources/ConfabCLI/confab.1"

# Defaults that depend on the machine.
DEFAULTS = {"loops": "the available cores, at most 4"}
FIRST = "General"


def options(program):
    """Each option as (section, names, value, text, default)."""
    dump = subprocess.run([program, "serve", "--experimental-dump-help"], capture_output=True, check=True).stdout
    arguments = {one["preferredName"]["name"]: one for one in json.loads(dump)["command"]["arguments"]}
    for name, one in arguments.items():
        if name.startswith("no-"):
            continue
        names = [f"--{name}"] + [f"--no-{name}"] * (f"no-{name}" in arguments)
        value = one["valueName"] if one["kind"] == "option" else None
        default = DEFAULTS.get(name, one.get("defaultValue"))
        yield one.get("sectionTitle") or FIRST, names, value, one["abstract"], default


def sections(program):
    """The options of each section, in the order of the help."""
    found = {}
    for section, *option in options(program):
        found.setdefault(section, []).append(option)
    return found


def escaped(text):
    """The text as the man macros of groff want it."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def manual_entry(names, value, text, default):
    first, *others = map(escaped, names)
    head = f'.BR {first} ", " {others[0]}' if others else f".B {first}"
    if value:
        head += rf" \fI{escaped(value)}\fR"
    return f".TP\n{head}\n{escaped(text + (f' (default: {default})' if default else ''))}\n"


def article_row(names, value, text, default):
    match = re.search(r" \(default: (.*)\)$", text)
    if match:
        text, default = text[:match.start()], match[1]
    name = ", ".join(f"`{name}{f' {value}' if value else ''}`" for name in names)
    return f"| {name} | {default or ''} | {text} |\n".replace("'*'", "`*`")


def manual(text, found):
    """The manual page with these options."""
    start, end = text.index(".SH OPTIONS\n"), text.index(".SH SIGNALS\n")
    body = ".SH OPTIONS\n"
    for section, entries in found.items():
        body += "" if section == FIRST else f".SS {section}\n"
        body += "".join(manual_entry(*entry) for entry in entries)
    return text[:start] + body + text[end:]


def article(text, found):
    """The article with these options."""
    start, end = text.index(f"## {FIRST}\n"), text.index("## Environment and file\n")
    body = ""
    for section, entries in found.items():
        body += f"## {section}\n\n| option | default | meaning |\n| --- | --- | --- |\n"
        body += "".join(article_row(*entry) for entry in entries) + "\n"
    return text[:start] + body + text[end:]


def main(program=ROOT / ".build/release/confab"):
    found = sections(program)
    for file, form in (ARTICLE, article), (MANUAL, manual):
        file.write_text(form(file.read_text(), found))


if __name__ == "__main__":
    main(*sys.argv[1:])
