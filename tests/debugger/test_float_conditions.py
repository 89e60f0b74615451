"""Conditions with floats and V registers: the processor gives the same results as Python."""

from __future__ import annotations

import ast
import math
import random
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_HIT, EXIT_LIMIT, HitPrograms
from guestdbg.debugger.breakpoints.conditions.compiler import Shape
from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError
from guestdbg.debugger.errors import AddressError, NoDebugInfo, UnknownSymbol
from guestdbg.debugger.program.float_format import (
    BFLOAT16,
    BY_SIZE,
    DOUBLE,
    HALF,
    SINGLE,
    FloatFormat,
)
from guestdbg.debugger.program.static_address import StaticAddress
from tests.cpu.support import B_SELF, CODE, DATA, RAM, Bench

STORES = {2: 0x7D000020, 4: 0xBD000020, 8: 0xFD000020}  # str h0, s0, d0, [x1]
BENCHES = {size: Bench([raw, B_SELF]) for size, raw in STORES.items()}
for _bench in BENCHES.values():
    _bench.p.set_sysreg(SYSREGS["CPACR_EL1"].encoding, 3 << 20)
GAIN, RATIO, SHORT, BRAIN, LIMIT = (DATA + 0x100 + 8 * n for n in range(5))
VARIABLES = {
    "gain": StaticAddress(GAIN, 8, False, float_format=DOUBLE),
    "ratio": StaticAddress(RATIO, 4, False, float_format=SINGLE),
    "short": StaticAddress(SHORT, 2, False, float_format=HALF),
    "brain": StaticAddress(BRAIN, 2, False, float_format=BFLOAT16),
    "limit": StaticAddress(LIMIT, 4, True),
    "p.gain": StaticAddress(DATA + 0x140, 8, False, (0x100,), float_format=DOUBLE),
    "in_d9": StaticAddress(0, 8, False, register=64 + 9, in_register=True, float_format=DOUBLE),
    "in_s9": StaticAddress(0, 4, False, register=64 + 9, in_register=True, float_format=SINGLE),
}
NAN = 0x7FF8_0000_0000_0001
_RNG = random.Random("conditions")
V = [0, *(_RNG.getrandbits(128) for _ in range(31))]
V[1] = int.from_bytes(struct.pack("<2d", 1.5, -0.25), "little")
V[2] = int.from_bytes(struct.pack("<4f", 0.1, math.inf, -2.0, 0.0), "little")
V[3] = int.from_bytes(struct.pack("<8e", 0.5, 6e-8, -1.0, 2, 3, 4, 5, 6), "little")
V[4] = NAN
V[5] = 1 << 63
V[9] = int.from_bytes(struct.pack("<2d", 2.0**53, 1.0), "little")


def prepare(size: int, old: int, new: int, x2: int) -> Bench:
    bench = BENCHES[size]
    bench.p.pc = CODE
    bench.ram[DATA - RAM : DATA - RAM + size] = old.to_bytes(size, "little")
    data = struct.pack("<d", 1000.5) + struct.pack("<f4x", 0.1) + struct.pack("<e6x", -2.5)
    data += struct.pack("<H6x", 0x3FC0) + struct.pack("<i", -7)
    bench.ram[0x10100 : 0x10100 + len(data)] = data
    struct.pack_into("<Q", bench.ram, 0x10140, DATA)
    for n, value in enumerate(V):
        bench.p.set_v(n, value)
    bench.p.set_v(0, new)
    for n, value in ((1, DATA), (2, x2)):
        bench.p.set_x(n, value)
    return bench


def judge(text: str, size: int, old: int, new: int, x2: int) -> tuple[str, object]:
    """("processor", truth) or ("undecided", None); ("python", None) if it does not compile."""
    shape = Shape(size, True, VARIABLES.get, None, BY_SIZE[size])
    operations = Condition(text).compile(shape)
    if operations is None:
        return "python", None
    bench = prepare(size, old, new, x2)
    bench.arm([], [(DATA, 0x1FF7)])
    programs = HitPrograms([(0, DATA, size, 2, operations, None, ())])
    bench.p.set_programs(programs)
    exit_ = bench.run(1)
    if exit_ == EXIT_LIMIT:
        return "processor", False
    assert exit_ == EXIT_HIT
    return ("processor", True) if programs.hit()[4][0][1] else ("undecided", None)


