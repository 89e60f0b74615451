"""What a load or store accesses: each instruction word is decoded once, and the result is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from guestdbg.arm64.instructions import accesses, memory_operand
from guestdbg.kvm.regs import PC, X

__all__ = ["READ", "WRITE", "AccessPlan", "Touched", "access_plan"]

READ, WRITE = 1, 2
_CACHED_PLANS = 65536
_SP = 31
_IDS = {f"x{n}": reg for n, reg in enumerate(X)} | {"pc": PC}

GetReg = Callable[[int], int]
GetSp = Callable[[], int]


class Touched(NamedTuple):
    """Bytes that an instruction accesses: ``bits`` is 1 for a read, 2 for a write, 3 for both."""

    address: int
    size: int
    bits: int


class AccessPlan:
    """What one instruction accesses, and how to compute the address from the registers.

    Attributes:
        touched: called before the instruction is executed, with functions that read a register by
            its one-reg id and the stack pointer, it gives what will be accessed. Adjoining
            accesses of one instruction are given as one. None if the instruction is not known.
        exclusive, store_exclusive: it is a load- or store-exclusive; it is a store-exclusive.
        status: the number of a store-exclusive's status register; else None.
        unprivileged: it accesses memory as EL0 does (LDTR, STTR).
        base: for the simplest forms the one-reg id of the base register; else None. These access
            ``size`` bytes at its value plus ``offset``.
        bits: 1 for a read, 2 for a write, 3 for both.
    """

    __slots__ = (
        "base",
        "bits",
        "exclusive",
        "offset",
        "size",
        "status",
        "store_exclusive",
        "touched",
        "unprivileged",
    )

    def __init__(self, raw: int) -> None:
        operand = memory_operand(raw)
        self.exclusive = operand is not None and operand.exclusive
        self.store_exclusive = self.exclusive and operand is not None and operand.writes
        self.status = operand.status if operand is not None else None
        self.unprivileged = operand is not None and operand.unprivileged
        self.base: int | None = None
        self.offset = self.size = self.bits = 0
        if operand is not None:
            self.offset, self.size = operand.offset, operand.total
            self.bits = (READ if operand.reads else 0) | (WRITE if operand.writes else 0)
            if operand.index is None and not operand.authenticated and operand.base < _SP:
                self.base = X[operand.base]
        self.touched: Callable[[GetReg, GetSp], Touched | None] = partial(_general, raw)


def _general(raw: int, get: GetReg, sp: GetSp) -> Touched | None:
    def read_reg(name: str) -> int:
        if name == "sp":
            return sp()
        return get(_IDS[name])

    found = accesses(raw, read_reg)
    if not found:
        return None
    bits = (READ if found[0].is_read else 0) | (WRITE if found[0].is_write else 0)
    return Touched(found[0].address, sum(a.size for a in found), bits)


@lru_cache(maxsize=_CACHED_PLANS)
def access_plan(raw: int) -> AccessPlan:
    """The plan of an instruction word."""
    return AccessPlan(raw)
