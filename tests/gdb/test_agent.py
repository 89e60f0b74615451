"""Agent expressions: parsing, and evaluation in Python."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guestdbg.gdb.agent import AgentError, EvaluationError, evaluate, parse, parse_breakpoint_lists
from guestdbg.gdb.agent.evaluator import MAX_EVALUATED
from guestdbg.gdb.agent.opcodes import OPCODE_INFO, UNSUPPORTED, Opcode
from guestdbg.gdb.agent.opcodes import Opcode as O

U64 = (1 << 64) - 1


def code(*parts: Opcode | tuple[Opcode, int]) -> bytes:
    """The bytes of opcodes; one with an operand is given as (opcode, operand)."""
    out = b""
    for part in parts:
        op, operand = part if isinstance(part, tuple) else (part, 0)
        out += bytes([op]) + operand.to_bytes(OPCODE_INFO[op].operand_size, "big")
    return out


class Nothing:
    """A register holds its number times 3, a byte below 0x10000 the low byte of its address."""

    def read_register(self, number: int) -> int:
        return 3 * number

    def read_memory(self, address: int, length: int) -> bytes:
        if address + length > 0x10000:
            raise EvaluationError(f"no memory at {address:#x}")
        return bytes(n & 0xFF for n in range(address, address + length))


def value(*parts: Opcode | tuple[Opcode, int]) -> int | None:
    return evaluate(parse(code(*parts, O.END)), Nothing())


def c(number: int) -> tuple[Opcode, int]:
    return (O.CONST64, number & U64)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([c(7), c(5), O.SUB], 2),
        ([c(5), c(7), O.SUB], U64 - 1),
        ([c(-7), c(2), O.DIV_SIGNED], U64 - 2),
        ([c(-7), c(2), O.REM_SIGNED], U64),
        ([c(-7), c(2), O.DIV_UNSIGNED], (1 << 63) - 4),
        ([c(-7), c(2), O.REM_UNSIGNED], 1),
        ([c(-1 << 63), c(-1), O.DIV_SIGNED], 1 << 63),
        ([c(1), c(63), O.LSH], 1 << 63),
        ([c(1), c(64), O.LSH], 0),
        ([c(-8), c(1), O.RSH_SIGNED], U64 - 3),
        ([c(-8), c(100), O.RSH_SIGNED], U64),
        ([c(-8), c(-1), O.RSH_UNSIGNED], 0),
        ([c(-1), c(1), O.LESS_SIGNED], 1),
        ([c(-1), c(1), O.LESS_UNSIGNED], 0),
        ([c(0x80), (O.EXT, 8)], U64 - 0x7F),
        ([c(-1), (O.ZERO_EXT, 12)], 0xFFF),
        ([c(-1), (O.ZERO_EXT, 200)], U64),
        ([(O.CONST16, 0x8000)], 0x8000),
        ([(O.CONST8, 0xFF)], 0xFF),
        ([(O.REG, 5)], 15),
        ([c(0x102), O.REF16], 0x0302),
        ([c(0x1FC), O.REF64], 0x03020100FFFEFDFC),
        ([c(1), c(2), c(3), O.ROT, O.POP, (O.PICK, 1), O.SUB], U64 - 1),
        ([c(1), c(2), O.SWAP, O.SUB], 1),
        ([c(3), O.DUP, O.MUL], 9),
        ([c(3), O.LOG_NOT, O.LOG_NOT, O.BIT_NOT], U64 - 1),
    ],
)
def test_values(parts: list[Opcode | tuple[Opcode, int]], expected: int) -> None:
    assert value(*parts) == expected


@pytest.mark.parametrize(("decides", "expected"), [(1, 9), (0, 13)])
def test_jumps(decides: int, expected: int) -> None:
    text = code(c(9), (O.CONST8, decides), (O.IF_GOTO, 17), (O.CONST8, 4), O.ADD, O.END)
    assert len(text) == 18
    assert evaluate(parse(text), Nothing()) == expected


def test_rot_has_the_order_of_the_manual() -> None:
    """a b c => c a b."""
    for place, expected in ((0, 2), (1, 1), (2, 3)):
        assert value(c(1), c(2), c(3), O.ROT, (O.PICK, place)) == expected


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([c(1), c(0), O.DIV_SIGNED], "divides by 0"),
        ([c(1), c(0), O.REM_UNSIGNED], "divides by 0"),
        ([c(0x10000), O.REF8], "no memory at 0x10000"),
    ],
)
def test_evaluation_errors(parts: list[Opcode | tuple[Opcode, int]], text: str) -> None:
    with pytest.raises(EvaluationError, match=text):
        value(*parts)


def test_a_loop_ends() -> None:
    with pytest.raises(EvaluationError, match=str(MAX_EVALUATED)):
        evaluate(parse(bytes([O.GOTO, 0, 0])), Nothing())


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (b"", "empty agent expression"),
        (b"\x00", "byte 0 of an agent expression, 0x00, is not an opcode"),
        (b"\x31", "is not an opcode"),
        (b"\xff", "is not an opcode"),
        (bytes([O.CONST32, 1, 2, 3]), "const32 at byte 0 of an agent expression is cut short"),
        (bytes([O.REG]), "cut short"),
        (bytes([O.CONST8, 1]), "no end"),
        (bytes([O.CONST8, 1, O.GOTO, 0, 1, O.END]), "jumps to byte 1, where no instruction"),
        (bytes([O.CONST8, 1, O.IF_GOTO, 0xFF, 0xFF, O.END]), "jumps to byte 65535"),
        (bytes([O.ADD, O.END]), "add at byte 0 of an agent expression needs 2 values"),
        (bytes([O.CONST8, 1, O.PICK, 1, O.END]), "needs 2 values"),
        (bytes([O.CONST8, 1, O.EXT, 0, O.END]), "extends 0 bits"),
        (bytes([O.CONST8, 1, O.GOTO, 0, 0]), "is reached with 0 values on the stack and with 1"),
        (bytes([O.CONST8, 1]) * 257 + bytes([O.END]), "deeper than 256 values"),
        (bytes([O.END]) * 4097, "4096 at most"),
        (bytes([O.CONST8, 1, O.TRACE, O.END]), "part of tracepoints"),
        (bytes([O.GETV, 0, 1, O.END]), "getv at byte 0 .* part of tracepoints"),
        (bytes([O.FLOAT, O.ADD, O.END]), "floating point"),
        (bytes([O.PRINTF, 0, 0, 5, 65, 0]), "does not end with a zero byte"),
        (bytes([O.PRINTF, 0, 0, 0, O.END]), "does not end with a zero byte"),
        (bytes([O.CONST8, 0] * 2 + [O.PRINTF, 1, 0, 2, 65, 0, O.END]), "1 arguments.* takes 0"),
        (bytes([O.CONST8, 0] * 3 + [O.PRINTF, 1, 0, 3]) + b"%f\0\x27", "'%f' is not supported"),
    ],
)
def test_malformed_expressions_are_refused(expression: bytes, text: str) -> None:
    with pytest.raises(AgentError, match=text) as caught:
        parse(expression)
    assert caught.value.number == 22


def test_every_opcode_of_the_manual_is_known() -> None:
    assert set(OPCODE_INFO) | set(UNSUPPORTED) == set(Opcode)
    assert not set(OPCODE_INFO) & set(UNSUPPORTED)
    assert sorted(Opcode) == sorted({*range(1, 0x35)} - {0x31})


@given(st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_arbitrary_bytes_are_refused_or_evaluated(expression: bytes) -> None:
    try:
        made = parse(expression)
        evaluate(made, Nothing())
    except (AgentError, EvaluationError):
        pass


# ---- printf --------------------------------------------------------------------------------------


def printed(text: bytes, *values: int) -> bytes:
    out = bytearray()
    body = b"".join(code(c(v)) for v in [*reversed(values), 0, 0])  # the first on top
    body += bytes([O.PRINTF, len(values)]) + struct.pack(">H", len(text) + 1) + text + b"\0"
    assert evaluate(parse(body + bytes([O.END])), Strings(), out.extend) is None
    return bytes(out)


class Strings(Nothing):
    """A string at 0x80 that crosses the end of a chunk."""

    memory = bytes(0x80 - 5) + b"zero\0" + b"name" * 40 + b"\0" + bytes(512)

    def read_memory(self, address: int, length: int) -> bytes:
        return self.memory[address : address + length]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (rb"plain\n\t\"\\\101\x42%%", [], b'plain\n\t"\\AB%'),
        (b"%d %u %x %X %o", [-1, -1, 0xBEEF, 0xBEEF, 8], b"-1 4294967295 beef BEEF 10"),
        (
            b"%ld %lu %llx %hhd %hx",
            [-2, -2, -1, 0x1FF, -1],
            b"-2 18446744073709551614 " + b"f" * 16 + b" -1 ffff",
        ),
        (
            b"[%5d|%-5d|%05d|%+d|% d|%.3d|%8.3d]",
            [1, 2, -3, 4, 5, 6, 7],
            b"[    1|2    |-0003|+4| 5|006|     007]",
        ),
        (b"%#x %#X %#o %#x %p", [255, 255, 8, 0, 0x1000], b"0xff 0XFF 010 0 0x1000"),
        (b"%08lx|%#10x|%-#10x|", [0xABC, 0xABC, 0xABC], b"00000abc|     0xabc|0xabc     |"),
        (b"%c%c[%3c]", [72, 105, 33], b"Hi[  !]"),
        (b"%s|%.4s|%6.4s|%s", [0x80, 0x80, 0x80, 0x7B], b"name" * 40 + b"|name|  name|zero"),
        (b"%zu %jd %td", [1, -1, -1], b"1 -1 -1"),
    ],
)
def test_printf_prints_as_c_does(text: bytes, values: list[int], expected: bytes) -> None:
    assert printed(text, *values) == expected


@given(
    st.sampled_from(["", "-", "+", " ", "0", "#", "-+", "+0", "#0", "- "]),
    st.integers(0, 20),
    st.none() | st.integers(0, 20),
    st.sampled_from("dx"),
    st.integers(-(1 << 31), (1 << 31) - 1),
)
def test_numbers_are_printed_as_python_prints_them(
    flags: str, width: int, precision: int | None, conversion: str, number: int
) -> None:
    """Python's % prints d and x as C does, where C defines it."""
    dots = "" if precision is None else f".{precision}"
    text = f"%{flags}{width or ''}{dots}{conversion}"
    number = number if conversion == "d" else abs(number)
    if conversion == "x":
        flags = flags.replace("+", "").replace(" ", "")
    if (precision == 0 and number == 0) or ("#" in flags and number == 0):
        return  # Python prints a 0, and 0x before it
    if "0" in flags and precision is not None:
        return  # Python heeds the 0
    python = f"%{flags}{width or ''}{dots}{conversion}" % number
    assert printed(text.encode(), number).decode() == python


