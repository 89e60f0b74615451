"""Backtraces: by call frame information, else by prologue analysis, else by frame records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guestdbg.arm64.instructions import without_pac
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.unwind.backtrace import Backtrace, Frame
from guestdbg.debugger.unwind.prologue_analysis import caller, frame_state

if TYPE_CHECKING:
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.debugger.program.symbol_table import Symbol

__all__ = ["Unwinder"]

_FP, _LR, _SP = 29, 30, 31
_U64 = (1 << 64) - 1


class Unwinder:
    """Finds frames from registers, over the images, other symbols and memory of a guest."""

    def __init__(
        self,
        images: list[Image],
        locate: Callable[[int], Location],
        read: Callable[[int, int], bytes],
        sources: Sequence[SymbolSource] = (),
    ) -> None:
        self._images = images
        self._sources = sources
        self._locate = locate
        self._read = read

    def frames(self, registers: list[int], pc: int, limit: int, location: Location) -> Backtrace:
        """Frames from ``pc`` outwards, at most ``limit``; inlined functions have frames too.

        ``registers`` are X0 to X30 and SP, ``location`` that of ``pc``. The backtrace ends at a
        return address of 0. It is cut at memory that cannot be read, and at a caller whose frame is
        not further towards the stack's base.
        """
        found = Backtrace()
        self._add(found, pc, registers[_SP], location)
        state = dict(enumerate(registers))
        innermost = True
        while len(found) <= limit:
            # Look up the call, not the return address. If the call never returns, the return
            # address may be the first instruction of the next function.
            try:
                outer = self._caller(pc if innermost else pc - 4, state, innermost)
            except AddressError as error:
                found.cut = f"the next frame cannot be read: {error}"
                break
            if outer is None:
                if state[_FP] & 7:
                    found.cut = f"no caller is known: X29 is {state[_FP]:#x}, not a frame record"
                break
            if not _outwards(state, outer):
                found.cut = "the next frame would be inside this one: is the stack damaged?"
                break
            last, pc = pc, without_pac(outer[_LR])
            if pc == 0:
                break
            if pc == last and all(outer.get(n) == state.get(n) for n in (_FP, _SP)):
                found.cut = "the next frame would be the same: is the stack damaged?"
                break
            self._add(found, pc, outer.get(_SP), self._locate(pc - 4))
            state, innermost = outer, False
        return found.limited(limit)

    def _add(self, found: Backtrace, pc: int, sp: int | None, location: Location) -> None:
        """Add the frame of a function, after those of the functions inlined there."""
        for each in location.chain:
            found.append(Frame(len(found), pc, sp, each, each.caller is not None))

    def _caller(self, pc: int, state: dict[int, int], innermost: bool) -> dict[int, int] | None:
        image = next((i for i in self._images if i.covers(pc)), None)
        if image is not None and _SP in state:
            found = image.frames.caller(pc, state, self._read_u64)
            if found is not None:
                return found
        found = self._by_code(self._symbol(image, pc), pc, state, innermost)
        if found is not None:
            return found
        return self._by_frame_record(state)

    def _symbol(self, image: Image | None, pc: int) -> Symbol | None:
        if image is not None:
            return image.symbols.at(pc)
        return next((s for source in self._sources if (s := source.at(pc)) is not None), None)

    def _by_code(
        self, symbol: Symbol | None, pc: int, state: dict[int, int], innermost: bool
    ) -> dict[int, int] | None:
        if symbol is None or pc & 3 or not symbol.contains(pc):
            return None
        code = self._read(symbol.address, symbol.size & ~3)
        found = frame_state(code, symbol.address, pc)
        return None if found is None else caller(found, state, self._read_u64, innermost)

    def _by_frame_record(self, state: dict[int, int]) -> dict[int, int] | None:
        """Follow X29 to a pair of the caller's X29 and the return address (AAPCS64, 6.4.6)."""
        fp = state[_FP]
        if fp == 0 or fp & 7:
            return None
        return {_FP: self._read_u64(fp), _LR: self._read_u64(fp + 8)}

    def _read_u64(self, address: int) -> int:
        return int.from_bytes(self._read(address, 8), "little")


def _outwards(state: dict[int, int], caller: dict[int, int]) -> bool:
    """Whether the caller's frame is further towards the stack's base, or at the same SP."""
    if _SP in caller and _SP in state:
        return caller[_SP] >= state[_SP]
    return caller[_FP] == 0 or caller[_FP] > state[_FP] or _SP in caller
