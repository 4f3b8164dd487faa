"""The options of the program as its manual page has them."""

import json
import re
import subprocess

# What the machine has a say in.
DEFAULTS = {"loops": "the cores, at most 4"}


def escaped(text):
    """As groff's man macros want it."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def options(program):
    """Each option's section and entry, as `confab serve --help` tells them."""
    help = json.loads(subprocess.run([program, "serve", "--experimental-dump-help"], capture_output=True).stdout)
    arguments = {one["preferredName"]["name"]: one for one in help["command"]["arguments"]}
    for name, one in arguments.items():
        if name.startswith("no-"):
            continue
        head = f".B {escaped('--' + name)}"
        if f"no-{name}" in arguments:
            head = f".BR {escaped('--' + name)} \", \" {escaped('--no-' + name)}"
        if one["kind"] == "option":
            head += rf" \fI{escaped(one['valueName'])}\fR"
        body = one["abstract"]
        if one.get("defaultValue"):
            body += f" (default: {DEFAULTS.get(name, one['defaultValue'])})"
        yield one.get("sectionTitle") or "Options", f".TP\n{head}\n{escaped(body)}\n"


def entries(manual):
    """Those of a manual page."""
    return re.findall(r"^\.TP\n\.BR? \\-\\-.*\n.*\n", manual, re.M)
