"""Fails when something public has no documentation: the symbol graphs that `make docs` leaves behind tell."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

undocumented = set()
graphs = [graph for module in ["Confab", "ConfabChat", "ConfabSQLite", "ConfabNats", "ConfabMetrics"]
          for graph in (ROOT / ".build").glob(f"*/extracted-symbols/*/{module}/{module}.symbols.json")]
for graph in graphs:
    for symbol in json.loads(graph.read_text())["symbols"]:
        # What is inherited from the standard library has its documentation there.
        if "docComment" not in symbol and "::SYNTHESIZED::" not in symbol["identifier"]["precise"]:
            undocumented.add(".".join(symbol["pathComponents"]))
if not graphs:
    sys.exit("no symbol graphs: run make docs")
if undocumented:
    sys.exit("without documentation: " + ", ".join(sorted(undocumented)))
