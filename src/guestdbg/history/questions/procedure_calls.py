"""What a function was given and what it returned, from the registers at its start and end.

Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64), sections 6.8 and 6.9: numbers and
pointers in X registers, floating-point numbers in V registers, structures of up to 16 bytes in one
or two X registers, or in V registers if all of their members have the same floating-point type.
Longer results are in memory whose address the function need not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guestdbg.debugger.program.drgn_import import drgn

__all__ = ["Result", "argument", "result_of"]

_MOST_IN_X = 16
_MOST_IN_V = 4
_REGISTERS = 8


@dataclass(frozen=True, slots=True)
class Result:
    """How a result is found.

    Attributes:
        type_: its drgn type.
        kind: ``"void"``, ``"x"`` (in X0 and X1), ``"v"`` (in V registers) or ``"memory"``.
        parts: bytes of it in each V register.
    """

    type_: Any
    kind: str
    parts: int = 0

    def value(self, program: Any, x: Sequence[int], v: Sequence[int]) -> tuple[Any, str | None]:
        """The value as Python has it, or why there is none."""
        if self.kind == "void":
            return None, None
        if self.kind == "memory":
            return None, (
                f"its result, {self.type_.type_name()}, is in memory, whose address is no longer "
                "known"
            )
        size = self.type_.size if hasattr(self.type_, "size") else 8
        if self.kind == "v":
            data = b"".join(each.to_bytes(16, "little")[: self.parts] for each in v)
        else:
            data = b"".join(each.to_bytes(8, "little") for each in x)
        try:
            return drgn().Object.from_bytes_(program, self.type_, data[:size]).value_(), None
        except (ValueError, LookupError, TypeError) as error:
            return None, f"its result cannot be shown: {error}"


def result_of(type_: Any) -> Result:
    """Where a result of a drgn type is."""
    plain = _plain(type_)
    kind = plain.kind.name
    if kind == "VOID":
        return Result(type_, "void")
    if kind == "FLOAT":
        return Result(type_, "v", plain.size)
    if kind in ("INT", "BOOL", "ENUM", "POINTER"):
        return Result(type_, "x" if (plain.size or 0) <= _MOST_IN_X else "memory")
    members = _floats(type_)
    if members is not None and 1 <= len(members) <= _MOST_IN_V:
        return Result(type_, "v", members[0])
    if kind in ("STRUCT", "UNION", "CLASS") and (plain.size or 0) <= _MOST_IN_X:
        return Result(type_, "x")
    return Result(type_, "memory")


def _plain(type_: Any) -> Any:
    """The type under typedefs."""
    while type_.kind.name == "TYPEDEF":
        type_ = type_.type
    return type_


def _floats(type_: Any) -> list[int] | None:
    """The sizes of the floating-point numbers that a type consists of, if they are all the same."""
    plain = _plain(type_)
    kind = plain.kind.name
    if kind == "FLOAT":
        return [plain.size]
    if kind == "ARRAY":
        each = _floats(plain.type)
        count = plain.length or 0
        return None if each is None or count * len(each) > _MOST_IN_V else each * count
    if kind not in ("STRUCT", "CLASS") or plain.members is None:
        return None
    found: list[int] = []
    for member in plain.members:
        each = _floats(member.type)
        if each is None or len(found) + len(each) > _MOST_IN_V:
            return None
        found += each
    return found if found and len(set(found)) == 1 else None


def argument(
    program: Any, types: Sequence[Any], number: int, x: Sequence[int], v: Sequence[int]
) -> Any | None:
    """The value of an argument that is in registers, from X0 to X7 and V0 to V7 at the start.

    ``types`` are the drgn types of all parameters. None: it is in memory.
    """
    next_x = next_v = 0
    for place, type_ in enumerate(types):
        plain = _plain(type_)
        size = plain.size if plain.kind.name != "POINTER" else 8
        floats = _floats(type_)
        if floats is not None and 1 <= len(floats) <= _MOST_IN_V:
            registers, first, width = v, next_v, floats[0]
            count = len(floats)
            next_v += count
        else:
            if size is None or not size:
                return None
            count = 1 if size > _MOST_IN_X else (size + 7) // 8  # of longer ones the address
            if count == 2 and plain.kind.name == "INT":
                next_x += next_x & 1
            registers, first, width = x, next_x, 8
            next_x += count
        if first + count > _REGISTERS:
            return None  # what follows may be in registers or not
        if place == number:
            if size > _MOST_IN_X and registers is x:
                return None
            data = b"".join(
                each.to_bytes(16, "little")[:width] for each in registers[first : first + count]
            )
            return drgn().Object.from_bytes_(program, type_, data[:size]).value_()
    return None
