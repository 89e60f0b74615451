"""Writes the table of docs/exactness.md: the groups of instructions, and what judges them.

    python tools/exactness.py

It runs the tests `tests/cpu/test_scale_*.py`, two minutes, and counts the instructions that they
compare with Unicorn. A group is a module of `guestdbg.cpu.instructions`.
"""

import importlib
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from guestdbg.cpu.processor import encodings_by_module

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "exactness.md"
TABLE = ("<!-- table -->\n", "<!-- end of the table -->")
FEW = 1000  # as many cases or more: Unicorn is a judge

#: Judges beside Unicorn, by the beginning of a module's name.
JUDGES = {
    "branch_pauth": "QEMU, pseudocode",
    "crypto.": "hashlib, FIPS 197",
    "data_flags": "QEMU",
    "data_pauth": "QEMU, pseudocode",
    "fp.fp_arithmetic": "SoftFloat, pseudocode",
    "fp.fp_integer": "SoftFloat, pseudocode",
    "fp.fp_round": "SoftFloat",
    "mem_": "a model of faults",
    "mem_pauth": "QEMU",
    "simd.fp_": "pseudocode",
    "system": "QEMU, a model of exceptions",
    "system_pstate": "QEMU",
}


def groups() -> dict[str, int]:
    """The modules that have instructions, and how many rows of the decode table each has."""
    return {module: len(rows) for module, rows in encodings_by_module().items() if rows}


def subject(module: str) -> str:
    """What the module's package says of it."""
    *rooms, name = module.split(".")
    package = importlib.import_module(".".join(["guestdbg.cpu.instructions", *rooms]))
    found = re.search(rf"^{name} +(\S.*)$", package.__doc__ or "", re.MULTILINE)
    if found is None:
        raise LookupError(f"{package.__name__} does not list {name}")
    return found[1]


def judges(module: str, cases: int) -> str:
    """The names of what judges the group's results."""
    found = [name for start, name in JUDGES.items() if module.startswith(start)]
    return ", ".join((["Unicorn"] if cases >= FEW else []) + found[-1:])


def compared() -> Counter[str]:
    """Runs the tests; how many instructions of each module they have compared with Unicorn."""
    sys.path.insert(0, str(ROOT))
    tests = sorted(str(path) for path in (ROOT / "tests" / "cpu").glob("test_scale_*.py"))
    if pytest.main(["-q", "-p", "no:xdist", "--timeout", "0", *tests]):
        raise SystemExit("the tests failed: the table is not written")
    module_of = {row[0]: module for module, rows in encodings_by_module().items() for row in rows}
    counts: Counter[str] = Counter()
    for tally in importlib.import_module("tests.cpu.scale_batch").COMPARED:
        for name, count in tally.executed.items():
            counts[module_of.get(name, "")] += count
    return counts


def table(counts: Counter[str]) -> str:
    """The rows, with the totals in the last one."""
    rows = [("group", "instructions", "encodings", "compared", "judges")]
    for module, encodings in groups().items():
        cases = counts[module]
        shown = f"{cases:,}" if cases else "-"
        rows.append((f"`{module}`", subject(module), str(encodings), shown, judges(module, cases)))
    total = sum(counts[module] for module in groups())
    rows.append(("all", "", f"{sum(groups().values()):,}", f"{total:,}", ""))
    rows.insert(1, tuple("---" for _ in rows[0]))  # type: ignore[arg-type]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Replaces the table."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(TABLE[0])
    _, end, after = rest.partition(TABLE[1])
    if not end:
        raise SystemExit(f"{PAGE.name} has no place for the table")
    PAGE.write_text(before + TABLE[0] + table(compared()) + end + after, encoding="utf-8")


if __name__ == "__main__":
    main()
