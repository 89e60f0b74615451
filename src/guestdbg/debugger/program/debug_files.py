"""Separate debug files: found by build ID and ``.gnu_debuglink``, where GDB looks for them.

Source: "Debugging with GDB", section 18.3, "Debugging Information in Separate Files"; for
``.gnu_debugaltlink`` DWARF 5, section 7.3.6 (supplementary object files), as dwz writes it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.program import elf_bounds
from guestdbg.debugger.program.decompression import section_contents
from guestdbg.debugger.program.section_table import SectionTable
from guestdbg.regular_file import UnsuitableFile, read_regular_file

__all__ = ["DEFAULT_DEBUG_DIRS", "DebugFile", "find_debug_file", "find_supplementary_file"]

#: Where GDB looks, as most systems build it.
DEFAULT_DEBUG_DIRS = (Path("/usr/lib/debug"),)


class DebugFile(NamedTuple):
    """A file with debug information, as it was when the guest was loaded.

    ``path`` is None if there is none; ``missing`` then says what was looked for, if anything was.
    """

    path: Path | None
    contents: bytes
    missing: str | None = None


def find_debug_file(table: SectionTable, path: Path, directories: Sequence[Path]) -> DebugFile:
    """The separate debug file of ``path``: the one of its build ID, else that of its debug link.

    ``directories`` are searched before the usual ones. A file counts only if its build ID is the
    same or, for a debug link, its CRC is right.
    """
    tried: list[str] = []
    everywhere = [*directories, *DEFAULT_DEBUG_DIRS]
    own = build_id(table)
    if own:
        found = _by_build_id(own, everywhere)
        if found is not None:
            return found
    name, crc = _debug_link(table)
    if not name:
        return DebugFile(None, b"")
    for candidate in _link_candidates(path, name, everywhere):
        contents = _read(candidate)
        if contents is None or _same(candidate, path):
            continue
        if zlib.crc32(contents) == crc:
            return DebugFile(candidate, contents)
        tried.append(f"{candidate} is another one: its CRC does not match")
    where = "; ".join(tried) or "it is neither beside it nor in " + ", ".join(map(str, everywhere))
    return DebugFile(
        None,
        b"",
        f"its .gnu_debuglink names {name!r}: {where} (`--debug-dir` and load(debug_dirs=...) name "
        "directories to search)",
    )


def find_supplementary_file(
    table: SectionTable, path: Path, directories: Sequence[Path]
) -> DebugFile:
    """The file that ``.gnu_debugaltlink`` names (dwz moves what several files share there)."""
    section = table.named(b".gnu_debugaltlink")
    if section is None:
        return DebugFile(None, b"")
    name, _, wanted = section_contents(table, section).partition(b"\0")
    link = os.fsdecode(name)
    found = _by_build_id(wanted, [*directories, *DEFAULT_DEBUG_DIRS])
    if found is not None:
        return found
    candidates = [path.parent / link]  # an absolute name stays what it is
    candidates += [directory / Path(link).name for directory in directories]
    for candidate in candidates:
        contents = _read(candidate)
        if contents is not None and _id_of(contents) == wanted:
            return DebugFile(candidate, contents)
    return DebugFile(
        None,
        b"",
        f"its .gnu_debugaltlink names {link!r} (dwz put a part of the debug information there), "
        "which is not there, or has another build ID",
    )


def build_id(table: SectionTable) -> bytes:
    """The contents of the NT_GNU_BUILD_ID note; empty if there is none."""
    section = table.named(b".note.gnu.build-id")
    if section is None:
        return b""
    data = section_contents(table, section)
    if len(data) < 16:
        return b""
    name_size = int.from_bytes(data[0:4], "little")
    size = int.from_bytes(data[4:8], "little")
    start = 12 + (name_size + 3 & ~3)
    return data[start : start + size]


def _id_of(contents: bytes) -> bytes:
    try:
        elf_bounds.check_file(contents)
        return build_id(SectionTable(contents))
    except (ValueError, BadImage):  # damaged: it is not the one that is looked for
        return b""


def _by_build_id(wanted: bytes, directories: Sequence[Path]) -> DebugFile | None:
    text = wanted.hex()
    for directory in directories:
        candidate = directory / ".build-id" / text[:2] / f"{text[2:]}.debug"
        contents = _read(candidate)
        if contents is not None and _id_of(contents) == wanted:
            return DebugFile(candidate, contents)
    return None


def _debug_link(table: SectionTable) -> tuple[str, int]:
    section = table.named(b".gnu_debuglink")
    if section is None:
        return "", 0
    data = section_contents(table, section)
    name, _, _ = data.partition(b"\0")
    return os.fsdecode(name), int.from_bytes(data[-4:], "little")


def _link_candidates(path: Path, name: str, directories: Sequence[Path]) -> Iterator[Path]:
    # The name has no directory in it. One that has could point anywhere on the host.
    name = Path(name).name
    parent = path.absolute().parent
    yield parent / name
    yield parent / ".debug" / name
    for directory in directories:
        yield directory / parent.relative_to(parent.anchor) / name
        yield directory / name


def _read(path: Path) -> bytes | None:
    try:
        return read_regular_file(path)
    except UnsuitableFile:
        return None


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
