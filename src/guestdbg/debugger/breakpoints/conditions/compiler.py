"""Conditions as steps that a provider can judge by itself (guestdbg.kvm.hit_programs).

Only what comes out exactly as in Python is turned into steps: integers whose every intermediate
result provably fits 127 bits, names whose value the provider has. For anything else the answer is
None, and the condition is judged in Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.hit_programs import MAX_DEPTH, MAX_OPERATIONS, SYSTEM_REGISTERS, Op, Operation

__all__ = [
    "MEMORY",
    "Compilable",
    "Shape",
    "StaticAddress",
    "compile_condition",
    "is_system_register",
]

#: Names of memory operands: bytes, and whether they are signed.
MEMORY: dict[str, tuple[int, bool]] = {
    f"{letter}{8 * size}": (size, letter == "s") for letter in "us" for size in (1, 2, 4, 8)
}

_MOST = 1 << 126
_U64 = (1 << 64) - 1


class StaticAddress(NamedTuple):
    """A variable at an address that does not change: bytes (1, 2, 4, 8) and signedness.

    ``through``: there is a pointer at the address, and the variable so many bytes behind where it
    points; or another pointer, for the next number. ``truth``: any value but 0 stands for 1.
    """

    address: int
    size: int
    signed: bool
    through: tuple[int, ...] = ()
    truth: bool = False


class Shape(NamedTuple):
    """What a condition is asked of.

    Attributes:
        value_bytes: size of the watched value; 0 where there is none (a breakpoint, a wide watch).
        counts: whether the provider's count is the point's (one vCPU).
        variable: finds a variable of the guest; None where its place is not fixed.
    """

    value_bytes: int
    counts: bool
    variable: Callable[[str], StaticAddress | None]


@runtime_checkable
class Compilable(Protocol):
    """A condition that a provider may be able to judge."""

    def steps(self, shape: Shape) -> tuple[Operation, ...] | None:
        """What it is for a provider; None: it must be called."""


def is_system_register(name: str) -> bool:
    """Whether a name in a condition is a system register's, in any case: CONTEXTIDR_EL1.

    Those without a level in their names (DAIF, PAN) are left to the guest's variables.
    """
    return name[-4:-1].upper() == "_EL" and name.upper() in SYSREGS


class NotCompilable(Exception):
    """Not an error: the way to say that Python must judge."""


class _Part(NamedTuple):
    """Steps that leave one value, its bounds, whether it is a truth, and the stack it takes."""

    steps: tuple[Operation, ...]
    low: int
    high: int
    truth: bool
    depth: int


_BINARY = {
    ast.Add: Op.ADD,
    ast.Sub: Op.SUB,
    ast.Mult: Op.MUL,
    ast.FloorDiv: Op.FLOORDIV,
    ast.Mod: Op.MOD,
    ast.BitAnd: Op.AND,
    ast.BitOr: Op.OR,
    ast.BitXor: Op.XOR,
    ast.LShift: Op.LSHIFT,
    ast.RShift: Op.RSHIFT,
}
_COMPARE = {
    ast.Eq: Op.EQ,
    ast.NotEq: Op.NE,
    ast.Lt: Op.LT,
    ast.LtE: Op.LE,
    ast.Gt: Op.GT,
    ast.GtE: Op.GE,
}
_NAMES = {
    "pc": Op.PC,
    "address": Op.ADDRESS,
    "size": Op.SIZE,
    "sp": Op.SP,
}


def compile_condition(tree: ast.expr, shape: Shape) -> tuple[Operation, ...] | None:
    """The steps that judge an expression of the condition language; None: only Python can."""
    try:
        part = _truth(tree, shape)
    except NotCompilable:
        return None
    fits = part.depth <= MAX_DEPTH and len(part.steps) <= MAX_OPERATIONS
    return part.steps if fits else None


def _truth(node: ast.expr, shape: Shape) -> _Part:
    """Where only true or false matters, `and` and `or` may be of anything."""
    match node:
        case ast.BoolOp(op=op, values=values):
            joined = Op.BOTH if isinstance(op, ast.And) else Op.EITHER
            part = _truth(values[0], shape)
            for value in values[1:]:
                part = _join(part, _truth(value, shape), joined)
            return part
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            part = _truth(operand, shape)
            return _Part((*part.steps, (Op.NOT, 0, 0)), 0, 1, True, part.depth)
    return _value(node, shape)


def _join(a: _Part, b: _Part, op: Op) -> _Part:
    return _Part((*a.steps, *b.steps, (op, 0, 0)), 0, 1, True, max(a.depth, 1 + b.depth))


def _value(node: ast.expr, shape: Shape) -> _Part:
    match node:
        case ast.Constant(value=int() as value):
            value = int(value)
            return _bounded(((Op.CONST, 0, value),), value, value)
        case ast.Name(id=name):
            return _name(name, shape)
        case ast.Subscript(value=ast.Name(id=name), slice=where) if name in MEMORY:
            return _memory(name, _value(where, shape))
        case ast.Attribute() | ast.Subscript():
            return _variable(ast.unparse(node), shape)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            part = _value(operand, shape)
            return _bounded((*part.steps, (Op.NEG, 0, 0)), -part.high, -part.low, depth=part.depth)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, shape)._replace(truth=False)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            part = _value(operand, shape)
            return _bounded(
                (*part.steps, (Op.INVERT, 0, 0)), ~part.high, ~part.low, depth=part.depth
            )
        case ast.UnaryOp(op=ast.Not()):
            return _truth(node, shape)
        case ast.BoolOp(values=values):
            # As a value, `a or b` is one of its operands: the same as 0 or 1 only for truths.
            if not all(_value(value, shape).truth for value in values):
                raise NotCompilable
            return _truth(node, shape)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(_BINARY[type(op)], _value(left, shape), _value(right, shape))
        case ast.Compare(left=first, ops=ops, comparators=rest):
            return _comparison(first, ops, rest, shape)
    raise NotCompilable


def _bounded(steps: tuple[Operation, ...], low: int, high: int, *, depth: int = 1) -> _Part:
    if low < -_MOST or high > _MOST:
        raise NotCompilable
    return _Part(steps, low, high, False, depth)


def _name(name: str, shape: Shape) -> _Part:
    if name in ("new", "old"):
        if not shape.value_bytes:
            raise NotCompilable
        op = Op.NEW if name == "new" else Op.OLD
        return _bounded(((op, 0, 0),), 0, (1 << 8 * shape.value_bytes) - 1)
    if name == "count":
        if not shape.counts:
            raise NotCompilable
        return _bounded(((Op.COUNT, 0, 0),), 0, _U64)
    if name in _NAMES:
        return _bounded(((_NAMES[name], 0, 0),), 0, _U64)
    if name == "lr":
        return _bounded(((Op.X, 30, 0),), 0, _U64)
    if name in ("function", "file", "line"):
        raise NotCompilable
    if is_system_register(name):
        if name.upper() not in SYSTEM_REGISTERS:
            raise NotCompilable
        return _bounded(((Op.SYSTEM, 0, SYSTEM_REGISTERS[name.upper()]),), 0, _U64)
    if name[0] in "xw" and name[1:].isdecimal() and str(int(name[1:])) == name[1:]:
        number = int(name[1:])
        if number <= 30:
            if name[0] == "x":
                return _bounded(((Op.X, number, 0),), 0, _U64)
            return _bounded(((Op.W, number, 0),), 0, 0xFFFF_FFFF)
    return _variable(name, shape)


def _variable(name: str, shape: Shape) -> _Part:
    fixed = shape.variable(name)
    if fixed is None or fixed.size not in (1, 2, 4, 8):
        raise NotCompilable
    index = fixed.size | (16 if fixed.signed else 0)
    steps: list[Operation] = [(Op.MEMORY, index, fixed.address)]
    if fixed.through:
        steps = [(Op.CONST, 0, fixed.address)]
        for offset in fixed.through:
            steps += [(Op.LOAD, 8, 0), (Op.CONST, 0, offset), (Op.ADD, 0, 0)]
        steps.append((Op.LOAD, index, 0))
    limits = _limits(fixed.size, fixed.signed)
    if fixed.truth:
        steps += [(Op.CONST, 0, 0), (Op.NE, 0, 0)]
        limits = (0, 1)
    return _bounded(tuple(steps), *limits, depth=2)


def _memory(name: str, where: _Part) -> _Part:
    size, signed = MEMORY[name]
    step = (Op.LOAD, size | (16 if signed else 0), 0)
    return _bounded((*where.steps, step), *_limits(size, signed), depth=where.depth)


def _limits(size: int, signed: bool) -> tuple[int, int]:
    bits = 8 * size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _binary(op: Op, a: _Part, b: _Part) -> _Part:
    low, high = _range(op, a, b)
    return _bounded((*a.steps, *b.steps, (op, 0, 0)), low, high, depth=max(a.depth, 1 + b.depth))


def _range(op: Op, a: _Part, b: _Part) -> tuple[int, int]:
    if op is Op.ADD:
        return a.low + b.low, a.high + b.high
    if op is Op.SUB:
        return a.low - b.high, a.high - b.low
    if op is Op.LSHIFT or op is Op.RSHIFT:
        # One that is not known may be too far or negative: an error, which is Python's to raise.
        if b.low != b.high or not 0 <= b.low <= 64:
            raise NotCompilable
        if op is Op.LSHIFT:
            return a.low << b.low, a.high << b.low
        return a.low >> b.low, a.high >> b.low
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    if op is Op.MUL:
        return min(corners), max(corners)
    if op is Op.FLOORDIV:
        most = max(abs(a.low), abs(a.high))
        return -most, most
    if op is Op.MOD:
        most = max(abs(b.low), abs(b.high))
        return -most, most
    bits = max(x.bit_length() for x in (a.low, a.high, b.low, b.high))
    if a.low >= 0 and b.low >= 0:
        return 0, (1 << bits) - 1
    return -(1 << bits), (1 << bits) - 1


def _comparison(first: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr], shape: Shape) -> _Part:
    done: _Part | None = None
    left = first
    for op, right in zip(ops, rest, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            part = _membership(left, op, right, shape)
        elif type(op) in _COMPARE:
            part = _join(_value(left, shape), _value(right, shape), _COMPARE[type(op)])
        else:
            raise NotCompilable
        done = part if done is None else _join(done, part, Op.BOTH)
        left = right
    assert done is not None
    return done


def _membership(left: ast.expr, op: ast.cmpop, right: ast.expr, shape: Shape) -> _Part:
    if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
        raise NotCompilable
    item = _value(left, shape)
    done: _Part | None = None
    for element in right.elts:
        part = _join(item, _value(element, shape), Op.EQ)
        done = part if done is None else _join(done, part, Op.EITHER)
    assert done is not None
    if isinstance(op, ast.NotIn):
        return _Part((*done.steps, (Op.NOT, 0, 0)), 0, 1, True, done.depth)
    return done