class HitView(SimpleNamespace):
    """A hit in code without local variables."""

    def __getitem__(self, name: str) -> Any:
        found = VARIABLES.get(name)
        assert found is not None
        if found.register is not None:
            return BY_SIZE[found.size].value(V[found.register - 64] & (1 << 8 * found.size) - 1)
        address = GAIN if found.pointer_offsets else found.address
        bits = int.from_bytes(self.guest.read(address, found.size), "little")
        if found.float_format is None:
            return bits - (1 << 32) if bits >> 31 else bits
        return found.float_format.value(bits)


def read(address: int, length: int) -> bytes:
    if not RAM <= address <= RAM + (1 << 20) - length:
        raise AddressError(f"no memory at {address:#x}", address)
    return BENCHES[8].ram[address - RAM : address - RAM + length]


def python(text: str, size: int, old: int, new: int, x2: int) -> object:
    # Memory is read of one bench only.
    prepare(8, new, new, x2).ram[DATA - RAM : DATA - RAM + size] = new.to_bytes(size, "little")
    format_ = BY_SIZE[size]
    hit: Any = HitView(
        new=format_.value(new),
        old=format_.value(old),
        changed=old != new,
        pc=CODE,
        address=DATA,
        size=size,
        point=SimpleNamespace(seen=1),
        vcpu=SimpleNamespace(x=[0, DATA, x2, *[0] * 28], v=[new, *V[1:]], sp=0x7000),
        guest=SimpleNamespace(read=read),
        location="here",
    )
    try:
        return Condition(text)(hit)
    except ConditionError:
        return None


leaves = st.one_of(
    st.sampled_from(
        ["new", "old", "d0", "s0", "h0", "d1", "s2", "h3", "d4", "d5", "s31", "h17", "d9", "inf"]
        + ["v1.d[1]", "v3.h[7]", "v2.s[3]", "v6.b[15]", "v7.b.s[3]", "v8.d.s[1]", "v9.d.u[0]"]
        + ["v1.d.f[1]", "v2.s.f[1]", "v3.h.f[1]", "gain", "ratio", "short", "brain", "limit"]
        + ["p.gain", "in_d9", "in_s9", "f64[x1 + 0x100]", "f32[x1 + 0x108]", "f16[x1 + 272]"]
        + ["x2", "w2", "size", "count", "0", "1", "-1", "0.0", "-0.0", "1.5", "1e300", "5e-324"]
        + [str(2**53), str(2**53 + 1), "9007199254740992.0", str(2**63), "9223372036854775808.0"]
        + ["True", "f64[x2]", "u8[x1]"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(0, (1 << 64) - 1).map(str),
)
binary = st.sampled_from(["+", "-", "*", "/", "//", "%", "+", "-", "*", "/", "&", "<<"])
compare = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def grow(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, parts, binary, parts),
        st.builds("({} {} {})".format, parts, compare, parts),
        st.builds("({} {} {} {} {})".format, parts, compare, parts, compare, parts),
        st.builds("({} and {})".format, parts, parts),
        st.builds("({} or {})".format, parts, parts),
        st.builds("({}{})".format, st.sampled_from(["not ", "-", "+"]), parts),
        st.builds(
            "({} {} ({}, {}))".format, parts, st.sampled_from(["in", "not in"]), parts, parts
        ),
    )


def patterns(size: int) -> st.SearchStrategy[int]:
    form = BY_SIZE[size]
    return st.one_of(
        st.integers(0, (1 << 8 * size) - 1),
        st.floats().map(form.bits),
        st.integers(-20, 20).map(lambda n: form.bits(n / 4)),
    )


values = st.sampled_from(sorted(STORES)).flatmap(
    lambda size: st.tuples(st.just(size), patterns(size), patterns(size))
)
u64 = st.one_of(st.integers(0, 20), st.integers(0, (1 << 64) - 1))


def short_circuits(text: str) -> bool:
    """Python may leave a part out. The processor evaluates all, and leaves an error to Python."""
    return any(
        isinstance(node, ast.BoolOp) or (isinstance(node, ast.Compare) and len(node.ops) > 1)
        for node in ast.walk(ast.parse(text, mode="eval"))
    )


@settings(max_examples=1500, deadline=None)
@given(st.recursive(leaves, grow, max_leaves=10), values, u64)
def test_the_processor_evaluates_as_python_does(
    text: str, value: tuple[int, int, int], x2: int
) -> None:
    size, old, new = value
    try:
        where, truth = judge(text, size, old, new, x2)
    except ConditionError:
        return  # a float as an operand of &
    if where == "processor":
        assert truth is python(text, size, old, new, x2)
    elif where == "undecided" and "/" not in text and not short_circuits(text):
        assert python(text, size, old, new, x2) is None  # an error


ONE, TWO = DOUBLE.bits(1.0), DOUBLE.bits(2.0)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("new > old", True),
        ("new == 2.0 and old == 1", True),
        ("new / old == 2", True),
        ("new - old > 0.5e0", True),
        ("d1 == 1.5 and v1.d.f[1] == -0.25", True),
        ("s2 == 0.1", False),  # which no value of single precision is
        ("0.0999 < s2 < 0.1001", True),
        ("v2.s.f[1] == inf and -v2.s.f[1] < -1e300", True),
        ("h3 == 0.5 and v3.h[7] == 0x4600", True),
        ("v1.d[0] == 0x3ff8000000000000", True),
        ("q1 == 0xbfd00000000000003ff8000000000000", True),
        ("q1 != 0xbfd00000000000003ff8000000000000", False),
        ("q1 == v1 and not q1 != q1", True),
        ("q5 and not q5 == 0", True),
        ("q1 in (3, 0xbfd00000000000003ff8000000000000)", True),
        ("d4 != d4", True),
        ("d4 == d4 or d4 < 1 or d4 >= 1 or d4 in (d4, 1)", False),
        ("d4 not in (d4, 1)", True),
        ("d4", True),
        ("d5", False),  # -0.0
        ("d5 == 0", True),
        ("d9 == 9007199254740992 and d9 != 9007199254740993", True),
        ("d9 < 9007199254740993 and 9007199254740993 > d9", True),
        ("x2 == 3 and x2 / 2 == 1.5", True),
        ("x2 // 2.0 == 1 and -x2 % 2.0 == 1.0 and -x2 // 2.0 == -2", True),
        ("gain == 1000.5 and p.gain == gain", True),
        ("ratio < 0.2 and short == -2.5 and brain == 1.5", True),
        ("limit == -7.0 and limit + 0.5 == -6.5", True),
        ("in_d9 == d9 and in_s9 == 0", True),
        ("f64[x1 + 0x100] == 1000.5", True),
        ("new and not d5", True),
    ],
)
def test_examples(text: str, holds: bool) -> None:
    assert judge(text, 8, ONE, TWO, 3) == ("processor", holds)
    assert python(text, 8, ONE, TWO, 3) is holds


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (NAN, NAN, False),
        (NAN, NAN + 1, True),
        (0, 1 << 63, True),  # 0.0 and -0.0, which are equal
        (ONE, ONE, False),
        (ONE, TWO, True),
    ],
)
def test_a_change_is_one_of_the_bits(old: int, new: int, changed: bool) -> None:
    for text in ("old != new", "new != old", "not old == new", "not (new == old)"):
        assert judge(text, 8, old, new, 0) == ("processor", changed)
        assert python(text, 8, old, new, 0) is changed
    assert python("new - old != 0", 8, NAN, NAN, 0) is True  # other comparisons are Python's


