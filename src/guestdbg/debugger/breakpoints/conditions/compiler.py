"""Compiles conditions to operations of hit programs, which a provider runs (kvm.hit_programs).

A condition is compiled only if the result is exactly that of Python: it has only integers whose
intermediate results are all known to fit 127 bits, and only names whose values the provider has.
Otherwise the result is None, and the condition is evaluated in Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple, Protocol, runtime_checkable

from guestdbg.debugger.breakpoints.conditions import language
from guestdbg.debugger.breakpoints.conditions.language import HIT_NAMES, Integer
from guestdbg.debugger.program.bit_field import BitField
from guestdbg.debugger.program.static_address import StaticAddress
from guestdbg.kvm.hit_programs import MAX_DEPTH, MAX_OPERATIONS, SYSTEM_REGISTERS, Op, Operation

__all__ = ["Compilable", "Shape", "compile_condition"]

#: Bounds of every intermediate result: the stack of a hit program wraps at 128 bits.
_MOST = 1 << 126
_U64 = (1 << 64) - 1
#: In the index of Op.MEMORY and Op.LOAD: the integer is signed.
_SIGNED = 16
#: The number of SP among the registers of a StaticAddress.
_SP = 31


class Shape(NamedTuple):
    """What is known of all hits of a point in advance.

    Attributes:
        value_bytes: size of the watched value; 0 if there is none (a breakpoint, a watch of another
            length than 1, 2, 4 or 8 bytes).
        counts: whether the provider's count is that of the point (only at one address).
        variable: finds a variable of the guest; None if it has no static address.
        bit_field: which bits of the watched value are meant; None: all.
    """

    value_bytes: int
    counts: bool
    variable: Callable[[str], StaticAddress | None]
    bit_field: BitField | None = None


@runtime_checkable
class Compilable(Protocol):
    """A condition that may compile to a hit program."""

    def compile(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition as operations of a hit program; None where it must be called instead."""


class NotCompilable(Exception):
    """Not an error: Python must evaluate the condition."""


class _Part(NamedTuple):
    """Operations that leave one value on the stack.

    ``low`` and ``high`` are its bounds, ``truth`` says that it is 0 or 1, and ``depth`` is how many
    places of the stack the operations need.
    """

    operations: tuple[Operation, ...]
    low: int
    high: int
    truth: bool
    depth: int


def compile_condition(tree: ast.expr, shape: Shape) -> tuple[Operation, ...] | None:
    """The operations that evaluate an expression of the language; None if only Python can."""
    try:
        part = _truth(tree, shape)
    except NotCompilable:
        return None
    return part.operations if part.depth <= MAX_DEPTH else None


def _truth(node: ast.expr, shape: Shape) -> _Part:
    """Compile where only truth matters: the operands of `and` and `or` need not be 0 or 1."""
    match node:
        case ast.BoolOp(op=op, values=values):
            part = _truth(values[0], shape)
            for value in values[1:]:
                part = _join(part, _truth(value, shape), language.BOOLEAN[type(op)].op)
            return part
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            part = _truth(operand, shape)
            return _Part(_limited((*part.operations, (Op.NOT, 0, 0))), 0, 1, True, part.depth)
    return _value(node, shape)


def _join(a: _Part, b: _Part, op: Op | None) -> _Part:
    if op is None:
        raise NotCompilable
    operations = _limited((*a.operations, *b.operations, (op, 0, 0)))
    return _Part(operations, 0, 1, True, max(a.depth, 1 + b.depth))


