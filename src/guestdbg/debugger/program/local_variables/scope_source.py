"""Names that code sees and that no debug information of an image has, such as those of BTF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["Argument", "Registers", "ScopeSource"]


class Argument(NamedTuple):
    """A parameter at the first instruction of its function.

    Attributes:
        type: its drgn type.
        register: 0 to 7: the X register that it is in.
    """

    type: Any
    register: int


class Registers(Protocol):
    """The registers of a vCPU."""

    @property
    def registers(self) -> Sequence[int]:
        """X0 to X30 and SP."""

    @property
    def now(self) -> int:
        """The PC that the registers belong to."""

    def get(self, register: int) -> int:
        """A register by its one-reg id."""


class ScopeSource(Protocol):
    """What names mean to the code at an address."""

    def is_everywhere(self, name: str) -> bool:
        """Whether a name means something to all code, such as ``current``."""

    def argument(self, name: str, pc: int) -> Argument | None:
        """The parameter of that name of the function that ``pc`` is in; None if it has none.

        Raises NotInScope if it has one whose value is not known at ``pc``.
        """

    def value(self, name: str, pc: int, registers: Registers) -> Any | None:
        """The drgn object of a name for the code at ``pc``; None if it has no such name.

        Raises NotInScope for a parameter whose value is not known there.
        """
