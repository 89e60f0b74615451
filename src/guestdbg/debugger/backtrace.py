"""Who called whom: frames by call frame information, else by the chain of frame records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.image import Image
from guestdbg.debugger.location import Location

__all__ = ["Frame", "strip_pac", "unwind"]

_FP, _LR, _SP = 29, 30, 31
_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a backtrace, the innermost being number 0.

    ``pc`` is where the frame goes on: for callers the return address, while ``location`` is that
    of the call. ``sp`` is the stack pointer there, None where only frame records were followed.
    """

    number: int
    pc: int
    sp: int | None
    location: Location

    def __str__(self) -> str:
        return f"#{self.number} {self.pc:#x} in {self.location}"


def strip_pac(address: int) -> int:
    """A return address without its pointer authentication code (and without a tag).

    Bit 55 tells the half of the address space; what lies above 48 bits of address is the code.
    A guest with 52-bit addresses signs fewer bits, and none of its code lies that high.
    """
    if address >> 55 & 1:
        return address | 0xFFFF_0000_0000_0000
    return address & 0x0000_FFFF_FFFF_FFFF


def unwind(
    registers: list[int],
    pc: int,
    *,
    images: list[Image],
    locate: Callable[[int], Location],
    read_u64: Callable[[int], int],
    limit: int = 64,
) -> list[Frame]:
    """Frames from ``pc`` outwards, at most ``limit``.

    ``registers`` are X0 to X30 and SP. Ends where a return address is 0, memory cannot be read, or
    the stack would not grow towards its base.
    """
    frames = [Frame(0, pc, registers[_SP], locate(pc))]
    state = dict(enumerate(registers))
    sp: int | None = registers[_SP]
    while len(frames) < limit:
        # A return address may be the first of the next function, when the call never returns.
        lookup = pc if len(frames) == 1 else pc - 1
        try:
            caller = _by_cfi(lookup, state, images, read_u64)
            if caller is not None:
                if sp is not None and caller[_SP] < sp:
                    break
                sp = caller[_SP]
            else:
                caller = _by_frame_record(lookup, state, frames, read_u64)
                sp = None
        except AddressError:
            break
        if caller is None:
            break
        pc = strip_pac(caller[_LR])
        if pc == 0 or (pc == frames[-1].pc and caller.get(_SP) == state.get(_SP)):
            break
        frames.append(Frame(len(frames), pc, sp, locate(pc - 1)))
        state = caller
    return frames


def _by_cfi(
    pc: int, state: dict[int, int], images: list[Image], read_u64: Callable[[int], int]
) -> dict[int, int] | None:
    if _SP not in state:
        return None
    for image in images:
        if any(start <= pc < end for start, end in image.segments):
            return image.frames.caller(pc, state, read_u64)
    return None


def _by_frame_record(
    pc: int, state: dict[int, int], frames: list[Frame], read_u64: Callable[[int], int]
) -> dict[int, int] | None:
    """Follow X29 (AAPCS64, section 6.4.6): a pair of the caller's X29 and the return address."""
    fp = state[_FP]
    if len(frames) == 1 and frames[0].location.offset == 0 and frames[0].location.function:
        # Nothing of the function has run: its caller is in X30, its caller's record in X29.
        return {_FP: fp, _LR: state[_LR], _SP: state[_SP]}
    if fp == 0 or fp & 7:
        return None
    previous, lr = read_u64(fp), read_u64(fp + 8)
    if previous and previous <= fp:
        return {_FP: 0, _LR: lr}  # the chain must lead towards the stack's base; this is the last
    return {_FP: previous, _LR: lr}