# ---- the lists in Z packets ----------------------------------------------------------------------

ONE = bytes([O.CONST8, 1, O.END])
PRINT = bytes([O.CONST8, 0, O.CONST8, 0, O.PRINTF, 0, 0, 3]) + b"hi\0" + bytes([O.END])


def x(expression: bytes) -> bytes:
    return f"X{len(expression):x},{expression.hex()}".encode()


def test_lists() -> None:
    assert parse_breakpoint_lists(b"").conditions == ()
    one = parse(ONE)
    assert parse_breakpoint_lists(b";" + x(ONE)).conditions == (one,)
    assert parse_breakpoint_lists(b";" + x(ONE) + x(ONE)).conditions == (one, one)
    assert parse_breakpoint_lists(b";" + x(ONE) + b";" + x(ONE)).conditions == (one, one)
    both = parse_breakpoint_lists(b";" + x(ONE) + b";cmds:1," + x(PRINT) + x(PRINT))
    assert (both.conditions, both.commands, both.persist) == ((one,), (parse(PRINT),) * 2, True)
    only = parse_breakpoint_lists(b";cmds:0," + x(PRINT))
    assert (only.conditions, len(only.commands), only.persist) == ((), 1, False)


@pytest.mark.parametrize(
    ("lists", "text"),
    [
        (b"X3,220127", "instead of a semicolon"),
        (b";", "with nothing where an expression was expected"),
        (b";Y", "'Y' where an expression"),
        (b";X4,220127", "length of 4 bytes, and is given as '220127'"),
        (b";X3,2201zz", "'2201zz'"),
        (b";Xffffffff,22", "length of 4294967295 bytes"),
        (b";X1,27", "nothing on its stack"),
        (b";" + x(PRINT), "a condition that prints"),
        (b";cmds:0," + x(PRINT) + b";cmds:0," + x(PRINT), "two command lists"),
        (b";cmds:2," + x(PRINT), "where an expression was expected"),
        (b";" + x(ONE) * 65, "more than 64 expressions"),
    ],
)
def test_malformed_lists_are_refused(lists: bytes, text: str) -> None:
    with pytest.raises(AgentError, match=text):
        parse_breakpoint_lists(lists)


@given(st.binary(max_size=80) | st.text("X;,cmds:0123456789abcdef", max_size=80).map(str.encode))
@example(b";cmds:0,")
def test_arbitrary_lists_are_parsed_or_refused(lists: bytes) -> None:
    with contextlib.suppress(AgentError):
        parse_breakpoint_lists(lists)
