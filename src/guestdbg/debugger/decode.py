"""What a load or store accesses, decoded once an instruction and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from guestdbg.arm64 import instructions
from guestdbg.debugger.opcodes import is_exclusive, is_store_exclusive

__all__ = ["Decoder", "Plan", "Touched"]

_READ, _WRITE = 1, 2
_CACHED = 65536


class Touched(NamedTuple):
    """Bytes that an instruction accesses: ``bits`` is 1 for a read, 2 for a write, 3 for both."""

    address: int
    size: int
    bits: int


ReadReg = Callable[[int], int]


class Plan:
    """All that the debugger wants to know of one load or store."""

    __slots__ = ("is_exclusive", "is_store_exclusive", "raw", "status", "touched")

    def __init__(self, raw: int) -> None:
        self.raw = raw
        self.is_exclusive = is_exclusive(raw)
        self.is_store_exclusive = is_store_exclusive(raw)
        self.status = raw >> 16 & 31
        self.touched: Callable[[ReadReg], tuple[Touched, ...] | None] = _general(raw)


def _general(raw: int) -> Callable[[ReadReg], tuple[Touched, ...] | None]:
    raise NotImplementedError


class Decoder:
    """Plans by instruction."""

    __slots__ = ("_plans",)

    def __init__(self) -> None:
        self._plans: dict[int, Plan] = {}

    def plan(self, raw: int) -> Plan:
        """The plan of an instruction."""
        plan = self._plans.get(raw)
        if plan is None:
            if len(self._plans) >= _CACHED:
                self._plans.clear()
            plan = self._plans[raw] = Plan(raw)
        return plan
