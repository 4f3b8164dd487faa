"""Runs the Autobahn test suite against the plain protocol of the built program, and prints the verdicts.

    python -m conformance               all cases, the report in .build/conformance/index.html
    python -m conformance --short       a few of each group
    python -m conformance 2.10 9.1.6    only these cases

The chat sends a message back to its sender, so it is an echo server for a single client. Every case must be OK or
INFORMATIONAL, a verdict that is never a failure. known.toml lists exceptions.
"""

import argparse
import collections
import fnmatch
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

from support.confab_process import ROOT, confab

HERE = pathlib.Path(__file__).resolve().parent
WSTEST = ROOT / ".build" / "autobahn" / "bin" / "wstest"
CASES = 517
GROUPS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8",
    "7": "closing", "9": "large and many messages", "10": "automatic fragmentation", "12": "compression",
    "13": "compression, parameters",
}
SHORT = (
    "1.1.1 1.1.8 1.2.1 1.2.8 2.3 2.5 2.6 2.10 2.11 3.1 3.2 3.4 3.7 4.1.3 4.1.5 4.2.3 4.2.5 5.1 5.6 5.9 5.15 5.18 5.19 "
    "6.1.3 6.2.4 6.3.1 6.4.2 6.6.7 6.12.3 6.20.1 6.22.34 7.1.2 7.1.5 7.1.6 7.3.2 7.3.5 7.5.1 7.7.7 7.9.4 7.13.1 9.1.1 "
    "9.2.1 9.3.5 9.4.1 9.5.6 9.7.1 9.8.1 10.1.1 12.1.3 12.2.10 12.3.11 12.4.1 12.5.5 13.1.2 13.2.3 13.3.1 13.4.4 "
    "13.5.9 13.6.12 13.7.1 13.7.10").split()
# From best to worst.
VERDICTS = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED"]
# Messages of 16 MiB, and 4 MiB in fragments of 64 bytes. The cases expect only what they have caused, so the server
# must not send pings. The report contains what the server rejects.
OPTIONS = ["--max-message-size", "16MiB", "--max-backlog", "64MiB", "--max-fragments", 100_000, "--ping-interval", 0,
           "--idle-timeout", 0, "--log-level", "error"]


def run_cases(cases, report):
    """Runs the suite and returns its index of verdicts."""
    shutil.rmtree(report, ignore_errors=True)
    report.mkdir(parents=True)
    count = len(cases) if cases else CASES
    with confab(*OPTIONS) as server, open(report / "wstest.log", "w") as log:
        spec = {"outdir": str(report), "servers": [{"agent": "Confab", "url": server.ws}], "cases": cases or ["*"],
                "exclude-cases": [], "exclude-agent-cases": {}}
        (report / "spec.json").write_text(json.dumps(spec))
        environment = {"WSTEST_PMD_MESSAGES": "100"} | os.environ
        suite = subprocess.run([WSTEST, "-m", "fuzzingclient", "-s", report / "spec.json"], env=environment, stdout=log,
                               stderr=subprocess.STDOUT, timeout=60 + 5 * count)
    index = report / "index.json"
    if suite.returncode or not index.exists():
        sys.exit(f"the suite has failed, not the server: {report / 'wstest.log'} has the reason")
    results = json.loads(index.read_text()).get("Confab", {})
    if len(results) != count:
        sys.exit(f"{len(results)} cases have run instead of {count}")
    return dict(sorted(results.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def verdict(result):
    """Returns the worse of the verdicts for messages and close. Other verdicts for the close are failures."""
    both = [result["behavior"], result["behaviorClose"]]
    return max((one if one in VERDICTS else "FAILED" for one in both), key=VERDICTS.index)


def explain(result, report):
    """Describes the case in a few lines."""
    details = json.loads((report / result["reportfile"]).read_text())

    def plain(text):
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text or "")).split())[:200]
    return (f"    {plain(details['description'])}\n"
            f"    messages: {result['behavior']}. {plain(details['result'])}\n"
            f"    close: {result['behaviorClose']}. {plain(details['resultClose'])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="the suite's names")
    parser.add_argument("--short", action="store_true", help="a few of each group")
    arguments = parser.parse_args()
    cases = SHORT if arguments.short else arguments.cases

    report = ROOT / ".build" / "conformance"
    results = run_cases(cases, report)
    known = tomllib.loads((HERE / "known.toml").read_text())
    verdicts = {case: verdict(result) for case, result in results.items()}
    allowed = {case: known[pattern][0] for case in verdicts for pattern in known if fnmatch.fnmatch(case, pattern)}

    table = collections.Counter((case.split(".")[0], one) for case, one in verdicts.items())
    print(" " * 30 + "".join(f"{name:>15}" for name in VERDICTS))
    for group, title in GROUPS.items():
        print(f"{group:>3} {title:26}" + "".join(f"{table[group, name] or '':>15}" for name in VERDICTS))
    print(f"{'':4}{'all':26}" + "".join(f"{sum(one == name for one in verdicts.values()):>15}" for name in VERDICTS))

    wrong = [case for case, one in verdicts.items()
             if one != allowed.get(case, one if one == "INFORMATIONAL" else "OK")]
    for case in wrong:
        print(f"{case}: {verdicts[case]}, not {allowed.get(case, 'OK')}", explain(results[case], report), sep="\n")
    print(f"{report / 'index.html'} tells each case.")
    return 1 if wrong else 0


sys.exit(main())
