"""The language of conditions in one place: its operators, names and memory operands.

Each entry says how Python computes it, and which operation of a hit program does the same
(``guestdbg.kvm.hit_programs.Op``; None where no operation does). ``expression`` evaluates by the
first, ``compiler`` compiles by the second.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.debugger.program.float_format import BY_SIZE
from guestdbg.kvm.hit_programs import Op

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat

__all__ = [
    "BINARY",
    "BOOLEAN",
    "COMPARE",
    "FLOAT_MEMORY",
    "HIT_NAMES",
    "INFINITY",
    "INTEGERS_ONLY",
    "MEMORY",
    "ORDERINGS",
    "THREE_WAY",
    "UNARY",
    "GeneralRegister",
    "HitName",
    "HitView",
    "Integer",
    "Operator",
    "general_register",
    "is_system_register",
]


class GuestMemory(Protocol):
    """Virtual memory of the guest."""

    def read(self, address: int, length: int, /) -> bytes:
        """``length`` bytes at a virtual address; raises AddressError."""


class GeneralRegisters(Protocol):
    """X0 to X30, or V0 to V31."""

    def __getitem__(self, number: int, /) -> int:
        """The value of the register."""


class Registers(Protocol):
    """The registers of the vCPU that made the access."""

    @property
    def x(self) -> GeneralRegisters:
        """X0 to X30."""

    @property
    def v(self) -> GeneralRegisters:
        """V0 to V31."""

    @property
    def sp(self) -> int:
        """The stack pointer in use."""

    def reg(self, name: str, /) -> int:
        """A register by name, in any case."""


class Counted(Protocol):
    """The watch or breakpoint that was hit."""

    @property
    def seen(self) -> int:
        """Accesses or arrivals so far, this one included."""


class CodeLocation(Protocol):
    """Where an instruction is in the source; None for what is not known."""

    @property
    def function(self) -> str | None:
        """The name of the function."""

    @property
    def file(self) -> str | None:
        """The source file."""

    @property
    def line(self) -> int | None:
        """The line in it."""


class HitView(Protocol):
    """What a condition reads of a hit. ``Hit`` has it, and more."""

    @property
    def new(self) -> Any:
        """The watched value after the access, None where nothing was written."""

    @property
    def old(self) -> Any:
        """The watched value before the access."""

    @property
    def changed(self) -> bool:
        """Whether the watched bytes are others after the access."""

    @property
    def pc(self) -> int:
        """The address of the instruction."""

    @property
    def address(self) -> int:
        """The first watched byte that was accessed."""

    @property
    def size(self) -> int:
        """How many watched bytes were accessed."""

    @property
    def point(self) -> Counted:
        """What was hit."""

    @property
    def vcpu(self) -> Registers:
        """The registers."""

    @property
    def location(self) -> CodeLocation:
        """Where the instruction is in the source."""

    @property
    def guest(self) -> GuestMemory:
        """The memory."""

    def __getitem__(self, expression: str, /) -> Any:
        """A variable as the code there sees it, as a drgn object or a number.

        Raises UnknownSymbol, VariableUnavailable.
        """


class Operator(NamedTuple):
    """How Python computes an operator, and the operations of a hit program that do the same.

    ``op`` is that of two integers, ``float_op`` that of two floats.
    """

    compute: Callable[..., Any]
    op: Op | None
    float_op: Op | None = None


BINARY: dict[type[ast.operator], Operator] = {
    ast.Add: Operator(operator.add, Op.ADD, Op.FADD),
    ast.Sub: Operator(operator.sub, Op.SUB, Op.FSUB),
    ast.Mult: Operator(operator.mul, Op.MUL, Op.FMUL),
    ast.Div: Operator(operator.truediv, Op.TRUEDIV, Op.FDIV),
    ast.FloorDiv: Operator(operator.floordiv, Op.FLOORDIV, Op.FFLOORDIV),
    ast.Mod: Operator(operator.mod, Op.MOD, Op.FMOD),
    ast.BitAnd: Operator(operator.and_, Op.AND),
    ast.BitOr: Operator(operator.or_, Op.OR),
    ast.BitXor: Operator(operator.xor, Op.XOR),
    ast.LShift: Operator(operator.lshift, Op.LSHIFT),
    ast.RShift: Operator(operator.rshift, Op.RSHIFT),
}
#: The operators that floats do not have, by how they are written.
INTEGERS_ONLY: dict[type[ast.operator | ast.unaryop], str] = {
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Invert: "~",
}


def _is_in(item: Any, container: Any) -> bool:
    """Whether it is equal to a member; Python's `in` finds the same NaN, although it is not."""
    if isinstance(container, tuple):
        return any(item == each for each in container)
    return item in container


