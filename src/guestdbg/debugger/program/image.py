"""One ELF file that the guest runs: its symbols, source lines, call frames and types."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import BadImage, MissingDependency
from guestdbg.debugger.program.call_frames import FrameTable
from guestdbg.debugger.program.line_table import LineTable
from guestdbg.debugger.program.symbol_table import SymbolTable

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.elf.elffile import ELFFile

__all__ = ["Image"]

_EM_AARCH64 = 183


class Image:
    """An AArch64 ELF file, moved by ``slide`` bytes from the addresses it was linked at.

    Only the symbol table is read at once; the rest at its first use. Raises BadImage for a file
    that is missing, truncated, or for another machine.
    """

    def __init__(self, path: str | Path, slide: int = 0) -> None:
        self.path = Path(path)
        self.slide = slide
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise BadImage(f"cannot read {self.path}: {error.strerror}") from error
        if data[:4] != b"\x7fELF":
            raise BadImage(f"{self.path} is not an ELF file")
        self._elf = self._open(data)
        self.symbols = self._symbols()

    def __repr__(self) -> str:
        return f"<Image {self.path}>"

    def _open(self, data: bytes) -> ELFFile:
        try:
            from elftools.elf.elffile import ELFFile
        except ImportError as error:  # pragma: no cover - a declared dependency
            raise MissingDependency("reading symbols needs pyelftools") from error
        try:
            elf = ELFFile(io.BytesIO(data))
            machine = elf["e_machine"]
            elf.num_sections()
        except Exception as error:  # pyelftools may raise anything for a damaged file
            raise BadImage(f"{self.path} is not a complete ELF file: {error}") from error
        if machine not in ("EM_AARCH64", _EM_AARCH64) or elf.elfclass != 64:
            raise BadImage(f"{self.path} is not a 64-bit Arm file but {elf.get_machine_arch()}")
        if not elf.little_endian:
            raise BadImage(f"{self.path} is big-endian; only little-endian guests are supported")
        return elf

    def _symbols(self) -> SymbolTable:
        try:
            table = self._elf.get_section_by_name(".symtab")
            if table is None:
                table = self._elf.get_section_by_name(".dynsym")
            if table is None:
                return SymbolTable([])
            strings = self._elf.get_section(table["sh_link"])
            return SymbolTable.parse(
                table.data(),
                strings.data(),
                slide=self.slide,
                sections=self._elf.num_sections(),
            )
        except Exception as error:
            raise BadImage(f"the symbol table of {self.path} is damaged: {error}") from error

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """(start, end) of every PT_LOAD segment in guest addresses, sorted."""
        found = []
        for segment in self._elf.iter_segments("PT_LOAD"):
            if segment["p_memsz"]:
                start = segment["p_vaddr"] + self.slide
                found.append((start, start + segment["p_memsz"]))
        return sorted(found)

    def covers(self, address: int) -> bool:
        """Whether ``address`` lies in one of the file's segments."""
        return any(start <= address < end for start, end in self.segments)

    @cached_property
    def _dwarf(self) -> DWARFInfo | None:
        try:
            if not self._elf.has_dwarf_info():
                return None
            return self._elf.get_dwarf_info()
        except Exception as error:
            raise BadImage(f"the debug information of {self.path} is damaged: {error}") from error

    @property
    def has_types(self) -> bool:
        """Whether the file has DWARF type information (``.debug_info``)."""
        return (
            self._elf.get_section_by_name(".debug_info") is not None
            or self._elf.get_section_by_name(".zdebug_info") is not None
        )

    @cached_property
    def lines(self) -> LineTable:
        """The line table; empty if the file has none."""
        dwarf = self._dwarf
        if dwarf is None or not self.has_types:
            return LineTable(None)
        try:
            return LineTable(dwarf, self.slide)
        except Exception as error:
            raise BadImage(f"the line numbers of {self.path} are damaged: {error}") from error

    @cached_property
    def frames(self) -> FrameTable:
        """The call frame information (``.debug_frame``, ``.eh_frame``); empty if there is none."""
        dwarf = self._dwarf
        if dwarf is None:
            return FrameTable([])
        try:
            return FrameTable.from_dwarf(dwarf, self.slide)
        except Exception:
            return FrameTable([])  # the unwinder then uses frame records
