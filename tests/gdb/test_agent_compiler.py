"""Compiled agent expressions: the same results as in Python, or they are left to Python."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_HIT, EXIT_LIMIT, HitPrograms
from guestdbg.gdb.agent import AgentError, EvaluationError, Expression, evaluate, parse
from guestdbg.gdb.agent.compiler import any_of
from guestdbg.gdb.agent.hit_target import register_operations
from guestdbg.gdb.agent.opcodes import OPCODE_INFO, Opcode
from guestdbg.kvm.hit_programs import MAX_DEPTH
from tests.cpu.support import CODE, DATA, NOP, RAM, Bench

U64 = (1 << 64) - 1
SIZE = 1 << 20
BENCH = Bench([NOP, NOP])
REGISTERS = [*(DATA + 8 * n for n in range(8)), *(3**n * (-1) ** n & U64 for n in range(8, 31))]
MEMORY = bytes(n * 37 & 0xFF for n in range(256)) + struct.pack("<4q", -1, 0, 1, DATA)
BENCH.ram[0x10000 : 0x10000 + len(MEMORY)] = MEMORY
SP = 0x4000_8000

Part = Opcode | tuple[Opcode, int]


class Target:
    """The registers and memory of the bench, for the evaluation in Python."""

    def read_register(self, number: int) -> int:
        known = {31: SP, 32: CODE, 33: BENCH.p.pstate}
        if number < 31:
            return REGISTERS[number]
        if number not in known:
            raise EvaluationError(f"no register {number}")
        return known[number]

    def read_memory(self, address: int, length: int) -> bytes:
        if not RAM <= address <= RAM + SIZE - length:
            raise EvaluationError(f"no memory at {address:#x}")
        return BENCH.ram[address - RAM : address - RAM + length]


def python(expressions: list[Expression]) -> bool | None:
    """As a breakpoint's condition: true if any is not 0; None if one before it has no value."""
    for expression in expressions:
        try:
            if evaluate(expression, Target()):
                return True
        except EvaluationError:
            return None
    return False


def processor(expressions: list[Expression]) -> bool | str | None:
    """The processor's result; None: it left it to Python; "never": it cannot be compiled."""
    steps = any_of(expressions, register_operations)
    if steps is None:
        return "never"
    bench = BENCH
    bench.p.pc = CODE
    for n, value in enumerate(REGISTERS):
        bench.p.set_x(n, value)
    bench.p.sp_el1 = SP
    bench.arm([(CODE, 0x1E7)], [])
    programs = HitPrograms([(1, CODE, 0, 0, steps, None, ())])
    bench.p.set_programs(programs)
    before = bytes(bench.ram[0x10000 : 0x10000 + len(MEMORY)])
    exit_ = bench.run(1)
    assert bytes(bench.ram[0x10000 : 0x10000 + len(MEMORY)]) == before == MEMORY
    if exit_ == EXIT_LIMIT:
        assert programs.counts(0) == (1, 0)
        return False
    assert exit_ == EXIT_HIT
    (hit,) = programs.hit()[4]
    return True if hit[1] else None


def assert_the_same(expressions: list[Expression]) -> bool | str | None:
    decided = processor(expressions)
    if decided is not None and decided != "never":
        assert decided == python(expressions)
    return decided


VALUES = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([U64, 1 << 63, (1 << 63) - 1, 1 << 32, (1 << 31) - 1, 0x80, 0xFF]),
    st.integers(0, U64),
    st.integers(DATA - 16, DATA + 300),
    st.sampled_from([DATA + 0xFFC, RAM - 1, RAM + SIZE - 4, 0x0900_0000, 1 << 50]),
).map(lambda n: n & U64)
ONE = [
    op
    for op in Opcode
    if op in OPCODE_INFO
    and OPCODE_INFO[op] in ((0, 1, 1), (0, 2, 1), (0, 1, 2), (0, 2, 2), (0, 3, 3))
]


