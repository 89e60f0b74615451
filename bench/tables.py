"""The tables that people read: all of them fit a terminal of 80 columns."""

from collections.abc import Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.record import RATIOS, Figure, Record


def print_run(console: Console, run: Record) -> None:
    """Print the figures of a run, the suite's programs one by one, and the ratios."""
    _print_figures(console, run.figures)
    _print_parts(console, run.figures)
    _print_ratios(console, run)


def _print_figures(console: Console, figures: Mapping[str, Figure]) -> None:
    console.print("guestdbg and other tools, in one run on this machine\n", style="italic")
    width = max((len(key) for key in figures), default=0)
    for key, figure in figures.items():
        console.print(
            Text.assemble((f"{key:{width}}", "bold"), f"  {figure.text:>15}  {figure.how}")
        )
        # The description has lines of its own: in a column it would be too narrow to read.
        for text in filter(None, (figure.what, figure.reason)):
            console.print(Padding(Text(text, "dim"), (0, 0, 0, 4)))


def _print_parts(console: Console, figures: Mapping[str, Figure]) -> None:
    """A table for each set of parts: figures of one unit with the same parts are compared."""
    by_parts: dict[tuple[str, tuple[str, ...]], list[Figure]] = {}
    for figure in figures.values():
        if figure.parts:
            by_parts.setdefault((figure.unit, tuple(figure.parts)), []).append(figure)
    for (unit, parts), in_parts in by_parts.items():
        digits = 2 if unit == "times" else 0
        table = Table(title=f"part by part, {unit}", title_justify="left")
        table.add_column("part")
        for figure in in_parts:
            table.add_column(figure.key, justify="right")
        for part in parts:
            table.add_row(part, *(f"{figure.parts[part]:,.{digits}f}" for figure in in_parts))
        console.print()
        console.print(table)


def _print_ratios(console: Console, run: Record) -> None:
    ratios = {
        name: ratio
        for (above, below), (name, ratio) in zip(RATIOS, run.ratios().items(), strict=True)
        if above in run.figures and below in run.figures
    }
    if not ratios:
        return
    table = Table(title="ratios", title_justify="left")
    table.add_column("figures")
    table.add_column("ratio", justify="right")
    for name, ratio in ratios.items():
        table.add_row(name, "-" if ratio is None else f"{ratio:,.2f}")
    console.print()
    console.print(table)
