"""Operations of conditions, compared with a short model; every accepted condition ends."""

from __future__ import annotations

import math
import operator
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_HIT, EXIT_LIMIT, HitPrograms
from guestdbg.kvm.hit_programs import MAX_DEPTH, SYSTEM_REGISTERS, Op, Operation
from tests.cpu.support import B_SELF, CODE, DATA, RAM, Bench

BENCH = Bench([0xF9000020, B_SELF])  # str x0, [x1]
BENCH.ram[0x10040:0x10080] = bytes(range(0x60, 0xA0))
OLD, NEW, SP = 0x8877665544332211, 0x1234, 0x4000_7000
X = [NEW, DATA, *(977**n * (-1) ** n & (1 << 64) - 1 for n in range(2, 31))]
_RNG = random.Random("v")


def _vector() -> bytes:
    """Lanes of every precision, also those that few values have."""
    kind = _RNG.randrange(4)
    if kind == 0:
        return struct.pack("<2d", _RNG.uniform(-9, 9), _RNG.choice((math.inf, 0.0, -0.0, 5e-324)))
    if kind == 1:
        return struct.pack("<4f", *(_RNG.choice((-1.5, 1e-45, math.nan, 3e38)) for _ in range(4)))
    if kind == 2:
        return struct.pack("<8e", *(_RNG.choice((6e-8, -65504.0, 0.1, -0.0)) for _ in range(8)))
    return _RNG.randbytes(16)


V = [_vector() for _ in range(32)]
for _n, _data in enumerate(V):
    BENCH.p.set_v(_n, int.from_bytes(_data, "little"))


class Undecided(Exception):
    """What is left to the debugger."""


def wrap(value: int) -> int:
    value &= (1 << 128) - 1
    return value - (1 << 128) if value >> 127 else value


def read(address: int, index: int) -> int:
    address &= (1 << 64) - 1
    size = index & 15
    if (
        not RAM <= address <= RAM + (1 << 20) - size
        or address // 4096 != (address + size - 1) // 4096
    ):
        raise Undecided
    data = BENCH.ram[address - RAM : address - RAM + size]
    return int.from_bytes(data, "little", signed=bool(index & 16))