@pytest.mark.parametrize(
    "text", ["new / 0", "new // 0.0", "new % (d5 * 0)", "f64[x2]", "x2 / 0", "1.5 / old"]
)
def test_errors_are_left_to_python(text: str) -> None:
    assert judge(text, 8, 0, ONE, 1 << 62) == ("undecided", None)
    assert python(text, 8, 0, ONE, 1 << 62) is None


def test_large_integers_are_divided_by_python() -> None:
    text = f"(x2 + {1 << 60}) / 3 == {((1 << 60) + 1) / 3!r}"
    assert judge(text, 8, 0, 0, 1) == ("undecided", None)
    assert python(text, 8, 0, 0, 1) is True


@pytest.mark.parametrize("text", ["q1 > 5", "q1 & 1", "q1 >> 64", "v1 + 1 == 2", "u8[d1]"])
def test_what_only_python_evaluates(text: str) -> None:
    assert judge(text, 8, 0, 0, 1)[0] == "python"


def test_whole_registers_in_python() -> None:
    assert python("q1 >> 64 == 0xbfd0000000000000 and v1 > 5 and q1 & 1 == 0", 8, 0, 0, 1) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "v0.d[2] == 1",
            "v0.d[2]: V registers have two doublewords: v0.d[0] and v0.d[1]",
        ),
        ("v7.s[4]", "v7.s[4]: V registers have four words: v7.s[0] to v7.s[3]"),
        ("v7.h[8]", "v7.h[8]: V registers have eight halfwords: v7.h[0] to v7.h[7]"),
        ("v7.b[16]", "v7.b[16]: V registers have 16 bytes: v7.b[0] to v7.b[15]"),
        ("v7.d", "v7.d: V registers have two doublewords"),
        ("v7.d[x0]", "v7.d[x0]: which lane it is must be a number"),
        ("v7.b.f[0]", "v7.b.f[0]: a lane is bits (.u) or bits with a sign (.s)"),
        ("v7.d.x[0]", "v7.d.x[0]: a lane is numbers (.f), bits (.u)"),
        ("v7.lower == 1", "v7.lower: a V register has bytes (v7.b[15])"),
        ("v7[3] == 1", "v7[3]: a V register has bytes (v7.b[15])"),
        ("d0 & 1", "'d0' as an operand of &, which takes integers; the bits"),
        ("1.5 << 2", "'1.5' as an operand of <<"),
        ("~v0.s.f[1]", "'v0.s.f[1]' as an operand of ~"),
        ("new == nan", "nan, to which nothing is equal; new != new"),
        ("new < 1e999", "a number that is too large for a double; write inf"),
        ("new == 2j", "'2j', which is not part of the language"),
        ("new + 'a'", "arithmetic is on numbers only"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Condition(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d32", "d32: the double-precision registers are d0 to d31"),
        ("s99", "s99: the single-precision registers are s0 to s31"),
        ("h40", "h40: the half-precision registers are h0 to h31"),
        ("q32", "q32: the Q registers are q0 to q31"),
        ("v32.d[0]", "v32: the V registers are v0 to v31"),
        ("x31", "x31: the general-purpose registers are x0 to x30"),
    ],
)
def test_registers_that_do_not_exist(name: str, message: str) -> None:
    condition = Condition(f"{name} == 1")

    def unknown(expression: str) -> object:
        raise UnknownSymbol(expression, [], "variable")

    def without_types(expression: str) -> object:
        raise NoDebugInfo(expression)

    for missing in (unknown, without_types):
        with pytest.raises(ConditionError) as caught:
            condition.check(missing)
        assert message in str(caught.value)
    condition.check(lambda expression: None)  # a variable of that name


