"""One ELF file that the guest runs: its symbols, source lines, call frames and types."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import BadImage, MissingDependency
from guestdbg.debugger.program import elf_bounds
from guestdbg.debugger.program.debug_files import (
    DebugFile,
    find_debug_file,
    find_supplementary_file,
)
from guestdbg.debugger.program.decompression import section_contents, with_plain_sections
from guestdbg.debugger.program.section_table import SectionTable
from guestdbg.debugger.program.symbol_table import SymbolTable
from guestdbg.library_errors import raised_as, reason
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    # What reads debug information is imported at run time for the first who asks for it.
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.elf.elffile import ELFFile

    from guestdbg.debugger.program.call_frames import FrameTable
    from guestdbg.debugger.program.cxx_abbreviations import Rewritten
    from guestdbg.debugger.program.line_table import LineTable
    from guestdbg.debugger.program.scopes import Scopes
    from guestdbg.debugger.program.split_units import SplitUnits
    from guestdbg.debugger.program.symbol_source import MovingSource

__all__ = ["Image"]

_EM_AARCH64 = 183
_PF_X = 1
_SHF_ALLOC = 2


class Image:
    """An AArch64 ELF file, moved by ``slide`` bytes from the addresses it was linked at.

    The files are read at once, its separate debug file as well, and never again: what is shown of
    the guest stays that of the loaded guest if somebody builds it anew. Raises BadImage for a file
    that is missing, truncated, or for another machine.

    ``contents`` are the ELF's bytes if they are not those of the file ``path``.

    Attributes:
        contents: the file's bytes.
        given: the bytes, if they are not those of the file ``path``.
        moves_with: the source of symbols that the file belongs to, if it moves while the guest
            runs.
        debug: the separate file with the debug information, found by build ID or ``.gnu_debuglink``
            in ``debug_dirs`` and where GDB looks, if this file has none itself.
        is_scattered: whether other images may be between its segments.
        frames_damage: why ``frames`` is empty, if the call frame information is damaged.
        supplementary: the file that ``.gnu_debugaltlink`` names (of dwz).
    """

    def __init__(
        self,
        path: str | Path,
        slide: int = 0,
        debug_dirs: Sequence[str | Path] = (),
        *,
        contents: bytes | None = None,
    ) -> None:
        self.path = Path(path)
        self.slide = slide
        self._debug_dirs = tuple(Path(directory) for directory in debug_dirs)
        self.given = contents
        self.contents = self._read() if contents is None else contents
        if self.contents[:4] != b"\x7fELF":
            raise BadImage(f"{self.path} is not an ELF file")
        self._table = self._section_table(self.path, self.contents)
        self.debug = DebugFile(None, b"")
        if not _has_debug_info(self._table):
            self.debug = self._find(find_debug_file, self._table, self.path)
        self._debug_table = self._table
        if self.debug.path is not None:
            self._debug_table = self._section_table(self.debug.path, self.debug.contents)
        self.supplementary = self._find(
            find_supplementary_file, self._debug_table, self.debug.path or self.path
        )
        self.symbols = self._symbols()
        self.moves_with: MovingSource | None = None
        self.is_scattered = False
        self.frames_damage: str | None = None

    def _read(self) -> bytes:
        try:
            return read_regular_file(self.path, what="file with the symbols")
        except UnsuitableFile as error:
            raise BadImage(f"cannot read {error}") from error

    def reread(self) -> Image:
        """This image if its files are as they were, else a new one of what they are now.

        One that belongs to a source stays: that knows whether it is still the right one. Raises
        BadImage.
        """
        if self.moves_with is not None:
            return self
        new = Image(self.path, self.slide, self._debug_dirs, contents=self.given)
        same = (new.contents, new.debug, new.supplementary) == (
            self.contents,
            self.debug,
            self.supplementary,
        )
        return self if same else new

    def moved(self, slide: int) -> Image:
        """The same file at another place. What has been read of it is not read again."""
        new = copy(self)
        new.slide = slide
        new.symbols = self.symbols.moved(slide - self.slide)
        for name in ("segments", "_sections", "lines", "scopes", "frames"):
            new.__dict__.pop(name, None)
        return new

    @property
    def files(self) -> dict[Path, bytes]:
        """The files that were read, as they were then, by their absolute paths."""
        found = {self.path.absolute(): self.contents}
        for other in (self.debug, self.supplementary):
            if other.path is not None:
                found[other.path.absolute()] = other.contents
        return found

    def _find(
        self,
        find: Callable[[SectionTable, Path, Sequence[Path]], DebugFile],
        table: SectionTable,
        path: Path,
    ) -> DebugFile:
        with raised_as(BadImage, f"the sections of {path} are damaged"):
            return find(table, path, self._debug_dirs)

    def __repr__(self) -> str:
        return f"<Image {self.path}>"

    @staticmethod
    def _section_table(path: Path, data: bytes) -> SectionTable:
        with raised_as(BadImage, f"{path} is not a complete ELF file"):
            elf_bounds.check_file(data)
        if (data[4], data[5], int.from_bytes(data[18:20], "little")) != (2, 1, _EM_AARCH64):
            Image._open(path, data)  # which says what it is
        return SectionTable(data)

    @cached_property
    def _elf(self) -> ELFFile:
        return self._open(self.path, self.contents)

    @staticmethod
    def _open(path: Path, data: bytes) -> ELFFile:
        try:
            from elftools.elf.elffile import ELFFile
        except ImportError as error:  # pragma: no cover - a declared dependency
            raise MissingDependency("reading symbols needs pyelftools") from error
        with raised_as(BadImage, f"{path} is not a complete ELF file"):
            elf_bounds.check_file(data)
            elf = ELFFile(io.BytesIO(data))
            machine = elf["e_machine"]
            elf.num_sections()
        if machine not in ("EM_AARCH64", _EM_AARCH64) or elf.elfclass != 64:
            raise BadImage(f"{path} is not a 64-bit Arm file but {elf.get_machine_arch()}")
        if not elf.little_endian:
            raise BadImage(f"{path} is big-endian; only little-endian guests are supported")
        return elf

    def _symbols(self) -> SymbolTable:
        with raised_as(BadImage, f"the symbol table of {self.path} is damaged"):
            for table, name in (
                (self._table, b".symtab"),
                (self._debug_table, b".symtab"),
                (self._table, b".dynsym"),
            ):
                section = table.named(name)
                if section is not None:
                    return SymbolTable.parse(
                        section_contents(table, section),
                        section_contents(table, table.headers[section.link]),
                        slide=self.slide,
                        sections=len(table.headers),
                    )
            return SymbolTable([])

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """(start, end) of every PT_LOAD segment in guest addresses, sorted."""
        found = []
        with raised_as(BadImage, f"the segments of {self.path} are damaged"):
            for segment in self._elf.iter_segments("PT_LOAD"):
                if segment["p_memsz"]:
                    start = segment["p_vaddr"] + self.slide
                    found.append((start, start + segment["p_memsz"]))
        return sorted(found)

    @property
    def notes(self) -> bytes:
        """The notes of the file (sections of type SHT_NOTE), one after the other."""
        with raised_as(BadImage, f"the sections of {self.path} are damaged"):
            return b"".join(
                section.data()
                for section in self._elf.iter_sections()
                if section["sh_type"] == "SHT_NOTE"
            )

    def covers(self, address: int) -> bool:
        """Whether ``address`` lies in one of the file's segments."""
        return any(start <= address < end for start, end in self.segments)

    @cached_property
    def _sections(self) -> list[tuple[int, int]]:
        """(start, end) of the sections that are in guest memory, in guest addresses."""
        with raised_as(BadImage, f"the sections of {self.path} are damaged"):
            return [
                (s["sh_addr"] + self.slide, s["sh_addr"] + s["sh_size"] + self.slide)
                for s in self._elf.iter_sections()
                if s["sh_flags"] & _SHF_ALLOC
            ]

    def has_contents(self, address: int) -> bool:
        """Whether ``address`` lies in a section: in code or data of the image."""
        return any(start <= address < end for start, end in self._sections)

    @cached_property
    def _code(self) -> list[tuple[int, int]]:
        """The executable segments, as linked; all of them if none is executable."""
        with raised_as(BadImage, f"the segments of {self.path} are damaged"):
            found = [
                (int(s["p_vaddr"]), int(s["p_vaddr"] + s["p_memsz"]), bool(s["p_flags"] & _PF_X))
                for s in self._elf.iter_segments("PT_LOAD")
            ]
        executable = [(start, end) for start, end, flag in found if flag]
        return executable or [(start, end) for start, end, _ in found]

    def has_code(self, address: int) -> bool:
        """Whether ``address``, as linked, lies in executable memory of the image.

        If not, the linker has removed the code for which debug information gives the address.
        """
        return any(start <= address < end for start, end in self._code)

    def _is_code(self, unit: CompileUnit, start: int, end: int) -> bool:
        from guestdbg.debugger.program import tombstones

        if not self.has_code(start):
            return False
        return start not in tombstones.TOMBSTONES or not tombstones.is_removed_function(
            unit, start, end, self.symbols, self.slide
        )

    def _has_frame(self, start: int, length: int) -> bool:
        from guestdbg.debugger.program import tombstones

        if not self.has_code(start):
            return False
        if start not in tombstones.TOMBSTONES:
            return True
        real = {s.size for s in self.symbols.starting_at(start + self.slide) if s.size}
        return not real or length in real

    @cached_property
    def _plain_sections(self) -> bytes | BadImage:
        """The file with debug information, its sections decompressed, or why that is not possible.

        Both are kept: it may take long to find out that a section is damaged.
        """
        try:
            return with_plain_sections(
                self.debug.contents or self.contents, self.debug.path or self.path
            )
        except BadImage as error:
            return error

    @property
    def debug_contents(self) -> bytes:
        """The ELF file with the debug information, its sections decompressed. Raises BadImage."""
        found = self._plain_sections
        if isinstance(found, BadImage):
            raise BadImage(str(found)) from found
        return found

    @cached_property
    def _for_drgn(self) -> Rewritten:
        from guestdbg.debugger.program.cxx_abbreviations import Rewritten, rewritten

        contents = self.debug_contents
        with raised_as(BadImage, f"the sections of {self.path} are damaged"):
            elf = self._open(self.debug.path or self.path, contents)
            section = elf.get_section_by_name(".debug_abbrev")
            if section is None:
                return Rewritten(contents, references=False)
            return rewritten(contents, section["sh_offset"], section["sh_size"])

    @property
    def contents_for_drgn(self) -> bytes:
        """``debug_contents`` in the terms that drgn knows."""
        return self._for_drgn.contents

    @property
    def has_cxx_references(self) -> bool:
        """Whether the types may have references of C++, which drgn takes for pointers."""
        return self.has_types and self._for_drgn.references

    @cached_property
    def supplementary_contents(self) -> bytes:
        """The supplementary file, its sections decompressed; empty if there is none."""
        return with_plain_sections(self.supplementary.contents, self.supplementary.path)

    @cached_property
    def _dwarf(self) -> DWARFInfo | None:
        from guestdbg.debugger.program import dwarf_limits

        path = self.debug.path or self.path
        with raised_as(BadImage, f"the debug information of {path} is damaged"):
            elf = self._open(path, self.debug_contents)
            if not elf.has_dwarf_info():
                return None
            dwarf = _dwarf_of(elf)
            dwarf_limits.limit(dwarf)
            if self.supplementary.path is not None:
                other = self._open(self.supplementary.path, self.supplementary_contents)
                supplementary = _dwarf_of(other)
                dwarf_limits.limit(supplementary)
                dwarf.supplementary_dwarfinfo = supplementary
            return dwarf

    def check_debug_info(self) -> None:
        """Raise BadImage for debug information that no library must get."""
        _ = self._dwarf

    @property
    def has_types(self) -> bool:
        """Whether there is DWARF type information (``.debug_info``), here or in a separate file."""
        return _has_debug_info(self._debug_table)

    @property
    def no_debug_info(self) -> str:
        """Why debug information is missing, for a message; empty if nothing is known of that."""
        why = self.debug.missing or self.split.missing
        return f"{self.path}: {why}" if why else ""

    @cached_property
    def split(self) -> SplitUnits:
        """The files with split DWARF that belong to this one."""
        from guestdbg.debugger.program.split_units import SplitUnits, split_units

        if self._dwarf is None or not self.has_types:
            return SplitUnits()
        with raised_as(BadImage, f"the debug information of {self.path} is damaged"):
            return split_units(self._dwarf)

    @cached_property
    def lines(self) -> LineTable:
        """The line table; empty if the file has none."""
        from guestdbg.debugger.program.line_table import LineTable

        dwarf = self._dwarf
        if dwarf is None or not self.has_types:
            return LineTable(None)
        with raised_as(BadImage, f"the line numbers of {self.path} are damaged"):
            return LineTable(
                dwarf, self.slide, self._is_code, name=str(self.debug.path or self.path)
            )

    @cached_property
    def scopes(self) -> Scopes:
        """Functions, inlined functions and local variables; empty if the file has no DWARF."""
        from guestdbg.debugger.program.scopes import Scopes

        return Scopes(
            self._dwarf if self.has_types else None,
            self.slide,
            self._is_code,
            name=str(self.debug.path or self.path),
        )

    @cached_property
    def frames(self) -> FrameTable:
        """The call frame information (``.debug_frame``, ``.eh_frame``); empty if there is none."""
        from guestdbg.debugger.program.call_frames import FrameTable

        try:
            table = FrameTable([])
            if self._dwarf is not None:
                table = FrameTable.from_dwarf(self._dwarf, self.slide, self._has_frame)
            if self.debug.path is not None and self._elf.has_dwarf_info():
                own = _dwarf_of(self._elf)  # .eh_frame stays in the guest
                table = table.merged(FrameTable.from_dwarf(own, self.slide, self._has_frame))
            return table
        except Exception as error:
            self.frames_damage = reason(error)
            return FrameTable([])  # the unwinder then uses frame records


def _has_debug_info(table: SectionTable) -> bool:
    return any(table.named(name) is not None for name in (b".debug_info", b".zdebug_info"))


def _dwarf_of(elf: ELFFile) -> DWARFInfo:
    # In what was linked, the relocations that some linkers leave (--emit-relocs) are applied.
    return elf.get_dwarf_info(elf["e_type"] == "ET_REL", follow_links=False)
