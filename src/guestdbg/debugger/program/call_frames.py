"""DWARF call frame information: finding a function's caller without a frame pointer."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program.elf_bounds import check_call_frames, section_bytes

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["FrameTable"]

# DWARF register numbers of AArch64 (DWARF for the Arm 64-bit Architecture, section 4.1).
_SP, _LR = 31, 30
_BACK = 8
#: The entries of a section of more bytes are read when they are needed.
_LARGE = 1 << 20
_WIDE = _CIE = 0xFFFF_FFFF
_HEADER = struct.Struct("<IIQQ")

Registers = dict[int, int]
ReadWord = Callable[[int], int]


class FrameTable:
    """The frame description entries of one image, sorted by address."""

    def __init__(self, entries: list[tuple[int, int, Any, int]]) -> None:
        self._entries = sorted(entries, key=lambda e: e[0])
        self._starts = [e[0] for e in self._entries]

    @classmethod
    def from_dwarf(
        cls,
        dwarf: DWARFInfo,
        slide: int = 0,
        is_code: Callable[[int, int], bool] = lambda start, length: True,
    ) -> FrameTable:
        """Collect the entries of ``.debug_frame`` and ``.eh_frame``.

        ``is_code`` says whether code at an address (as linked) of so many bytes is in the image:
        linkers leave the entries of functions that they remove.
        """
        from elftools.dwarf.callframe import FDE

        parsed: list[Any] = []
        entries: list[tuple[int, int, Any, int]] = []
        if dwarf.has_CFI():
            section = section_bytes(dwarf.debug_frame_sec)
            check_call_frames(section, eh=False)
            if len(section) < _LARGE:
                parsed += dwarf.CFI_entries()
            else:
                entries += [
                    (start + slide, start + length + slide, entry, slide)
                    for start, length, entry in _unread(dwarf, section)
                    if is_code(start, length)
                ]
        if dwarf.has_EH_CFI():
            check_call_frames(section_bytes(dwarf.eh_frame_sec), eh=True)
            parsed += dwarf.EH_CFI_entries()
        for entry in parsed:
            if isinstance(entry, FDE) and is_code(
                entry["initial_location"], entry["address_range"]
            ):
                start = entry["initial_location"] + slide
                entries.append((start, start + entry["address_range"], entry, slide))
        return cls(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def merged(self, other: FrameTable) -> FrameTable:
        """The entries of both."""
        return FrameTable(self._entries + other._entries)

    def _row(self, pc: int) -> dict[Any, Any] | None:
        """The rules at ``pc``; None if no entry covers it, or if the entry is damaged."""
        i = bisect_right(self._starts, pc)
        # Entries may overlap, as those of two sections do: look back a little.
        found = next((e for e in reversed(self._entries[max(0, i - _BACK) : i]) if pc < e[1]), None)
        if found is None:
            return None
        _start, _end, entry, slide = found
        row: dict[Any, Any] | None = None
        try:
            table = entry.get_decoded().table
        except Exception:  # pyelftools may raise anything
            return None
        for line in table:
            if line["pc"] + slide > pc:
                break
            row = line
        return row

    def cfa(self, pc: int) -> tuple[int, int] | None:
        """The canonical frame address at ``pc``: a DWARF register number, and what is added to it.

        None if that is not known, or is an expression.
        """
        row = self._row(pc)
        if row is None or row["cfa"].reg is None:
            return None
        return int(row["cfa"].reg), int(row["cfa"].offset)

    def keeps_return_address(self, pc: int) -> bool:
        """Whether the function's own return address is said to be in LR still at ``pc``."""
        row = self._row(pc)
        if row is None:
            return False
        rule = row.get(_LR)
        if rule is None or rule.type == "SAME_VALUE":
            return True
        return bool(rule.type == "REGISTER" and rule.arg == _LR)

    def caller(self, pc: int, registers: Registers, read_u64: ReadWord) -> Registers | None:
        """The registers of the caller of the function that ``pc`` is in.

        ``registers`` maps DWARF numbers (0 to 30, 31 for SP) to values. In the result, 30 is the
        return address, which is 0 in the outermost frame. None if no entry covers ``pc``, or if
        its rule for the CFA is an expression.
        """
        row = self._row(pc)
        if row is None:
            return None
        cfa_rule = row["cfa"]
        if cfa_rule.reg is None or cfa_rule.reg not in registers:
            return None  # an expression, which compilers do not write for ordinary AArch64 code
        cfa = registers[cfa_rule.reg] + cfa_rule.offset & 0xFFFF_FFFF_FFFF_FFFF
        caller = dict(registers)
        for number, rule in row.items():
            if not isinstance(number, int):
                continue
            if rule.type == "OFFSET":
                caller[number] = read_u64(cfa + rule.arg & 0xFFFF_FFFF_FFFF_FFFF)
            elif rule.type == "VAL_OFFSET":
                caller[number] = cfa + rule.arg & 0xFFFF_FFFF_FFFF_FFFF
            elif rule.type == "REGISTER":
                caller[number] = registers.get(rule.arg, 0)
            elif rule.type == "UNDEFINED" and number == _LR:
                caller[_LR] = 0  # marks the outermost frame, which has no caller
        caller[_SP] = cfa
        return caller


class _Unread:
    """An entry of ``.debug_frame`` that is read when an address in its function is unwound."""

    __slots__ = ("_at", "_frames")

    def __init__(self, frames: Any, at: int) -> None:
        self._frames = frames
        self._at = at

    def get_decoded(self) -> Any:
        return self._frames._parse_entry_at(self._at).get_decoded()


def _unread(dwarf: DWARFInfo, section: bytes) -> Iterator[tuple[int, int, _Unread]]:
    """(address as linked, length, entry) of the functions; 32-bit DWARF, 64-bit addresses."""
    from elftools.dwarf.callframe import CallFrameInfo

    described: Any = dwarf.debug_frame_sec
    frames = CallFrameInfo(
        stream=described.stream,
        size=described.size,
        address=described.address,
        base_structs=dwarf.structs,
    )
    at = 0
    while at + _HEADER.size <= len(section):
        length, cie, start, size = _HEADER.unpack_from(section, at)
        if length == _WIDE:
            raise ValueError("the call frame information is in 64-bit DWARF")
        if cie != _CIE:
            yield start, size, _Unread(frames, at)
        at += 4 + length