#: ``in`` compiles to a chain of comparisons, not to an operation.
COMPARE: dict[type[ast.cmpop], Operator] = {
    ast.Eq: Operator(operator.eq, Op.EQ, Op.FEQ),
    ast.NotEq: Operator(operator.ne, Op.NE, Op.FNE),
    ast.Lt: Operator(operator.lt, Op.LT, Op.FLT),
    ast.LtE: Operator(operator.le, Op.LE, Op.FLE),
    ast.Gt: Operator(operator.gt, Op.GT, Op.FGT),
    ast.GtE: Operator(operator.ge, Op.GE, Op.FGE),
    ast.In: Operator(_is_in, None),
    ast.NotIn: Operator(lambda a, b: not _is_in(a, b), None),
}
#: The comparisons that are false when a side has no value.
ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
#: Of the result of Op.COMPARE_FLOAT, the operations that say whether a comparison is true.
THREE_WAY: dict[Op, tuple[tuple[int, int, int], ...]] = {
    Op.EQ: ((Op.CONST, 0, 0), (Op.EQ, 0, 0)),
    Op.NE: ((Op.CONST, 0, 0), (Op.NE, 0, 0)),
    Op.LT: ((Op.CONST, 0, 0), (Op.LT, 0, 0)),
    Op.LE: ((Op.CONST, 0, 0), (Op.LE, 0, 0)),
    Op.GT: ((Op.CONST, 0, 1), (Op.EQ, 0, 0)),
    Op.GE: ((Op.CONST, 0, -2), (Op.AND, 0, 0), (Op.CONST, 0, 0), (Op.EQ, 0, 0)),
}
UNARY: dict[type[ast.unaryop], Operator] = {
    ast.Not: Operator(operator.not_, Op.NOT),
    ast.USub: Operator(operator.neg, Op.NEG),
    ast.UAdd: Operator(operator.pos, None),
    ast.Invert: Operator(operator.invert, Op.INVERT),
}
#: ``compute`` takes an iterable of all operands; ``op`` joins two truths.
BOOLEAN: dict[type[ast.boolop], Operator] = {
    ast.And: Operator(all, Op.BOTH),
    ast.Or: Operator(any, Op.EITHER),
}


class HitName(NamedTuple):
    """A name for a part of the hit: how to read it, and the operation that pushes its value.

    ``op_index`` is the index of that operation.
    """

    read: Callable[[HitView], Any]
    op: Op | None
    op_index: int = 0


HIT_NAMES: dict[str, HitName] = {
    "new": HitName(lambda hit: hit.new, Op.NEW),
    "old": HitName(lambda hit: hit.old, Op.OLD),
    "pc": HitName(lambda hit: hit.pc, Op.PC),
    "address": HitName(lambda hit: hit.address, Op.ADDRESS),
    "size": HitName(lambda hit: hit.size, Op.SIZE),
    "count": HitName(lambda hit: hit.point.seen, Op.COUNT),
    "sp": HitName(lambda hit: hit.vcpu.sp, Op.SP),
    "lr": HitName(lambda hit: hit.vcpu.x[30], Op.X, 30),
    "function": HitName(lambda hit: hit.location.function, None),
    "file": HitName(lambda hit: hit.location.file, None),
    "line": HitName(lambda hit: hit.location.line, None),
}


class Integer(NamedTuple):
    """How an integer lies in guest memory, little-endian: its size in bytes, and its sign."""

    size: int
    signed: bool


#: Memory operands, by name: u8 to u64 and s8 to s64.
MEMORY: dict[str, Integer] = {
    f"{letter}{8 * size}": Integer(size, letter == "s") for letter in "us" for size in (1, 2, 4, 8)
}

#: And floating-point values: f16, f32 and f64.
FLOAT_MEMORY: dict[str, FloatFormat] = {f"f{8 * each.size}": each for each in BY_SIZE.values()}
#: The name of the largest number.
INFINITY = "inf"

_GENERAL = re.compile(r"([xw])([0-9]|[12][0-9]|30)")


class GeneralRegister(NamedTuple):
    """X``number`` or, with 32 ``bits``, W``number``."""

    number: int
    bits: int


def general_register(name: str) -> GeneralRegister | None:
    """The register that a name in a condition means: x0 to x30, w0 to w30; None for others."""
    match = _GENERAL.fullmatch(name)
    if match is None:
        return None
    return GeneralRegister(int(match[2]), 64 if match[1] == "x" else 32)


def is_system_register(name: str) -> bool:
    """Whether a name in a condition is a system register's, in any case: CONTEXTIDR_EL1, FPSR.

    Other names without an Exception level in them (DAIF, PAN) are variables of the guest.
    """
    name = name.upper()
    return name in ("FPCR", "FPSR") or (name[-4:-1] == "_EL" and name in SYSREGS)