def _limited(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Give up at once where a part is too long: `in` repeats its left side for each element."""
    if len(operations) > MAX_OPERATIONS:
        raise NotCompilable
    return operations


def _value(node: ast.expr, shape: Shape) -> _Part:
    match node:
        case ast.Constant(value=int() as value):
            value = int(value)
            return _bounded(((Op.CONST, 0, value),), value, value)
        case ast.Name(id=name):
            return _name(name, shape)
        case ast.Subscript(value=ast.Name(id=name), slice=where) if name in language.MEMORY:
            return _memory(name, _value(where, shape))
        case ast.Attribute() | ast.Subscript():
            return _variable(ast.unparse(node), shape)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, shape)._replace(truth=False)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            part = _value(operand, shape)
            return _unary(Op.NEG, part, -part.high, -part.low)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            part = _value(operand, shape)
            return _unary(Op.INVERT, part, ~part.high, ~part.low)
        case ast.UnaryOp(op=ast.Not()):
            return _truth(node, shape)
        case ast.BoolOp(op=op, values=values):
            # As a value, `a or b` is one of its operands; that is 0 or 1 only if all operands are.
            parts = [_value(value, shape) for value in values]
            if not all(part.truth for part in parts):
                raise NotCompilable
            both_or_either = language.BOOLEAN[type(op)].op
            return reduce(lambda a, b: _join(a, b, both_or_either), parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in language.BINARY:
            return _binary(language.BINARY[type(op)].op, _value(left, shape), _value(right, shape))
        case ast.Compare(left=first, ops=ops, comparators=rest):
            return _comparison(first, ops, rest, shape)
    raise NotCompilable


def _bounded(operations: tuple[Operation, ...], low: int, high: int, *, depth: int = 1) -> _Part:
    if low < -_MOST or high > _MOST:
        raise NotCompilable
    return _Part(_limited(operations), low, high, False, depth)


def _unary(op: Op, part: _Part, low: int, high: int) -> _Part:
    return _bounded((*part.operations, (op, 0, 0)), low, high, depth=part.depth)


def _name(name: str, shape: Shape) -> _Part:
    if name in HIT_NAMES:
        return _of_hit(name, shape)
    if language.is_system_register(name):
        if name.upper() not in SYSTEM_REGISTERS:
            raise NotCompilable
        return _bounded(((Op.SYSTEM, 0, SYSTEM_REGISTERS[name.upper()]),), 0, _U64)
    if register := language.general_register(name):
        op = Op.X if register.bits == 64 else Op.W
        return _bounded(((op, register.number, 0),), 0, (1 << register.bits) - 1)
    return _variable(name, shape)


def _of_hit(name: str, shape: Shape) -> _Part:
    _read, op, index = HIT_NAMES[name]
    if op is None or (op is Op.COUNT and not shape.counts):
        raise NotCompilable
    if op is not Op.NEW and op is not Op.OLD:
        return _bounded(((op, index, 0),), 0, _U64)
    if not shape.value_bytes:
        raise NotCompilable
    if (field := shape.bit_field) is None:
        return _bounded(((op, index, 0),), 0, (1 << 8 * shape.value_bytes) - 1)
    operations = (
        (op, index, 0),
        (Op.CONST, 0, field.offset),
        (Op.RSHIFT, 0, 0),
        (Op.SEXT if field.signed else Op.ZEXT, field.size, 0),
    )
    half = 1 << field.size - 1
    limits = (-half, half - 1) if field.signed else (0, 2 * half - 1)
    return _bounded(operations, *limits, depth=2)


def _variable(name: str, shape: Shape) -> _Part:
    found = shape.variable(name)
    if found is None or found.size not in (1, 2, 4, 8):
        raise NotCompilable
    integer = Integer(found.size, found.signed)
    operations: list[Operation] = [(Op.MEMORY, _index(integer), found.address)]
    if found.pointer_offsets or found.register is not None:
        operations = _through(found, integer)
    limits = _limits(integer)
    if found.truth:
        operations += [(Op.CONST, 0, 0), (Op.NE, 0, 0)]
        limits = (0, 1)
    return _bounded(tuple(operations), *limits, depth=2)


def _through(found: StaticAddress, integer: Integer) -> list[Operation]:
    """The operations that find an integer from a register, or through pointers."""
    operations: list[Operation] = [(Op.CONST, 0, found.address)]
    if found.register is not None:
        is_sp = found.register == _SP
        base: Operation = (Op.SP, 0, 0) if is_sp else (Op.X, found.register, 0)
        operations = [base]
        if not found.in_register:
            operations += [(Op.CONST, 0, found.address), (Op.ADD, 0, 0)]
    loaded = found.in_register
    for offset in found.pointer_offsets:
        if not loaded:
            operations.append((Op.LOAD, 8, 0))
        operations += [(Op.CONST, 0, offset), (Op.ADD, 0, 0)]
        loaded = False
    if not loaded:
        return [*operations, (Op.LOAD, _index(integer), 0)]
    return [*operations, (Op.SEXT if integer.signed else Op.ZEXT, 8 * integer.size, 0)]


def _memory(name: str, where: _Part) -> _Part:
    integer = language.MEMORY[name]
    load = (Op.LOAD, _index(integer), 0)
    return _bounded((*where.operations, load), *_limits(integer), depth=where.depth)


def _index(integer: Integer) -> int:
    return integer.size | (_SIGNED if integer.signed else 0)


def _limits(integer: Integer) -> tuple[int, int]:
    bits = 8 * integer.size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if integer.signed else (0, (1 << bits) - 1)


def _binary(op: Op | None, a: _Part, b: _Part) -> _Part:
    if op is None:
        raise NotCompilable
    low, high = _range(op, a, b)
    return _bounded(
        (*a.operations, *b.operations, (op, 0, 0)), low, high, depth=max(a.depth, 1 + b.depth)
    )


def _range(op: Op, a: _Part, b: _Part) -> tuple[int, int]:
    if op is Op.ADD:
        return a.low + b.low, a.high + b.high
    if op is Op.SUB:
        return a.low - b.high, a.high - b.low
    if op is Op.LSHIFT or op is Op.RSHIFT:
        # An unknown distance may be too large or negative: Python then raises an error.
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
        elif type(op) in language.COMPARE:
            compare = language.COMPARE[type(op)].op
            part = _join(_value(left, shape), _value(right, shape), compare)
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
        return _Part(_limited((*done.operations, (Op.NOT, 0, 0))), 0, 1, True, done.depth)
    return done
