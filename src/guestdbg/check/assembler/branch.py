"""Branches (C4.1.95). A target is a byte offset from the instruction, or the name of a label."""

from collections.abc import Callable
from typing import overload

from guestdbg.check.assembler.fields import register, scaled, signed, unsigned
from guestdbg.check.assembler.program import Fixup

#: The number of each condition, by its name.
CONDITIONS = dict(
    zip(
        ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al"),
        range(15),
        strict=True,
    )
)


@overload
def _to(target: int, encode: Callable[[int], int]) -> int: ...
@overload
def _to(target: str, encode: Callable[[int], int]) -> Fixup: ...
def _to(target: int | str, encode: Callable[[int], int]) -> int | Fixup:
    return Fixup(target, encode) if isinstance(target, str) else encode(target)


def _imm(offset: int, bits: int) -> int:
    return signed(scaled(offset, 2), bits)


@overload
def b(target: int) -> int: ...
@overload
def b(target: str) -> Fixup: ...
def b(target: int | str) -> int | Fixup:
    """B."""
    return _to(target, lambda offset: 0x14000000 | _imm(offset, 26))


@overload
def bl(target: int) -> int: ...
@overload
def bl(target: str) -> Fixup: ...
def bl(target: int | str) -> int | Fixup:
    """BL."""
    return _to(target, lambda offset: 0x94000000 | _imm(offset, 26))


@overload
def b_cond(condition: str, target: int) -> int: ...
@overload
def b_cond(condition: str, target: str) -> Fixup: ...
def b_cond(condition: str, target: int | str) -> int | Fixup:
    """B.condition: ``b_cond("ne", "again")``."""
    word = 0x54000000 | CONDITIONS[condition]
    return _to(target, lambda offset: word | _imm(offset, 19) << 5)


@overload
def cbz(rt: int, target: int) -> int: ...
@overload
def cbz(rt: int, target: str) -> Fixup: ...
def cbz(rt: int, target: int | str) -> int | Fixup:
    """CBZ Xt."""
    return _to(target, lambda offset: 0xB4000000 | _imm(offset, 19) << 5 | register(rt))


@overload
def cbnz(rt: int, target: int) -> int: ...
@overload
def cbnz(rt: int, target: str) -> Fixup: ...
def cbnz(rt: int, target: int | str) -> int | Fixup:
    """CBNZ Xt."""
    return _to(target, lambda offset: 0xB5000000 | _imm(offset, 19) << 5 | register(rt))


def _test(word: int, rt: int, bit: int) -> int:
    unsigned(bit, 6, "bit")
    return word | bit >> 5 << 31 | (bit & 31) << 19 | register(rt)


@overload
def tbz(rt: int, bit: int, target: int) -> int: ...
@overload
def tbz(rt: int, bit: int, target: str) -> Fixup: ...
def tbz(rt: int, bit: int, target: int | str) -> int | Fixup:
    """TBZ Xt, #bit."""
    return _to(target, lambda offset: _test(0x36000000, rt, bit) | _imm(offset, 14) << 5)


@overload
def tbnz(rt: int, bit: int, target: int) -> int: ...
@overload
def tbnz(rt: int, bit: int, target: str) -> Fixup: ...
def tbnz(rt: int, bit: int, target: int | str) -> int | Fixup:
    """TBNZ Xt, #bit."""
    return _to(target, lambda offset: _test(0x37000000, rt, bit) | _imm(offset, 14) << 5)


def br(rn: int) -> int:
    """BR Xn."""
    return 0xD61F0000 | register(rn) << 5


def blr(rn: int) -> int:
    """BLR Xn."""
    return 0xD63F0000 | register(rn) << 5


def ret(rn: int = 30) -> int:
    """RET Xn."""
    return 0xD65F0000 | register(rn) << 5
