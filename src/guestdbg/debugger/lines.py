"""The line table of an ELF image (DWARF ``.debug_line``): addresses to source lines and back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.errors import UnknownLine, near

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["LineRow", "LineTable", "Statement"]


class LineRow(NamedTuple):
    """Code from ``start`` up to ``end`` was made of ``line`` of ``file``."""

    start: int
    end: int
    file: str
    line: int


class Statement(NamedTuple):
    """The compiler's word that a statement of ``line`` of ``file`` begins at ``address``."""

    address: int
    file: str
    line: int


class LineTable:
    """All rows and statements of all compilation units, sorted by address."""

    def __init__(self, rows: list[LineRow], statements: list[Statement]) -> None:
        self._rows = sorted(rows)
        self._starts = [row.start for row in self._rows]
        self._by_file: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for address, file, line in sorted(set(statements)):
            self._by_file[file][line].append(address)

    @classmethod
    def from_dwarf(cls, dwarf: DWARFInfo, slide: int = 0) -> LineTable:
        """Run every line-number program; addresses are moved by ``slide`` bytes."""
        rows: list[LineRow] = []
        statements: list[Statement] = []
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            names = _file_names(program)
            first = 0 if program["version"] >= 5 else 1
            last: tuple[int, str, int] | None = None
            for entry in program.get_entries():
                state = entry.state
                if state is None:
                    continue
                index = state.file - first
                name = names[index] if 0 <= index < len(names) else "?"
                address = state.address + slide
                if last is not None and address > last[0] and last[2]:
                    rows.append(LineRow(last[0], address, last[1], last[2]))
                # A row of no length still says where a statement begins.
                if state.is_stmt and state.line and not state.end_sequence:
                    statements.append(Statement(address, name, state.line))
                last = None if state.end_sequence else (address, name, state.line)
        return cls(rows, statements)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def files(self) -> list[str]:
        """The source files that code was made of, as the compiler named them."""
        return sorted(self._by_file)

    def at(self, address: int) -> LineRow | None:
        """The row that covers ``address``."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and self._rows[i].start <= address < self._rows[i].end:
            return self._rows[i]
        return None

    def addresses(self, file: str, line: int) -> tuple[list[int], int, str]:
        """Where statements of ``file:line`` begin: (addresses, the line taken, the file's name).

        ``file`` is matched from its end (``queue.c``, ``src/queue.c``). A line without code stands
        for the next one that has some, as in other debuggers. Raises UnknownLine.
        """
        name = self._file(file)
        lines = self._by_file[name]
        known = sorted(lines)
        i = bisect_left(known, line)
        if i == len(known):
            raise UnknownLine(
                f"no code was made of line {line} of {name} or of any later one: "
                f"the last line with code is {known[-1]}"
            )
        taken = known[i]
        return lines[taken], taken, name

    def _file(self, file: str) -> str:
        wanted = PurePosixPath(file).parts
        found = [f for f in self._by_file if PurePosixPath(f).parts[-len(wanted) :] == wanted]
        if len(found) == 1:
            return found[0]
        if not found:
            names = [PurePosixPath(f).name for f in self._by_file]
            text = f"no code was made of a file named {file!r}"
            matches = near(PurePosixPath(file).name, names)
            if matches:
                text += "; did you mean " + " or ".join(repr(m) for m in matches) + "?"
            elif names:
                text += "; there are " + ", ".join(sorted(set(names))[:6])
            raise UnknownLine(text)
        exact = [f for f in found if f == file]
        if exact:
            return exact[0]
        raise UnknownLine(f"{file!r} may be any of " + ", ".join(sorted(found)[:6]))


def _file_names(program: object) -> list[str]:
    header = program.header  # type: ignore[attr-defined]
    version = header["version"]
    directories = [_text(d) for d in header.get("include_directory", ())]
    names = []
    for entry in header["file_entry"]:
        name = _text(entry.name)
        index = entry.dir_index
        if version < 5:
            directory = directories[index - 1] if 0 < index <= len(directories) else ""
        else:
            directory = directories[index] if index < len(directories) else ""
            if index == 0:
                directory = ""  # the compilation directory: of this machine, not of the source
        names.append(str(PurePosixPath(directory) / name) if directory else name)
    return names


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