def test_a_variable_that_does_not_exist_stays_one() -> None:
    def unknown(expression: str) -> object:
        raise UnknownSymbol(expression, [], "variable")

    with pytest.raises(UnknownSymbol):
        Condition("d100 == 1").check(unknown)


@pytest.mark.parametrize("text", ["(d0, 1.5) == 3", "0.5 in (1, 2)", "(1.5, 2) == d1"])
def test_floats_beside_what_is_no_number(text: str) -> None:
    assert python(text, 8, 0, 0, 0) in (False, None)


def test_bits_of_a_float_in_an_operator_at_a_hit() -> None:
    with pytest.raises(ConditionError, match="& takes integers, and this is a float"):
        Condition("new & 1")(SimpleNamespace(new=1.5, location="here"))  # type: ignore[arg-type]
    with pytest.raises(ConditionError, match="an address is an integer, and this is a float"):
        Condition("u8[new]")(SimpleNamespace(new=1.5, location="here"))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [HALF, BFLOAT16, SINGLE, DOUBLE])
def test_texts_lose_nothing(form: FloatFormat) -> None:
    rng = random.Random(form.name)
    many = range(1 << 16) if form.size == 2 else [rng.getrandbits(8 * form.size)] * 3000
    if form.size > 2:
        many = [rng.getrandbits(8 * form.size) for _ in range(3000)]
    for bits in many:
        text, value = form.text(bits), form.value(bits)
        if math.isnan(value):
            sign, fraction = text.startswith("-"), int(text.split("(")[1].rstrip(")"), 16)
            exponent = ((1 << 8 * form.size - 1 - form.fraction) - 1) << form.fraction
            assert bits == sign << 8 * form.size - 1 | exponent | fraction
        else:
            assert form.bits(float(text)) == bits
            assert form.bits(value) == bits


def test_texts_are_short() -> None:
    assert SINGLE.text(SINGLE.bits(0.1)) == "0.1"
    assert HALF.text(HALF.bits(0.1)) == "0.1"
    assert BFLOAT16.text(BFLOAT16.bits(3.14)) == "3.14"
    assert DOUBLE.text(DOUBLE.bits(0.1)) == "0.1"
    assert SINGLE.text(0x7F80_0000) == "inf"
    assert SINGLE.text(0xFFC0_0001) == "-nan(0x400001)"
    assert DOUBLE.text(1 << 63) == "-0.0"
    assert SINGLE.bits(1e39) == 0x7F80_0000
    assert HALF.bits(-1e6) == 0xFC00
