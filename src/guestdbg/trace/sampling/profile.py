"""A profile: stacks, and how often each was found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from guestdbg.html_table import table_html
from guestdbg.tables import Column, Table, Tabular, Values
from guestdbg.trace.sampling.errors import SamplingError
from guestdbg.trace.sampling.folded import folded
from guestdbg.trace.sampling.speedscope import speedscope

__all__ = ["FORMS", "MOST_STACKS", "OTHERS", "Profile", "check_ending"]

#: So many different stacks are kept; more are counted as ``OTHERS``.
MOST_STACKS = 100_000
#: Notebooks show so many stacks.
_SHOWN = 15
#: The stack of samples for whose own there is no room.
OTHERS = ("(other stacks)",)

_Form = Callable[[str, int, "Counter[tuple[str, ...]]"], Iterator[bytes]]
#: The forms of files, by their endings.
FORMS: dict[str, _Form] = {".folded": folded, ".json": speedscope}


def check_ending(path: Path) -> str:
    """The ending of a profile's file. Raises SamplingError for one that is not in ``FORMS``."""
    if path.suffix not in FORMS:
        raise SamplingError(
            f"{path}: the name of a profile ends in .folded (folded stacks, for flame graphs) or "
            ".json (speedscope), which says its form"
        )
    return path.suffix


class Profile(Tabular):
    """Stacks that samples have found.

    Attributes:
        title: what it is of.
        every: instructions from one sample to the next, of all vCPUs together.
        stacks: how often each was found: names of functions, the outermost first. Before them is
            what executed: the task of a Linux guest, and the vCPU where there are several.
    """

    __slots__ = ("every", "stacks", "title")

    def __init__(self, title: str, every: int) -> None:
        self.title = title
        self.every = every
        self.stacks: Counter[tuple[str, ...]] = Counter()

    def add(self, stack: tuple[str, ...]) -> None:
        """Count a sample."""
        if stack not in self.stacks and len(self.stacks) >= MOST_STACKS:
            stack = OTHERS
        self.stacks[stack] += 1

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return self.stacks.total()

    def table(self) -> Table:
        """The stacks as a table: ``stack`` (names with ; between them) and ``samples``."""
        stacks = sorted(self.stacks.items())
        return Table(
            [
                Values(
                    Column("stack", "text", "functions, outermost first, with ; between"),
                    (";".join(stack) for stack, _ in stacks),
                ),
                Values(Column("samples", "u64", "how often it was found"), (n for _, n in stacks)),
            ]
        )

    def _repr_html_(self) -> str:
        """How notebooks show it: the stacks that were found most often."""
        total = self.samples or 1
        rows = [
            (n, f"{100 * n / total:.1f} %", stack[-1] if stack else "", ";".join(stack))
            for stack, n in self.stacks.most_common(_SHOWN)
        ]
        note = f"{len(self.stacks) - _SHOWN:,} more stacks" if len(self.stacks) > _SHOWN else None
        names = ("samples", "share", "function", "stack")
        title = f"Profile of {self.title}: {self.samples:,} samples, every {self.every:,}"
        title += " instructions"
        return table_html(title, names, rows, note=note)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new file: ``.folded``, ``.json`` (speedscope), ``.parquet`` or ``.csv``.

        Raises:
            SamplingError: the ending is another one.
            OSError: the file exists already, or cannot be written whole; there is no file then.
        """
        file_path = Path(path)
        if file_path.suffix in (".parquet", ".csv"):
            self.table().write(file_path)
            return
        check_ending(file_path)
        with open(file_path, "xb") as file:
            try:
                for piece in self.form(file_path.suffix):
                    file.write(piece)
                file.flush()
            except BaseException:
                file_path.unlink(missing_ok=True)
                raise

    def form(self, ending: str) -> Iterator[bytes]:
        """The bytes of a file with this ending."""
        return FORMS[ending](self.title, self.every, self.stacks)

    def __repr__(self) -> str:
        return f"<Profile of {self.title}: {self.samples:,} samples, {len(self.stacks):,} stacks>"
