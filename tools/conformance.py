"""Writes the tables of docs/conformance.md: the files of cases and their verdicts, and the kernels.

    python tools/conformance.py

The cases are run here on the software KVM of both versions. The verdicts of real kernels are those
of the records in `tests/lab/verdicts.json`, which `make lab-matrix` writes.
"""

import importlib
import re
from collections import Counter
from pathlib import Path

from lab_verdicts import FAULTS, Record, Verdicts, predicted, read

from guestdbg.check import CASES
from guestdbg.check import cases as topics
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS, dotted, version_of

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
CASES_TABLE = ("<!-- table -->\n", "<!-- end of the table -->")
KERNELS_TABLE = ("<!-- kernels -->\n", "<!-- end of the kernels -->")
MODES = {"nvhe": "nVHE", "vhe": "VHE", "pkvm": "protected"}


def files() -> list[str]:
    """The files of cases, in the order of the table."""
    return list(topics.__all__)


def subject(file: str) -> str:
    """The subject of a file's cases: the first sentence of its docstring."""
    words = importlib.import_module(f"guestdbg.check.cases.{file}").__doc__ or ""
    return re.sub(r"\.$", "", " ".join(words.strip().partition("\n\n")[0].split()))


def tally(verdicts: Verdicts, file: str) -> str:
    """The verdicts of one file's cases: "31 pass, 2 skip"."""
    seen = Counter(
        v for name, v in verdicts.items() if name in CASES and CASES[name].module == file
    )
    return totals(seen)


def totals(counts: dict[str, int]) -> str:
    """Counts in words: "31 pass, 2 skip"."""
    order = ("pass", "fail", "skip", "not run")
    return ", ".join(f"{counts[v]} {v}" for v in order if counts.get(v))


def columns(records: list[Record]) -> list[tuple[str, Verdicts]]:
    """(head, verdicts) of each column: both software versions, and the oldest and newest kernel."""
    found = [(f"software {name}", predicted(name, None)) for name in SOFTWARE_VERSIONS]
    releases = sorted({r.kernel for r in records}, key=version_of)
    for release in (releases[0], releases[-1]):
        for mode in ("nvhe", "vhe"):
            found += [
                (f"{dotted(version_of(r.kernel))} {MODES[mode]}", r.verdicts())
                for r in records
                if (r.kernel, r.mode) == (release, mode)
            ]
    return found


def cases_table(records: list[Record]) -> str:
    """The table of the files of cases."""
    chosen = columns(records)
    rows = [["file", "promises", "cases", *(head for head, _ in chosen)]]
    for file in files():
        count = sum(1 for case in CASES.values() if case.module == file)
        verdicts = (tally(found, file) for _, found in chosen)
        rows.append([f"`{file}`", subject(file), str(count), *verdicts])
    return _table(rows)


def kernels_table(records: list[Record]) -> str:
    """The table of the kernels."""
    rows = [["kernel", "mode", "processor", "predicted by", "verdicts", "other than predicted"]]
    for r in records:
        debian = re.search(r"Debian ([^ ]+)", r.build)
        others = sum(len(names) for by in r.others.values() for names in by.values())
        fault = f", with the fault `{FAULTS[r.fault].report}`" if r.fault else ""
        rows.append(
            [
                f"Linux {debian[1] if debian else r.kernel}",
                MODES[r.mode],
                f"`{r.cpu}`",
                f"{r.software}{fault}",
                totals(Counter(r.verdicts().values())),
                f"{others}: what the processor lacks or has" if others else "none",
            ]
        )
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page(text: str, records: list[Record]) -> str:
    """The page with both tables as they are now."""
    for (begin, end), table in (
        (CASES_TABLE, cases_table(records)),
        (KERNELS_TABLE, kernels_table(records)),
    ):
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = before + begin + table + end + after
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), list(read().values())))
