"""What a load or store accesses: decoded once an instruction, and kept ready for the next time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from guestdbg.arm64.instructions import accesses, memory_operand
from guestdbg.kvm.regs import core_reg

__all__ = ["READ", "WRITE", "Decoder", "Plan", "Touched"]

READ, WRITE = 1, 2
_CACHED = 65536
_SP = 31
_X = {f"x{n}": core_reg(f"x{n}") for n in range(31)}
_PC = core_reg("pc")

GetReg = Callable[[int], int]
GetSp = Callable[[], int]


class Touched(NamedTuple):
    """Bytes that an instruction accesses: ``bits`` is 1 for a read, 2 for a write, 3 for both."""

    address: int
    size: int
    bits: int


class Plan:
    """All that the debugger wants to know of one instruction.

    ``touched`` gives what it accesses, from the registers as they are before it: called with a way
    to read a register by its one-reg id, and one to read the stack pointer. Adjoining accesses of
    one instruction are told as one. None where the decoder does not know the instruction.
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
        #: For the plainest forms, the one-reg id of the base register; else None. What they
        #: access is ``size`` bytes at its value plus ``offset``.
        self.base: int | None = None
        self.offset = self.size = self.bits = 0
        if operand is not None:
            self.offset, self.size = operand.offset, operand.total
            self.bits = (READ if operand.reads else 0) | (WRITE if operand.writes else 0)
            if operand.index is None and not operand.authenticated and operand.base < _SP:
                self.base = _X[f"x{operand.base}"]
        self.touched: Callable[[GetReg, GetSp], Touched | None] = partial(_general, raw)


def _general(raw: int, get: GetReg, sp: GetSp) -> Touched | None:
    def read_reg(name: str) -> int:
        if name == "sp":
            return sp()
        return get(_PC if name == "pc" else _X[name])

    found = accesses(raw, read_reg)
    if not found:
        return None
    bits = (READ if found[0].is_read else 0) | (WRITE if found[0].is_write else 0)
    return Touched(found[0].address, sum(a.size for a in found), bits)


class Decoder:
    """Plans by instruction."""

    __slots__ = ("_plans",)

    def __init__(self) -> None:
        self._plans: dict[int, Plan] = {}

    def plan(self, raw: int) -> Plan:
        """The plan of an instruction word."""
        plan = self._plans.get(raw)
        if plan is None:
            if len(self._plans) >= _CACHED:
                self._plans.clear()
            plan = self._plans[raw] = Plan(raw)
        return plan
