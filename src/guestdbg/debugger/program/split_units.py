"""Units whose debug information is in another file (split DWARF, ``gcc -gsplit-dwarf``).

DWARF 5, sections 3.1.2 and 7.3.2. drgn reads the variables and types there; the functions' own
variables and inlined functions are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.debugger.program.dwarf_entries import text

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["SplitUnits", "split_units"]

_NAMES = ("DW_AT_dwo_name", "DW_AT_GNU_dwo_name")
_MOST_UNITS = 20_000


class SplitUnits:
    """The files that the units of one image refer to.

    Attributes:
        files: their paths as they were written, relative ones from the compilation directory.
    """

    def __init__(self, files: tuple[Path, ...] = ()) -> None:
        self.files = files

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.files)

    @property
    def missing(self) -> str:
        """What was not found, for a message; empty if all are there."""
        absent = [path for path in self.files if not path.is_file()]
        if not absent:
            return ""
        more = f" (and {len(absent) - 1} more files)" if len(absent) > 1 else ""
        return (
            f"its types and variables are in split DWARF, and {absent[0]} was not found{more}: "
            "build with -g alone, or keep the .dwo files where the compiler wrote them"
        )


def split_units(dwarf: DWARFInfo) -> SplitUnits:
    """The split units of an image. Raises what pyelftools does for a damaged file."""
    if dwarf.debug_addr_sec is None:  # which every skeleton unit refers to
        return SplitUnits()
    found: dict[Path, None] = {}
    for number, unit in enumerate(dwarf.iter_CUs()):
        if number >= _MOST_UNITS:
            break
        attributes = unit.get_top_DIE().attributes
        name = next((attributes[a].value for a in _NAMES if a in attributes), None)
        if name is not None:
            directory = attributes.get("DW_AT_comp_dir")
            base = Path(text(directory.value)) if directory is not None else Path()
            found[base / text(name)] = None
    return SplitUnits(tuple(found))
