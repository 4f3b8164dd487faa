"""Converts the Autobahn test suite from Python 2 to Python 3, in the environment that runs this script.

1. A latin-1 cookie for the sources: each character is an octet, as in Python 2's strings.
2. fissix (the successor of lib2to3) for print, except, xrange and so on.
3. EDITS, for the rest. Each must match exactly as often as stated.

Only fuzzingclient, the mode that tests a server, still works. The environment is recreated for each conversion.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

VERSION = "25.10.1"
SUITE = pathlib.Path(sysconfig.get_path("purelib")) / "autobahntestsuite"

# Path in the package, pattern, replacement, number of matches (None: any number), and reason. Paths and patterns are
# regular expressions. They are applied to fissix's output.
EDITS = [
    ("__init__.py", r"(?m)^from \. import (echo|broadcast|testee|massconnect)$", "", 4, "other modes"),
    ("__init__.py", r"(?m)^warnings\.filterwarnings\(\"ignore\", category=DeprecationWarning\)$", "", 1,
     "hides what others use too"),

    ("wstest.py", r"(?m)^from \. import (testee|echo|broadcast|massconnect|serializer)$", "", 5, "other modes"),
    ("wstest.py", r"import os, json, sys, pkg_resources", "import os, json, sys\nfrom ._compat import watch_errors", 1,
     "pkg_resources is no more, nor used"),
    ("wstest.py", r"(?s)   MODES = \[.*?\]\n", "   MODES = ['fuzzingclient']\n", 1, "other modes"),
    ("wstest.py", r"(?m)^   start\(options, spec\)$",
     "   errors = watch_errors()\n   start(options, spec)\n   if errors:\n      sys.exit(1)", 1, "see compat.py"),

    ("report.py", r"(?m)^import jinja2$", "", 1, "other modes"),
    ("report.py", r"(?s)\nREPORT_DIR_PERMISSIONS = .*", "\n", 1, "other modes"),

    ("case/__init__.py", r"(?m)^from \.case9_9_1 import \*$", "", 1, "no case of the suite; needs an old Zope"),
    (r"case/case[0-9_xX]+\.py", r"\(object, Case, ?\)", "(Case,)", None, "Python 3 finds no order of these bases"),
    (r"case/case(6|7).*\.py", r"binascii\.b2a_hex\(", "hexadecimal(", None, "octets"),
    (r"case/case(6|7).*\.py", r"(?m)^import binascii$", "from .._compat import to_bytes, hexadecimal", None, "octets"),
    ("case/case6_x_x.py", r"v\.validate\(vss\[:i\]\)", "v.validate(to_bytes(vss[:i]))", 1, "octets"),
    ("case/case10_1_1.py", r"len\(self\.payload\) / self\.p\.autoFragmentSize",
     "len(self.payload) // self.p.autoFragmentSize", 1, "an integer in Python 2"),
    ("case/case.py", r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "same(obj1, obj2)", 1, "see compat.py"),
    ("case/case.py", r"(?m)^import pickle$", "from .._compat import same", 1, "see compat.py"),

    # The data of 12.* and 13.* are read from files as bytes.
    ("case/case12_x_x.py", r"import copy, os, pkg_resources, hashlib, binascii",
     "import copy, os, hashlib\nfrom .._compat import to_bytes, hexadecimal, message_sizes, resource_filename", 1,
     "names"),
    ("case/case12_x_x.py", r"pkg_resources\.resource_filename", "resource_filename", 3, "see compat.py"),
    ("case/case12_x_x.py", r"(?s)(\nMSG_SIZES = )(\[.*?\n\])\n", r"\1message_sizes(\2)\n", 1, "fewer when asked"),
    ("case/case12_x_x.py", r"(?m)^def onMessage\(self, msg, binary\):$",
     "def onMessage(self, msg, binary):\n   msg = to_bytes(msg)", 1, "octets"),
    ("case/case12_x_x.py", r"binascii\.hexlify\(", "hexadecimal(", 2, "octets"),
    ("case/case12_x_x.py", r"(?m)^      msg = ''$", "      msg = b''", 1, "octets"),
    # Renamed as arguments and attributes only. The words in the descriptions stay.
    ("case/case12_x_x.py", r"\brequestNoContextTakeover(?= = )|(?<=\.)requestNoContextTakeover\b",
     "request_no_context_takeover", 11, "renamed"),
    ("case/case12_x_x.py", r"\brequestMaxWindowBits(?= = )|(?<=\.)requestMaxWindowBits\b",
     "request_max_window_bits", 11, "renamed"),
    ("case/case12_x_x.py", r"(?<=\.)acceptNoContextTakeover\b", "accept_no_context_takeover", 3, "renamed"),
    ("case/case12_x_x.py", r"(?<=\.)acceptMaxWindowBits\b", "accept_max_window_bits", 4, "renamed"),

    ("fuzzing.py", r"import os, json, binascii, time, textwrap, pkg_resources",
     "import os, json, time, textwrap\n"
     "from ._compat import (Boundary, ExactTimer, hexadecimal, to_octets, text, resource_filename,\n"
     "                      log_binary as binLogData, log_text as asciiLogData)", 1, "names"),
    ("fuzzing.py", r"(?s)def binLogData\(.*?\n\n\n\nclass FuzzingProtocol:", "class FuzzingProtocol(Boundary):", 1,
     "see compat.py, where the two functions are too"),
    ("fuzzing.py", r"pkg_resources\.resource_filename", "resource_filename", 1, "see compat.py"),
    ("fuzzing.py", r"self\.wirelog = \[\]\n", "self.wirelog = []\n      self.drop_nagle()\n", 1, "see compat.py"),
    ("fuzzing.py", r"self\.repeatAgentRowPerSubcategory = True\n",
     "self.repeatAgentRowPerSubcategory = True\n      self._batched_timer = ExactTimer()\n", 1, "see compat.py"),
    ("fuzzing.py", r"p = ''\.join\(payload\)", "p = b''.join(payload)", 1, "octets"),
    ("fuzzing.py", r"binascii\.b2a_hex\(", "hexadecimal(", 3, "octets"),
    ("fuzzing.py", r"self\.runCase\.onPong\(payload\)", "self.runCase.onPong(to_octets(payload))", 1, "octets"),
    ("fuzzing.py", r"self\.runCase\.onMessage\(msg, binary\)", "self.runCase.onMessage(to_octets(msg), binary)", 1,
     "octets"),
    ("fuzzing.py", r"\"Pong received: \" \+ payload", "\"Pong received: \" + to_octets(payload)", 1, "octets"),
    ("fuzzing.py", r"\"localCloseReason\": self\.(\w+),", r'"localCloseReason": text(self.\1),', 1, "text in reports"),
    ("fuzzing.py", r"\"(description|expectation)\": self\.Case\.(\w+),", r'"\1": text(self.Case.\2),', 2,
     "text in reports"),
    ("fuzzing.py", r"self\.http_(request|response)_data if", r"text(self.http_\1_data) if", 2, "text in reports"),
    ("fuzzing.py", r"CCase\.(DESCRIPTION|EXPECTATION)", r"text(CCase.\1)", 2, "text in reports"),
    ("fuzzing.py", r"open\(os\.path\.join\(outdir, report_filename\), 'w'\)",
     "open(os.path.join(outdir, report_filename), 'w', encoding='utf-8', errors='surrogatepass')", 4,
     "text in reports"),
    ("fuzzing.py", r"\)\)\.encode\(\"utf-8\"\)\)", ")))", 1, "text in reports"),
    ("fuzzing.py", r"ll\.encode\('utf8'\)", "ll", 1, "text in reports"),
    ("fuzzing.py", r"__init__\(self, debug = debug, debugCodePaths = debug\)", "__init__(self)", 2, "other arguments"),
    ("fuzzing.py", r"autobahn\.version", "autobahn.__version__", None, "renamed"),
]


def main():
    # Reading and writing as latin-1 keeps the octets unchanged.
    texts = {str(path.relative_to(SUITE)): path.read_text("latin-1") for path in SUITE.rglob("*.py")}
    if f'"{VERSION}"' not in texts["_version.py"]:
        sys.exit(f"the suite is not {VERSION}")
    for name, text in texts.items():
        text, count = re.subn(r"\A#.*coding[:=]\s*utf-?8.*\n", "# coding=latin-1\n", text)
        if not count and not text.isascii():
            sys.exit(f"{name} is not ASCII and has no coding cookie")
        (SUITE / name).write_text(text, "latin-1")

    subprocess.run([sys.executable, "-m", "fissix", "-w", "-n", "--no-diffs", SUITE],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    texts = {name: (SUITE / name).read_text("latin-1") for name in texts}
    for where, pattern, replacement, expected, _ in EDITS:
        count = 0
        for name in texts:
            if re.fullmatch(where, name):
                texts[name], applied = re.subn(pattern, replacement, texts[name])
                count += applied
        if not count or expected not in (None, count):
            sys.exit(f"{pattern!r} applies {count} times in {where}, not {expected}")
    for name, text in texts.items():
        (SUITE / name).write_text(text, "latin-1")
    shutil.copy(pathlib.Path(__file__).with_name("compat.py"), SUITE / "_compat.py")


main()
