"""Load-exclusive/store-exclusive sequences, which a debugger must not stop within.

Every stop clears the exclusive monitor (DDI 0487, B2.12). The store-exclusive then fails, the
guest tries again and stops again, without end. A debugger therefore runs the whole sequence at
once, through its store-exclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guestdbg.arm64.instructions import branch, is_load_exclusive, is_store_exclusive

__all__ = ["BYTES_AFTER", "BYTES_BEFORE", "ExclusiveSequence", "ReadWord", "find"]

#: The longest sequence, in instructions. The architecture guarantees progress only for loops of
#: up to 128 bytes (B2.12.5), so real ones are shorter.
_LIMIT = 32
_RETRY_WITHIN = 4

#: Whether an address is in a sequence depends on the code from BYTES_BEFORE it to BYTES_AFTER it.
BYTES_BEFORE, BYTES_AFTER = 4 * 2 * _LIMIT, 4 * (_LIMIT + _RETRY_WITHIN + 2)

ReadWord = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class ExclusiveSequence:
    """Code from ``start`` to ``last`` (addresses of instructions, both included).

    ``load`` and ``store`` are the exclusives; ``exits`` are the addresses where execution leaves
    the sequence; ``status`` is the number of the register that is 0 if the store was made.
    """

    start: int
    load: int
    store: int
    last: int
    exits: tuple[int, ...]
    status: int

    def __contains__(self, pc: int) -> bool:
        return self.start <= pc <= self.last


def find(pc: int, word: ReadWord) -> ExclusiveSequence | None:
    """The sequence that the instruction at ``pc`` is part of, exclusives included.

    ``word`` reads an instruction, or returns None where there is no memory. The result is None if
    there is no sequence, or if it can leave to an unknown address (a call, a return).
    """
    raw = word(pc)
    if raw is None:
        return None
    load = pc if is_load_exclusive(raw) else _load_before(pc, word)
    if load is None:
        return None
    store = _store_after(load, word)
    if store is None or store < pc:
        return None
    store_raw = word(store)
    assert store_raw is not None
    start, last = load, store
    conditional = False
    for n in range(1, _RETRY_WITHIN + 1):
        at = store + 4 * n
        raw = word(at)
        if raw is None or _leaves(raw):
            break
        target = _target(raw, at)
        if raw >> 26 == _B and not conditional:
            break  # the loop around it, which it would never leave, or something else
        conditional = conditional or target is not None
        if (
            target is not None
            and load - 4 * _LIMIT <= target <= store
            and _may_retry(raw, store_raw >> 16 & 31)
        ):
            start, last = min(load, target), at
            break
    exits = {last + 4}
    for at in range(start, last + 4, 4):
        raw = word(at)
        if raw is None or _leaves(raw):
            return None
        target = _target(raw, at)
        if target is not None and not start <= target <= last:
            exits.add(target)
    return ExclusiveSequence(start, load, store, last, tuple(sorted(exits)), store_raw >> 16 & 31)


def _load_before(pc: int, word: ReadWord) -> int | None:
    for n in range(1, _LIMIT + 1):
        at = pc - 4 * n
        raw = word(at)
        if raw is None or is_store_exclusive(raw) or _leaves(raw) or raw == _CLREX | raw & 0xF00:
            return None
        if is_load_exclusive(raw):
            return at
    return None


def _store_after(load: int, word: ReadWord) -> int | None:
    for n in range(1, _LIMIT + 1):
        raw = word(load + 4 * n)
        if raw is None or is_load_exclusive(raw) or _leaves(raw):
            return None
        if is_store_exclusive(raw):
            return load + 4 * n
    return None


_CLREX = 0xD503305F
_B = 0b000101


def _target(raw: int, pc: int) -> int | None:
    """The target of a branch, conditional or not, whose encoding contains it."""
    found = branch(raw)
    return None if found is None or found.offset is None else pc + found.offset


def _may_retry(raw: int, status: int) -> bool:
    """Whether a branch back may depend on the status of the store.

    One that tests another register is that of a loop around the sequence, which it would be wrong
    to run as a whole.
    """
    found = branch(raw)
    return found is not None and found.test in (None, status)


def _leaves(raw: int) -> bool:
    """Whether the instruction is a call, or goes to an address that is not in its encoding."""
    return (
        raw >> 26 == 0b100101  # BL
        or raw >> 25 == 0b1101011  # BR, BLR, RET, ERET and their like
        or raw >> 24 == 0b11010100  # SVC, HVC, SMC, BRK, HLT
    )
