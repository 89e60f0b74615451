"""A comparison or a counter and the branch after it: fused or not, the results must be equal.

The expected result is computed in Python. In one run the processor can fuse them; in pieces of one
instruction it cannot.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT

from .support import B_SELF, CODE, EL1H, Bench, movz

CONDITIONS = ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
CONDITIONS += ("al", "nv")
SP = 31
# Around zero and the limits of both widths, and halves that differ.
VALUES = [0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x1_00000000, 0x1_00000001]
VALUES += [(1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 1]
IMMEDIATES = [0, 1, 2, 0xFFF]


def cmp_registers(width: int, second: int) -> int:
    return (width == 64) << 31 | 0x6B00_001F | 2 << 16 | 1 << 5


def cmp_immediate(width: int, second: int) -> int:
    return (width == 64) << 31 | 0x7100_001F | second << 10 | 1 << 5


def cmp_shifted_immediate(width: int, second: int) -> int:
    return cmp_immediate(width, second >> 12) | 1 << 22


def cmp_sp(width: int, second: int) -> int:
    """SP is the only register that a comparison with a number has beside the general ones."""
    return cmp_immediate(width, second) | SP << 5


KINDS: dict[str, tuple[Callable[[int, int], int], list[int]]] = {
    "registers": (cmp_registers, VALUES),
    "immediate": (cmp_immediate, IMMEDIATES),
    "shifted immediate": (cmp_shifted_immediate, [n << 12 for n in IMMEDIATES]),
    "sp": (cmp_sp, IMMEDIATES),
}


def flags(a: int, b: int, width: int) -> tuple[bool, bool, bool, bool]:
    """NZCV of a - b."""
    mask, top = (1 << width) - 1, 1 << width - 1
    a, b = a & mask, b & mask
    difference = (a ^ top) - (b ^ top)  # of the signed values: the offset goes out
    return bool(a - b & top), a == b, a >= b, not -top <= difference < top


def holds(condition: str, a: int, b: int, width: int) -> bool:
    n, z, c, v = flags(a, b, width)
    whether = {
        "eq": z, "cs": c, "mi": n, "vs": v, "hi": c and not z, "ge": n == v,
        "gt": n == v and not z,
    }  # fmt: skip
    opposite = {"ne": "eq", "cc": "cs", "pl": "mi", "vc": "vs", "ls": "hi", "lt": "ge", "le": "gt"}
    if condition in opposite:
        return not whether[opposite[condition]]
    return whether.get(condition, True)


def program(compare: int, condition: str) -> list[int]:
    branch = 0x5400_0000 | 3 << 5 | CONDITIONS.index(condition)
    return [compare, branch, movz(9, 1), B_SELF, movz(9, 2), B_SELF]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_flags_and_the_way_taken(kind: str, width: int, condition: str) -> None:
    encode, seconds = KINDS[kind]
    for b in seconds:
        bench = Bench(program(encode(width, b), condition))
        for pieces in ([3], [1, 1, 1], [1, 2], [2, 1]):
            for a in VALUES:
                p = bench.p
                p.pc, p.pstate = CODE, EL1H
                p.set_x(1, a)
                p.set_x(2, b)
                p.sp_el1 = a
                p.set_x(9, 0)
                retired = p.instructions
                for piece in pieces:
                    assert bench.run(piece) == EXIT_LIMIT
                what = f"{a:#x} {b:#x} in {pieces}"
                assert p.get_x(9) == 1 + holds(condition, a, b, width), what
                n, z, c, v = flags(a, b, width)
                assert p.pstate == EL1H | n << 31 | z << 30 | c << 29 | v << 28, what
                assert p.instructions == retired + 3


MOV_X1_X1 = 0xAA01_03E1


def counted(a: int, b: int, width: int, subtract: bool) -> tuple[int, bool, bool]:
    """The result of ADDS or SUBS, C and V."""
    mask, top = (1 << width) - 1, 1 << width - 1
    a &= mask
    if subtract:
        _, _, c, v = flags(a, b, width)
        return a - b & mask, c, v
    signed = (a ^ top) - top + b
    return a + b & mask, a + b > mask, not -top <= signed < top


@pytest.mark.parametrize("condition", ["eq", "ne", "mi", "cs"])
@pytest.mark.parametrize("to", [1, 9, 31], ids=["same", "other", "zero"])
@pytest.mark.parametrize("subtract", [False, True], ids=["adds", "subs"])
@pytest.mark.parametrize("width", [32, 64])
def test_a_counter_and_the_way_taken(width: int, subtract: bool, to: int, condition: str) -> None:
    for b in (0, 1, 2, 0xFFF):
        count = (width == 64) << 31 | subtract << 30 | 0x3100_0000 | b << 10 | 1 << 5 | to
        branch = 0x5400_0000 | 3 << 5 | CONDITIONS.index(condition)
        # The first operand comes from the instruction before, where both are in one block.
        bench = Bench([MOV_X1_X1, count, branch, movz(10, 1), B_SELF, movz(10, 2), B_SELF])
        for pieces in ([4], [1, 1, 1, 1], [1, 3], [2, 2]):
            for a in [*VALUES, b, (1 << width) - b & (1 << 64) - 1]:
                p = bench.p
                p.pc, p.pstate = CODE, EL1H
                p.set_x(1, a)
                p.set_x(9, 7)
                retired = p.instructions
                for piece in pieces:
                    assert bench.run(piece) == EXIT_LIMIT
                value, c, v = counted(a, b, width, subtract)
                n, z = bool(value >> width - 1), value == 0
                what = f"{a:#x} {b:#x} in {pieces}"
                assert p.pstate == EL1H | n << 31 | z << 30 | c << 29 | v << 28, what
                taken = {"eq": z, "ne": not z, "mi": n, "cs": c}[condition]
                assert p.get_x(10) == 1 + taken, what
                assert p.get_x(1) == (value if to == 1 else a), what
                assert p.get_x(9) == (value if to == 9 else 7), what
                assert p.instructions == retired + 4


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("before", [False, True], ids=["armed at once", "armed later"])
def test_a_breakpoint_at_either_of_the_two(place: int, before: bool) -> None:
    bench = Bench(program(cmp_registers(64, 0), "eq"))
    if before:
        assert bench.run(3) == EXIT_LIMIT  # decoded, fused, executed
        assert bench.p.get_x(9) == 2
        bench.p.pc = CODE
    bench.p.set_x(1, 5)
    bench.arm(breakpoints=[(CODE + 4 * place, 0x1E7)])
    retired = bench.p.instructions
    assert bench.run(100) == EXIT_EL2
    assert bench.p.pc == CODE + 4 * place
    assert bench.p.instructions == retired + place


def test_a_loop_leaves_at_its_end_and_at_any_limit() -> None:
    """cmp and b.lt at the end of a block that is its own successor."""
    loop = [0x9100_0421, 0xEB02_003F, 0x54FF_FFCB, B_SELF]  # add x1, x1, #1; cmp x1, x2; b.lt -2
    for limit in range(1, 40):
        bench = Bench(loop)
        bench.p.set_x(2, 10)
        assert bench.run(limit) == EXIT_LIMIT
        assert bench.p.instructions == limit
        assert bench.p.get_x(1) == min(10, (limit + 2) // 3)
        assert bench.p.pc == CODE + 4 * (limit % 3 if limit < 30 else 3)
