"""Two runs compared: the ratio of each figure, and what makes the two not comparable."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.record import Figure, Record, without_unit

#: Of a machine's description: what has an effect on the figures.
_MACHINE = ("processor", "cpus", "kernel", "python", "compiler")


def compare(console: Console, names: tuple[str, str], runs: tuple[Record, Record]) -> None:
    """Print B/A for every figure that both runs have, then the differences between the runs."""
    for letter, name, run in zip("AB", names, runs, strict=True):
        console.print(Text(f"{letter}  {name}: {_description(run)}"))
    a, b = (run.figures for run in runs)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("key", no_wrap=True, min_width=max(map(len, a), default=0))
    table.add_column("A", justify="right", no_wrap=True)
    table.add_column("B", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("B/A", justify="right", no_wrap=True)
    table.add_column("better if")
    for key in a:
        if key in b and a[key].value and b[key].value is not None:
            _add_rows(table, a[key], b[key])
    console.print()
    console.print(table)
    notes = [*_missing(runs), *_differences(runs)]
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note))


def _description(run: Record) -> str:
    """The commit and the time of a run."""
    environment = run.environment
    commit = environment.commit[:7] if environment.commit else "commit not known"
    changed = ", changed" if environment.dirty else ""
    return f"{commit}{changed}, {environment.machine['taken']}"


def _add_rows(table: Table, a: Figure, b: Figure) -> None:
    """A row for the figure, and one for each of its parts that both runs have."""
    rows = [(Text(a.key), a.value, b.value, a.better)]
    rows += [
        (Text(f"  {part}", "dim"), value, b.parts.get(part), "") for part, value in a.parts.items()
    ]
    for name, first, second, better in rows:
        if first and second is not None:
            values = (without_unit(value, a.unit) for value in (first, second))
            table.add_row(name, *values, a.unit, f"{second / first:.3f}", better)


def _missing(runs: tuple[Record, Record]) -> Iterator[str]:
    """The figures that only one of the runs has."""
    a, b = (
        {key for key, figure in run.figures.items() if figure.value is not None} for run in runs
    )
    for only, keys in (("A", a - b), ("B", b - a)):
        if keys:
            yield f"only in {only}: {', '.join(sorted(keys))}"


def _differences(runs: tuple[Record, Record]) -> Iterator[str]:
    """What differs in the machines and in the programs that were measured beside guestdbg."""
    for what, (a, b), keys in (
        ("machines differ", [run.environment.machine for run in runs], _MACHINE),
        ("versions differ", [run.environment.versions for run in runs], ("QEMU", "GDB", "Unicorn")),
    ):
        for key in keys:
            if a.get(key) != b.get(key):
                yield f"{what}: {key}: A {a.get(key) or 'not known'}, B {b.get(key) or 'not known'}"
