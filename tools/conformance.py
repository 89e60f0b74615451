"""Writes the table of docs/conformance.md: the files of cases, and their verdicts.

    guestdbg lab -- check --provider host --json > nvhe.json
    guestdbg lab --cpu vhe -- check --provider host --json > vhe.json
    python tools/conformance.py nvhe.json vhe.json

The cases are run here on the software KVM. The two documents give the columns of the real KVM;
without them these columns stay as they are.
"""

import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from guestdbg.check import CASES, run_cases, select
from guestdbg.check import cases as topics
from guestdbg.kvm import open_kvm

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->"
HEAD = "| file | promises | cases | software | 6.1 nVHE | 6.1 VHE |\n" + "| --- " * 6 + "|\n"
#: There are no verdicts for this column.
UNKNOWN = "?"


def files() -> list[str]:
    """The files of cases, in the order of the table."""
    return list(topics.__all__)


def subject(file: str) -> str:
    """The subject of a file's cases: the first sentence of its docstring."""
    words = importlib.import_module(f"guestdbg.check.cases.{file}").__doc__ or ""
    return re.sub(r"\.$", "", " ".join(words.strip().partition("\n\n")[0].split()))


def tally(verdicts: dict[str, str], file: str) -> str:
    """The verdicts of one file's cases: "31 pass, 2 skip"."""
    seen = Counter(
        v for name, v in verdicts.items() if name in CASES and CASES[name].module == file
    )
    return ", ".join(f"{seen[v]} {v}" for v in ("pass", "fail", "skip") if seen[v]) or UNKNOWN


def of_software() -> dict[str, str]:
    """The verdicts of the software KVM."""
    with open_kvm("soft") as kvm:
        return {r.case.name: r.verdict for r in run_cases(select(), kvm)}


def of_document(document: dict[str, Any]) -> dict[str, str]:
    """The verdicts of a document of ``guestdbg check --json``."""
    return {case["name"]: case["verdict"] for case in document["cases"]}


def rows(page: str) -> dict[str, list[str]]:
    """The present table: file -> its other columns."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    found = {}
    for line in table.splitlines()[2:]:
        columns = [column.strip() for column in line.strip("|").split(" | ")]
        found[columns[0].strip("`* ")] = columns[1:]
    return found


def table(page: str, documents: list[dict[str, Any]]) -> str:
    """The new table."""
    old = rows(page)
    soft = of_software()
    lines = []
    for file in files():
        count = sum(1 for case in CASES.values() if case.module == file)
        real = [tally(of_document(d), file) for d in documents]
        kept = old.get(file, [UNKNOWN] * 5)[-2:]
        columns = [f"`{file}`", subject(file), str(count), tally(soft, file), *(real or kept)]
        lines.append("| " + " | ".join(columns) + " |\n")
    return HEAD + "".join(lines)


def main() -> None:
    documents = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    if len(documents) not in (0, 2):
        sys.exit("give both documents (nVHE, then VHE) or none")
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(page, documents) + END + after)


if __name__ == "__main__":
    main()