@st.composite
def bodies(draw: st.DrawFn, least: int = 1) -> tuple[list[Part], int]:
    """Instructions that push some values, and how many."""
    parts: list[Part] = []
    depth = 0
    for _ in range(draw(st.integers(least, 14))):
        choices: list[Part] = [op for op in ONE if OPCODE_INFO[op].consumed <= depth]
        if depth > 1:
            choices.append(Opcode.POP)
        kind = draw(st.integers(0, 3 if depth else 1))
        if kind == 0 or (kind == 1 and not depth):
            parts.append((Opcode.CONST64, draw(VALUES)))
            depth += 1
        elif kind == 1:
            operand = draw(st.integers(0, depth - 1))
            parts.append((Opcode.PICK, operand))
            depth += 1
        elif kind == 2 and draw(st.booleans()):
            parts.append((Opcode.REG, draw(st.integers(0, 33))))
            depth += 1
        elif draw(st.integers(0, 5)) == 0:
            op = draw(st.sampled_from([Opcode.EXT, Opcode.ZERO_EXT]))
            parts.append((op, draw(st.integers(1, 70))))
        else:
            op = draw(st.sampled_from(choices))
            assert isinstance(op, Opcode)
            parts.append(op)
            depth += OPCODE_INFO[op].produced - OPCODE_INFO[op].consumed
    return parts, depth


def code(parts: list[Part]) -> bytes:
    out = b""
    for part in parts:
        op, operand = part if isinstance(part, tuple) else (part, 0)
        out += bytes([op]) + operand.to_bytes(OPCODE_INFO[op].operand_size, "big")
    return out


def reduced(body: tuple[list[Part], int]) -> bytes:
    """Instructions that push one value."""
    parts, depth = body
    return code([*parts, *[Opcode.BIT_XOR] * (depth - 1)])


END = bytes([Opcode.END])


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    """Without jumps and with more on the stack; and with a choice between two expressions."""
    condition = draw(bodies())
    if draw(st.booleans()):
        return parse(code(condition[0]) + END)
    test, yes, no = reduced(condition), reduced(draw(bodies())), reduced(draw(bodies()))
    target = len(test) + 3 + len(no)
    if draw(st.booleans()):  # two ends
        test += bytes([Opcode.IF_GOTO]) + (target + 1).to_bytes(2, "big")
        return parse(test + no + END + yes + END)
    test += bytes([Opcode.IF_GOTO]) + (target + 3).to_bytes(2, "big")
    over = bytes([Opcode.GOTO]) + (target + 3 + len(yes)).to_bytes(2, "big")
    return parse(test + no + over + yes + END)


@given(st.lists(expressions(), min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_the_processor_agrees_with_python(made: list[Expression]) -> None:
    assert_the_same(made)


@given(st.binary(min_size=1, max_size=24))
@settings(max_examples=500, deadline=None)
def test_arbitrary_bytes(raw: bytes) -> None:
    try:
        made = parse(raw + END)
    except AgentError:
        return
    assert_the_same([made])


def test_most_expressions_are_decided_by_the_processor() -> None:
    """Otherwise the property above would be empty."""
    seen: dict[object, int] = {}

    @given(expressions())
    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    def count(made: Expression) -> None:
        decided = assert_the_same([made])
        seen[decided] = seen.get(decided, 0) + 1

    count()
    assert seen[True] > 30
    assert seen[False] > 30
    assert "never" not in seen


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("2200200000220127", "a loop: if_goto 0 after const8 0"),
        ("27", "it has an end without a value"),
        ("26004027", "register 64"),
        ("2201" * (MAX_DEPTH + 1) + "27", "too deep"),
    ],
)
def test_expressions_that_only_python_evaluates(raw: str, why: str) -> None:
    made = parse(bytes.fromhex(raw))
    assert processor([made]) == "never", why


def test_an_expression_too_deep_beside_another_is_left_to_python() -> None:
    deep = parse(bytes.fromhex("2201" * MAX_DEPTH + "27"))
    assert processor([deep]) is True
    assert processor([deep, deep]) == "never"
    long = parse(bytes.fromhex("2201" + "0e" * 1500 + "27"))
    assert processor([long]) is True
    assert processor([long] * 3) == "never"


def test_expressions_without_a_value_are_left_to_python() -> None:
    for raw in (
        "2201220005" + "27",  # 1 / 0
        "2500000000090000001727",  # ref8 of 0x09000000, which has no memory
        "2201" + "2241" + "09" + "27",  # 1 << 65
        f"25{DATA + 0xFFD:016x}1927",  # it crosses a page
    ):
        assert processor([parse(bytes.fromhex(raw))]) is None
