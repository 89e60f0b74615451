"""Compiled conditions give the same results as in Python, or are not compiled."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_HIT, EXIT_LIMIT, HitPrograms
from guestdbg.debugger.breakpoints.conditions.compiler import Shape
from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.program.static_address import StaticAddress
from guestdbg.kvm.hit_programs import MAX_OPERATIONS
from tests.cpu.support import B_SELF, CODE, DATA, RAM, Bench

VARIABLES = {
    "limit": StaticAddress(DATA + 0x100, 4, True),
    "queue.size": StaticAddress(DATA + 0x108, 2, False),
    # Pointers: to the variables above, and to an address without memory.
    "p.limit": StaticAddress(DATA + 0x110, 4, True, (0x100,)),
    "p.p.size": StaticAddress(DATA + 0x118, 2, False, (0x110, 0x108)),
    "lost.limit": StaticAddress(DATA + 0x120, 4, True, (8,)),
    "ready": StaticAddress(DATA + 0x128, 1, False, (), truth=True),
}
BENCH = Bench([0xF9000020, B_SELF])  # str x0, [x1]
SHAPE = Shape(8, True, VARIABLES.get)


def judge(text: str, old: int, new: int, x2: int, limit: int) -> tuple[str, object]:
    """("processor", truth) or ("undecided", None); ("python", None) if it does not compile."""
    operations = Condition(text).compile(SHAPE)
    if operations is None:
        return "python", None
    bench = BENCH
    bench.p.pc = CODE
    bench.set_u64(DATA, old)
    struct.pack_into("<i", bench.ram, 0x10100, limit)
    struct.pack_into("<H", bench.ram, 0x10108, 64)
    struct.pack_into("<QQQB", bench.ram, 0x10110, DATA, DATA, 0x10, 64)
    for n, value in ((0, new), (1, DATA), (2, x2), (30, 7)):
        bench.p.set_x(n, value)
    bench.p.sp_el1 = 0x7000
    bench.arm([], [(DATA, 0x1FF7)])
    programs = HitPrograms([(0, DATA, 8, 2, operations, None, ())])
    bench.p.set_programs(programs)
    exit_ = bench.run(1)
    if exit_ == EXIT_LIMIT:
        assert bench.u64(DATA) == new
        return "processor", False
    assert exit_ == EXIT_HIT
    (hit,) = programs.hit()[4]
    assert (hit[2], hit[3]) == (struct.pack("<Q", old), struct.pack("<Q", new))
    return ("processor", True) if hit[1] else ("undecided", None)


class HitWithVariables(SimpleNamespace):
    """A hit in code without local variables."""

    def __getitem__(self, name: str) -> Any:
        return self.guest[name]


class Variables(dict[str, int]):
    """The guest: its variables, and the memory of the processor."""

    def __missing__(self, name: str) -> int:
        raise AddressError(f"{name} is not there", 0)

    def read(self, address: int, length: int) -> bytes:
        if not RAM <= address <= RAM + (1 << 20) - length:
            raise AddressError(f"no memory at {address:#x}", address)
        return BENCH.ram[address - RAM : address - RAM + length]


def python(text: str, old: int, new: int, x2: int, limit: int) -> object:
    x = [0] * 31
    x[0], x[1], x[2], x[30] = new, DATA, x2, 7
    known = {"limit": limit, "queue.size": 64, "p.limit": limit, "p.p.size": 64, "ready": 1}
    variables = Variables(known)
    hit: Any = HitWithVariables(
        new=new,
        old=old,
        pc=CODE,
        address=DATA,
        size=8,
        point=SimpleNamespace(seen=1),
        vcpu=SimpleNamespace(x=x, sp=0x7000),
        guest=variables,
        location="here",
    )
    try:
        return Condition(text)(hit)
    except ConditionError:
        return None


leaves = st.one_of(
    st.sampled_from(
        ["new", "old", "pc", "sp", "lr", "address", "size", "count", "x2", "w2", "limit"]
        + ["queue.size", "True", "0", "1", "-1", "p.limit", "p.p.size", "lost.limit", "ready"]
        + ["u8[x1 + 8]", "s8[x1 + 0x101]", "s32[x1 + 256]", "u16[lr + x1 + 0x101]"]
        + ["u64[x1]", "s64[x1 - 1]", "u32[x2]", f"u32[{DATA + 0x100}]"]
    ),
    st.integers(0, (1 << 64) - 1).map(str),
    st.integers(0, 70).map(str),
)
binary = st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"])
compare = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def grow(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, parts, binary, parts),
        st.builds("({} {} {})".format, parts, compare, parts),
        st.builds("({} {} {} {} {})".format, parts, compare, parts, compare, parts),
        st.builds("({} and {})".format, parts, parts),
        st.builds("({} or {})".format, parts, parts),
        st.builds("({}{})".format, st.sampled_from(["not ", "-", "~", "+"]), parts),
        st.builds(
            "({} {} ({}, {}))".format, parts, st.sampled_from(["in", "not in"]), parts, parts
        ),
        st.builds("s16[x1 + {} % 300]".format, parts),
    )


u64 = st.one_of(st.integers(0, 20), st.integers(0, (1 << 64) - 1))


@settings(max_examples=800, deadline=None)
@given(st.recursive(leaves, grow, max_leaves=12), u64, u64, u64, st.integers(-5, 70))
def test_the_processor_evaluates_as_python_does(
    text: str, old: int, new: int, x2: int, limit: int
) -> None:
    where, truth = judge(text, old, new, x2, limit)
    if where == "processor":
        assert truth is python(text, old, new, x2, limit)


@pytest.mark.parametrize(
    "text",
    [
        "new > 8",
        "old != new and x2 == 3",
        "0x1000 <= pc < 0x2000",
        "count == 100000",
        "new != (old + 1) % queue.size",
        "new in (1, 2, 3) or not (x2 & 1)",
        "-limit < new",
        "p.limit == 3 and p.p.size < 9 and ready",
        "(new << 4) - lr > 5 * size",
        "u32[x0 + 8] == 5 and s8[u64[sp]] < 0",
        "CONTEXTIDR_EL1 == 7 and ttbr0_el1 >> 48 == 1",
    ],
)
def test_what_people_write_compiles(text: str) -> None:
    assert Condition(text).compile(SHAPE) is not None


@pytest.mark.parametrize(
    "text",
    [
        "function == 'main'",
        "new == None",
        "new << x2 == 0",
        "new * old * x2 > 5",
        "unknown.variable == 3",
        "(new or 5) == 5",
        "line == 3",
        "new in ()",
        "MIDR_EL1 == 3",
    ],
)
def test_conditions_that_only_python_evaluates_exactly(text: str) -> None:
    assert Condition(text).compile(SHAPE) is None


@pytest.mark.parametrize("text", ["new // (x2 - x2)", "new % 0 == 1", "u8[1 << 50]", "u8[-1]"])
def test_errors_are_left_to_python(text: str) -> None:
    assert judge(text, 1, 2, 3, 4) == ("undecided", None)
    assert python(text, 1, 2, 3, 4) is None


def test_more_operations_than_a_provider_takes_do_not_compile() -> None:
    text = f"new in ({'1,' * 1500}1999)"
    assert Condition(text).compile(SHAPE) is None
    assert python(text, 1, 1999, 3, 4) is True


def test_values_need_a_watch_of_an_integer() -> None:
    bare = Shape(0, True, VARIABLES.get)
    assert Condition("new > 1").compile(bare) is None
    assert Condition("x0 > 1").compile(bare) is not None
    assert Condition("count > 1").compile(Shape(8, False, VARIABLES.get)) is None


@pytest.mark.parametrize(
    "text",
    [
        "x2==1 or x2==(" * 45 + "x2 == 1" + ")" * 45,
        "(" * 90 + "x2" + " in (1, 2))" * 90,
    ],
)
def test_nested_conditions_compile_in_a_short_time(text: str) -> None:
    operations = Condition(text).compile(SHAPE)
    assert operations is None or len(operations) <= MAX_OPERATIONS
