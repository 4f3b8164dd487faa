"""Fails when a public symbol has no documentation, according to the symbol graphs that `make docs` leaves behind."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]

undocumented = set()
graphs = [graph for module in ["Confab", "ConfabChat", "ConfabSQLite", "ConfabNats", "ConfabMetrics"]
          for graph in (ROOT / ".build").glob(f"*/extracted-symbols/*/{module}/{module}.symbols.json")]
for graph in graphs:
    for symbol in json.loads(graph.read_text())["symbols"]:
        # Symbols inherited from the standard library are documented there.
        if "docComment" not in symbol and "::SYNTHESIZED::" not in symbol["identifier"]["precise"]:
            undocumented.add(".".join(symbol["pathComponents"]))
if not graphs:
    sys.exit("no symbol graphs: run make docs")
if undocumented:
    sys.exit("without documentation: " + ", ".join(sorted(undocumented)))
