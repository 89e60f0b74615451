"""Finding a function's caller from its instructions, without call frame information.

Compiled code shows where it keeps the caller's frame pointer and the return address: it stores X29
and X30 relative to SP, and changes SP by constants. Following the function from its start along all
its branches gives, for each instruction, how far SP has moved and where the two were saved. This
works in leaf functions, in the middle of a prologue and after an epilogue, where the chain of frame
records skips a caller.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from guestdbg.arm64.instructions import BranchKind, branch, memory_operand

__all__ = ["FrameState", "caller", "frame_state"]

_FP, _LR, _SP = 29, 30, 31
_LIMIT = 16384


class FrameState(NamedTuple):
    """What the code before an instruction has done to the frame, relative to SP at entry.

    Attributes:
        moved: SP, in bytes; None if it cannot be predicted.
        fp: where X29 points, if it was set from SP.
        saved_fp, saved_lr: where the caller's X29 and X30 were stored.
        written: X30 no longer holds the return address.
    """

    moved: int | None = 0
    fp: int | None = None
    saved_fp: int | None = None
    saved_lr: int | None = None
    written: bool = False


def frame_state(code: bytes, start: int, pc: int) -> FrameState | None:
    """The state before the instruction at ``pc`` of the function with this ``code`` at ``start``.

    None if no path through the function leads there.
    """
    end = start + len(code)
    targets = _targets(code, start)
    seen: set[int] = set()
    waiting: deque[tuple[int, FrameState]] = deque([(start, FrameState())])
    while waiting and len(seen) < _LIMIT:
        at, state = waiting.pop()
        while start <= at < end - 3 and at not in seen:
            if at == pc:
                return state
            seen.add(at)
            raw = int.from_bytes(code[at - start : at - start + 4], "little")
            found = branch(raw)
            if found is None:
                state = _after(raw, state)
            elif found.kind is BranchKind.CALL:
                state = state._replace(written=True)
                if at + 4 in targets:
                    # The call may never return, and the code after it may belong to another path.
                    # Prefer the state of that path: look at this one last.
                    waiting.appendleft((at + 4, state))
                    break
            else:
                if found.offset is not None:
                    waiting.append((at + found.offset, state))
                if not found.conditional:
                    break
            at += 4
    return None


def _targets(code: bytes, start: int) -> set[int]:
    """The targets of the function's own branches."""
    found = set()
    for n, (raw,) in enumerate(struct.iter_unpack("<I", code)):
        to = branch(raw)
        if to is not None and to.offset is not None and to.kind is not BranchKind.CALL:
            found.add(start + 4 * n + to.offset)
    return found


def _after(raw: int, state: FrameState) -> FrameState:
    """The state after an instruction that is not a branch."""
    if raw & 0xBF800000 == 0x91000000 or raw & 0xFF800000 == 0xD1000000:
        return _add_immediate(raw, state)
    if raw & 0xBFE00000 == 0x8B200000 and raw & 31 == _SP:
        return state._replace(moved=None)  # ADD or SUB of a register to SP
    operand = memory_operand(raw)
    if operand is None:
        if raw & 31 == _LR and raw >> 25 & 7 in (0b100, 0b101):  # data processing
            return state._replace(written=True)
        return state
    if operand.base == _SP and not operand.simd and state.moved is not None:
        state = _saves(operand.registers, operand.writes, state, state.moved + operand.offset, raw)
    if operand.base == _SP and operand.writeback and state.moved is not None:
        state = state._replace(moved=state.moved + _writeback(raw))
    return state


def _saves(
    registers: tuple[int, ...], writes: bool, state: FrameState, place: int, raw: int
) -> FrameState:
    """The state after a store to, or load from, the stack, which may be of X29 or X30."""
    if raw >> 30 & 3 not in (0b11, 0b10):
        return state  # not of 64-bit registers
    for n, register in enumerate(registers):
        at = place + 8 * n
        if register == _FP:
            if not writes:
                state = state._replace(saved_fp=None, fp=None)
            elif state.saved_fp is None and state.fp is None:
                state = state._replace(saved_fp=at)
        elif register == _LR:
            if not writes:
                state = state._replace(saved_lr=None, written=state.saved_lr != at)
            elif state.saved_lr is None and not state.written:
                state = state._replace(saved_lr=at)
    return state


def _add_immediate(raw: int, state: FrameState) -> FrameState:
    amount = (raw >> 10 & 0xFFF) << (12 if raw >> 22 & 1 else 0)
    if raw >> 30 & 1:
        amount = -amount
    source, target = raw >> 5 & 31, raw & 31
    base = {_SP: state.moved, _FP: state.fp}.get(source)
    value = None if base is None else base + amount
    if target == _SP:
        return state._replace(moved=value)
    if target == _FP:
        return state._replace(fp=value)
    if target == _LR:
        return state._replace(written=True)
    return state


def _writeback(raw: int) -> int:
    """What a pre-indexed or post-indexed access adds to SP."""
    if raw >> 27 & 7 == 0b101:  # a pair: a 7-bit count of registers
        size = 4 << (raw >> 30 & 3) if raw >> 26 & 1 else (8 if raw >> 31 else 4)
        offset = raw >> 15 & 0x7F
        return (offset - 0x80 if offset & 0x40 else offset) * size
    offset = raw >> 12 & 0x1FF
    return offset - 0x200 if offset & 0x100 else offset


def caller(
    state: FrameState,
    registers: dict[int, int],
    read_u64: Callable[[int], int],
    innermost: bool,
) -> dict[int, int] | None:
    """The caller's X29, SP and PC (as 29, 31 and 30); None if they are not known."""
    if state.moved is not None and _SP in registers:
        entry = registers[_SP] - state.moved
    elif state.fp is not None:
        entry = registers[_FP] - state.fp
    else:
        return None
    mask = (1 << 64) - 1
    if state.saved_lr is not None:
        lr = read_u64(entry + state.saved_lr & mask)
    elif innermost and not state.written and _LR in registers:
        lr = registers[_LR]
    else:
        return None
    fp = registers[_FP]
    if state.saved_fp is not None:
        fp = read_u64(entry + state.saved_fp & mask)
    return {_FP: fp, _LR: lr, _SP: entry & mask}