def extend(value: int, bits: int, *, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> bits - 1 else value


def towards_0(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def value_of(bits: int) -> float:
    found: float = struct.unpack("<d", struct.pack("<Q", bits & (1 << 64) - 1))[0]
    return found


def bits_of(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def widen(bits: int, size: int) -> int:
    data = (bits & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bits_of(struct.unpack({2: "<e", 4: "<f", 8: "<d"}[size], data)[0])


def of_floats(compute: Callable[[float, float], Any]) -> Callable[[int, int], int]:
    def done(a: int, b: int) -> int:
        found = compute(value_of(a), value_of(b))
        return bits_of(found) if isinstance(found, float) else int(found)

    return done


def compare_float(a: int, b: int) -> int:
    value = value_of(b)
    return 2 if math.isnan(value) else (a > value) - (a < value)


def true_divide(a: int, b: int) -> int:
    if abs(a) > 1 << 53 or abs(b) > 1 << 53:
        raise Undecided
    return bits_of(a / b)


FLOATS: dict[int, Callable[[int, int], Any]] = {
    Op.FADD: of_floats(operator.add),
    Op.FSUB: of_floats(operator.sub),
    Op.FMUL: of_floats(operator.mul),
    Op.FDIV: of_floats(operator.truediv),
    Op.FFLOORDIV: of_floats(operator.floordiv),
    Op.FMOD: of_floats(operator.mod),
    Op.TRUEDIV: true_divide,
    Op.COMPARE_FLOAT: compare_float,
    Op.FEQ: of_floats(operator.eq),
    Op.FNE: of_floats(operator.ne),
    Op.FLT: of_floats(operator.lt),
    Op.FLE: of_floats(operator.le),
    Op.FGT: of_floats(operator.gt),
    Op.FGE: of_floats(operator.ge),
}
BINARY: dict[int, Callable[[int, int], Any]] = FLOATS | {
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
    Op.FLOORDIV: operator.floordiv,
    Op.MOD: operator.mod,
    Op.DIV: towards_0,
    Op.REM: lambda a, b: a - b * towards_0(a, b),
    Op.AND: operator.and_,
    Op.OR: operator.or_,
    Op.XOR: operator.xor,
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.BOTH: lambda a, b: bool(a) and bool(b),
    Op.EITHER: lambda a, b: bool(a) or bool(b),
}
VALUES = {
    Op.NEW: NEW,
    Op.OLD: OLD,
    Op.PC: CODE,
    Op.ADDRESS: DATA,
    Op.SIZE: 8,
    Op.COUNT: 1,
    Op.SP: SP,
}
UNARY: dict[int, Callable[[int, int], Any]] = {
    Op.NEG: lambda a, index: -a,
    Op.INVERT: lambda a, index: ~a,
    Op.NOT: lambda a, index: not a,
    Op.LOAD: read,
    Op.SEXT: lambda a, index: extend(a, index, signed=True),
    Op.ZEXT: lambda a, index: extend(a, index, signed=False),
    Op.WIDEN: widen,
    Op.TO_FLOAT: lambda a, index: bits_of(float(a)),
}


# One branch for each operation that is not in a table, in the order of Op.
# One branch for each operation.
def model(operations: list[Operation]) -> bool:  # noqa: C901
    stack: list[int] = []
    at = 0
    while at < len(operations):
        op, index, value = operations[at]
        at += 1
        match op:
            case Op.CONST:
                stack.append(wrap(value))
            case Op.X | Op.W:
                stack.append(X[index] & ((1 << 32) - 1 if op == Op.W else (1 << 64) - 1))
            case Op.PSTATE:
                stack.append(BENCH.p.pstate)
            case Op.SYSTEM:
                stack.append(BENCH.p.get_sysreg(value))
            case Op.MEMORY:
                stack.append(read(value, index))
            case Op.VECTOR:
                first, size = value & 255, value >> 8
                stack.append(int.from_bytes(V[index][first : first + size], "little"))
            case Op.PICK:
                stack.append(stack[-1 - index])
            case Op.DROP:
                stack.pop()
            case Op.SWAP:
                stack[-2:] = stack[-1], stack[-2]
            case Op.ROT:
                stack[-3:] = stack[-1], stack[-3], stack[-2]
            case Op.JUMP:
                at = value
            case Op.JUMP_IF:
                at = value if stack.pop() else at
            case Op.LSHIFT | Op.RSHIFT:
                b = stack.pop()
                if not 0 <= b <= 64:
                    raise Undecided
                stack[-1] = wrap(stack[-1] << b if op == Op.LSHIFT else stack[-1] >> b)
            case _ if op in VALUES:
                stack.append(VALUES[Op(op)])
            case _ if op in UNARY:
                stack[-1] = wrap(int(UNARY[op](stack[-1], index)))
            case _:
                b = stack.pop()
                try:
                    stack[-1] = wrap(int(BINARY[op](stack[-1], b)))
                except ZeroDivisionError:
                    raise Undecided from None
    (left,) = stack
    return left != 0


def processor(operations: list[Operation]) -> bool | None:
    """None: undecided. Raises ValueError for what is refused."""
    programs = HitPrograms([(0, DATA, 8, 2, tuple(operations), None, ())])
    bench = BENCH
    bench.p.pc = CODE
    struct.pack_into("<Q", bench.ram, DATA - RAM, OLD)
    for n, value in enumerate(X):
        bench.p.set_x(n, value)
    bench.p.sp_el1 = SP
    bench.arm([], [(DATA, 0x1FF7)])
    bench.p.set_programs(programs)
    exit_ = bench.run(1)
    if exit_ == EXIT_LIMIT:
        return False
    assert exit_ == EXIT_HIT
    return True if programs.hit()[4][0][1] else None


INDEX = st.integers(0, 33) | st.sampled_from([1, 2, 4, 8, 17, 18, 20, 24, 63, 64, 65, 255])
VALUE = st.one_of(
    st.integers(-2, 20),
    st.integers(DATA, DATA + 0x100),
    st.sampled_from([RAM - 1, RAM + (1 << 20) - 4, -1 << 127, (1 << 127) - 1, 1 << 64, 1 << 63]),
    st.sampled_from([*SYSTEM_REGISTERS.values()]),
    st.sampled_from([0x800, 0x808, 0x204, 0x40C, 0x10F]),
    st.floats().map(bits_of),
    st.sampled_from([0.5, -7.25, 1e300, 2.0**53 + 2, -(2.0**127)]).map(bits_of),
)
ARBITRARY = st.lists(st.tuples(st.integers(0, 80), INDEX, VALUE), min_size=1, max_size=12)


@given(ARBITRARY)
@settings(max_examples=400, deadline=None)
def test_any_operations_are_refused_or_done(operations: list[Operation]) -> None:
    try:
        decided = processor(operations)
    except ValueError:
        return
    assert_as_model(operations, decided)


def assert_as_model(operations: list[Operation], decided: bool | None) -> None:
    try:
        expected: bool | None = model(operations)
    except Undecided:
        expected = None
    assert decided is expected


_TAKES = dict.fromkeys(BINARY, 2) | {Op.LSHIFT: 2, Op.RSHIFT: 2} | dict.fromkeys(UNARY, 1)
_PUSHES = [*VALUES, Op.CONST, Op.X, Op.W, Op.MEMORY, Op.SYSTEM, Op.PSTATE, Op.PICK, Op.VECTOR]
_MOVES = {Op.DROP: (1, 0), Op.SWAP: (2, 2), Op.ROT: (3, 3)}


@st.composite
def sound(draw: st.DrawFn) -> list[Operation]:
    """Operations that are not refused: with jumps over parts that leave as much as they found."""
    operations: list[Operation] = []
    depth = 0
    for _ in range(draw(st.integers(1, 25))):
        choices: list[int] = [op for op in _TAKES if _TAKES[op] <= depth]
        choices += [op for op, (takes, puts) in _MOVES.items() if takes <= depth and depth > 1]
        choices += [op for op in _PUSHES if depth < MAX_DEPTH and (op != Op.PICK or depth)]
        if depth > 1 and depth < MAX_DEPTH:
            choices.append(Op.JUMP_IF)
        op = draw(st.sampled_from(choices))
        index, value = 0, 0
        if op in (Op.LOAD, Op.MEMORY):
            index = draw(st.sampled_from([1, 2, 4, 8, 17, 18, 20, 24]))
        elif op in (Op.SEXT, Op.ZEXT):
            index = draw(st.integers(1, 64))
        elif op in (Op.X, Op.W):
            index = draw(st.integers(0, 30))
        elif op == Op.PICK:
            index = draw(st.integers(0, depth - 1))
        elif op == Op.WIDEN:
            index = draw(st.sampled_from([2, 4, 8]))
        elif op == Op.VECTOR:
            index, size = draw(st.integers(0, 31)), draw(st.sampled_from([1, 2, 4, 8]))
            value = draw(st.integers(0, 16 // size - 1)) * size | size << 8
        if op in (Op.CONST, Op.MEMORY):
            value = draw(VALUE)
        elif op == Op.SYSTEM:
            value = draw(st.sampled_from([*SYSTEM_REGISTERS.values()]))
        if op == Op.JUMP_IF:
            other = draw(st.sampled_from([Op.NOT, Op.NEG, Op.INVERT]))
            here = len(operations)
            operations += [(Op.JUMP_IF, 0, here + 3), (other, 0, 0), (Op.JUMP, 0, here + 4)]
            operations.append((Op.INVERT, 0, 0))
            depth -= 1
            continue
        operations.append((op, index, value))
        takes, puts = _MOVES.get(Op(op), (_TAKES.get(op, 0), 1))
        depth += puts - takes
    return operations + [(Op.XOR, 0, 0)] * (depth - 1)


@st.composite
def of_values(draw: st.DrawFn) -> list[Operation]:
    """One operation of floats, with operands that are values and not their bits by chance."""
    integer = st.one_of(
        st.integers(-20, 20),
        st.integers(-(1 << 127), (1 << 127) - 1),
        st.integers(-3, 3).map(lambda n: n + (1 << 53)),
        st.integers(-3, 3).map(lambda n: n - (1 << 63)),
    )
    near = st.one_of(st.floats(), st.integers(-40, 40).map(lambda n: n / 4), integer.map(float))
    op = draw(st.sampled_from([*FLOATS]))
    takes_integers = {Op.TRUEDIV: (integer, integer), Op.COMPARE_FLOAT: (integer, near)}
    first, second = takes_integers.get(Op(op), (near, near))
    operands = [draw(first), draw(second)]
    operations: list[Operation] = [
        (Op.CONST, 0, bits_of(each) if isinstance(each, float) else each) for each in operands
    ]
    operations.append((op, 0, 0))
    if op < Op.FEQ and op != Op.COMPARE_FLOAT:  # all bits of the result
        expected = draw(st.sampled_from([True, False]))
        try:
            result = int(BINARY[op](*(each for _op, _index, each in operations[:2])))
        except (ZeroDivisionError, Undecided):
            result = 0
        if value_of(result) == value_of(result):  # the sign of a new NaN is not defined
            operations += [(Op.CONST, 0, result if expected else result ^ 1), (Op.EQ, 0, 0)]
        else:
            operations += [(Op.PICK, 0, 0), (Op.FNE, 0, 0)]
    return operations


@given(of_values())
@settings(max_examples=1500, deadline=None)
def test_floats_are_computed_as_python_does(operations: list[Operation]) -> None:
    assert_as_model(operations, processor(operations))


@pytest.mark.parametrize("size", [2, 4])
def test_every_short_value_is_widened_exactly(size: int) -> None:
    rng = random.Random("widen")
    many = range(1 << 16) if size == 2 else [rng.getrandbits(32) for _ in range(2000)]
    for first in range(0, len(many), 1000):
        part = many[first : first + 1000]
        operations: list[Operation] = [(Op.CONST, 0, 1)]
        for bits in part:
            wide = widen(bits, size)
            operations += [(Op.CONST, 0, bits), (Op.WIDEN, size, 0), (Op.CONST, 0, wide)]
            if math.isnan(value_of(wide)):  # some are made quiet
                operations += [(Op.DROP, 0, 0), (Op.PICK, 0, 0), (Op.FNE, 0, 0)]
            else:
                operations.append((Op.EQ, 0, 0))
            operations.append((Op.BOTH, 0, 0))
            if len(operations) > 4000:
                assert processor(operations) is True
                operations = [(Op.CONST, 0, 1)]
        assert processor(operations) is True


@pytest.mark.parametrize(
    "operation",
    [
        (Op.VECTOR, 32, 0x800),
        (Op.VECTOR, 0, 0x804),
        (Op.VECTOR, 0, 0x810),
        (Op.VECTOR, 0, 0x300),
        (Op.VECTOR, 0, 0),
    ],
)
def test_bytes_that_no_vector_register_has_are_refused(operation: Operation) -> None:
    with pytest.raises(ValueError, match="must be 1, 2, 4 or 8 in v0 to v31"):
        processor([operation])


@given(sound())
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_is_done_as_the_table_says(operations: list[Operation]) -> None:
    assert_as_model(operations, processor(operations))
