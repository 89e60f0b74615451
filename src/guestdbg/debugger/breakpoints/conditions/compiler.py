"""Compiles conditions to operations of hit programs, which a provider runs (kvm.hit_programs).

A condition is compiled only if the result is exactly that of Python: it has only floats, and
integers whose intermediate results are all known to fit 127 bits, and only names whose values the
provider has. Otherwise the result is None, and the condition is evaluated in Python. Of each part
it is known in advance whether it is an integer or a float.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from guestdbg.debugger.breakpoints.conditions import language
from guestdbg.debugger.breakpoints.conditions.language import HIT_NAMES, Integer
from guestdbg.debugger.breakpoints.conditions.parts import (
    NotCompilable,
    Part,
    binary,
    bounded,
    compared,
    floating,
    join,
    limited,
    unary,
    widened,
)
from guestdbg.debugger.breakpoints.conditions.vector_registers import VectorOperand, vector_operand
from guestdbg.debugger.program.float_format import DOUBLE
from guestdbg.debugger.program.local_variables.location import FIRST_VECTOR
from guestdbg.kvm.hit_programs import MAX_DEPTH, SYSTEM_REGISTERS, Op

if TYPE_CHECKING:
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.static_address import StaticAddress
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["Compilable", "Shape", "compile_condition"]

_U64 = (1 << 64) - 1
#: In the index of Op.MEMORY and Op.LOAD: the integer is signed.
_SIGNED = 16
#: The number of SP among the registers of a StaticAddress.
_SP = 31
_SIGN = 1 << 63
_WIDE = 16


class Shape(NamedTuple):
    """What is known of all hits of a point in advance.

    Attributes:
        value_bytes: size of the watched value; 0 if there is none (a breakpoint, a watch of another
            length than 1, 2, 4 or 8 bytes).
        counts: whether the provider's count is that of the point (only at one address).
        variable: finds a variable of the guest; None if it has no static address.
        bit_field: which bits of the watched value are meant; None: all.
        float_format: the watched value is a floating-point value; None: an integer.
    """

    value_bytes: int
    counts: bool
    variable: Callable[[str], StaticAddress | None]
    bit_field: BitField | None = None
    float_format: FloatFormat | None = None


@runtime_checkable
class Compilable(Protocol):
    """A condition that may compile to a hit program."""

    def compile(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition as operations of a hit program; None where it must be called instead."""


def compile_condition(tree: ast.expr, shape: Shape) -> tuple[Operation, ...] | None:
    """The operations that evaluate an expression of the language; None if only Python can."""
    try:
        part = _truth(tree, shape)
    except NotCompilable:
        return None
    return part.operations if part.depth <= MAX_DEPTH else None


def _truth(node: ast.expr, shape: Shape) -> Part:
    """Compile where only truth matters: the operands of `and` and `or` need not be 0 or 1."""
    match node:
        case ast.BoolOp(op=op, values=values):
            part = _truth(values[0], shape)
            for value in values[1:]:
                part = join(part, _truth(value, shape), language.BOOLEAN[type(op)].op)
            return part
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            part = _truth(operand, shape)
            return Part(limited((*part.operations, (Op.NOT, 0, 0))), 0, 1, True, part.depth)
    if (wide := _wide_register(node)) is not None:
        low, high = (_bits(half) for half in _halves(wide))
        return join(low, high, Op.OR)
    part = _value(node, shape)
    if not part.is_float:
        return part
    zero = floating(((Op.CONST, 0, 0),), depth=1)
    return join(part, zero, Op.FNE)


def _value(node: ast.expr, shape: Shape) -> Part:
    match node:
        case ast.Constant(value=int() as value):
            value = int(value)
            return bounded(((Op.CONST, 0, value),), value, value)
        case ast.Constant(value=float() as value):
            return floating(((Op.CONST, 0, DOUBLE.bits(value)),), depth=1)
        case ast.Subscript(value=ast.Name(id=name), slice=where) if name in language.MEMORY:
            return _memory(name, _value(where, shape))
        case ast.Subscript(value=ast.Name(id=name), slice=where) if name in language.FLOAT_MEMORY:
            return _float_memory(language.FLOAT_MEMORY[name], _value(where, shape))
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return _named(node, shape)
        case ast.UnaryOp(op=ast.Not()):
            return _truth(node, shape)
        case ast.UnaryOp(op=op, operand=operand):
            return _unary(op, _value(operand, shape))
        case ast.BoolOp(op=op, values=values):
            # As a value, `a or b` is one of its operands; that is 0 or 1 only if all operands are.
            parts = [_value(value, shape) for value in values]
            if not all(part.truth for part in parts):
                raise NotCompilable
            both_or_either = language.BOOLEAN[type(op)].op
            return reduce(lambda a, b: join(a, b, both_or_either), parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in language.BINARY:
            return binary(language.BINARY[type(op)], _value(left, shape), _value(right, shape))
        case ast.Compare(left=first, ops=ops, comparators=rest):
            return _comparison(first, ops, rest, shape)
    raise NotCompilable


def _unary(op: ast.unaryop, part: Part) -> Part:
    if isinstance(op, ast.UAdd):
        return part._replace(truth=False)
    if isinstance(op, ast.USub) and part.is_float:
        operations = (*part.operations, (Op.CONST, 0, _SIGN), (Op.XOR, 0, 0))
        return floating(operations, depth=max(part.depth, 2))
    if part.is_float:
        raise NotCompilable
    if isinstance(op, ast.USub):
        return unary(Op.NEG, part, -part.high, -part.low)
    return unary(Op.INVERT, part, ~part.high, ~part.low)


def _operand(node: ast.expr) -> VectorOperand | None:
    """The bytes of a V register that a node means."""
    try:
        return vector_operand(node)
    except ValueError:  # not in a condition that was made
        raise NotCompilable from None


def _wide_register(node: ast.expr) -> VectorOperand | None:
    """A whole V register, whose bits do not fit the stack of a program."""
    vector = _operand(node) if isinstance(node, ast.Name) else None
    return vector if vector is not None and vector.size == _WIDE else None


def _halves(wide: VectorOperand) -> tuple[VectorOperand, VectorOperand]:
    half = wide._replace(size=8)
    return half, half._replace(first=8)


def _bits(vector: VectorOperand) -> Part:
    operation = (Op.VECTOR, vector.number, vector.first | vector.size << 8)
    bits = 8 * vector.size
    if not vector.signed:
        return bounded((operation,), 0, (1 << bits) - 1)
    return bounded((operation, (Op.SEXT, bits, 0)), -(1 << bits - 1), (1 << bits - 1) - 1)


def _named(node: ast.expr, shape: Shape) -> Part:
    """A name, lane, member or element."""
    vector = _operand(node)
    if vector is None:
        if isinstance(node, ast.Name):
            return _name(node.id, shape)
        return _variable(ast.unparse(node), shape)
    if vector.size == _WIDE:
        raise NotCompilable
    return _bits(vector) if vector.format is None else widened(_bits(vector), vector.format)


def _name(name: str, shape: Shape) -> Part:
    if name == language.INFINITY:
        return floating(((Op.CONST, 0, DOUBLE.bits(math.inf)),), depth=1)
    if name in HIT_NAMES:
        return _of_hit(name, shape)
    if language.is_system_register(name):
        if name.upper() not in SYSTEM_REGISTERS:
            raise NotCompilable
        return bounded(((Op.SYSTEM, 0, SYSTEM_REGISTERS[name.upper()]),), 0, _U64)
    if register := language.general_register(name):
        op = Op.X if register.bits == 64 else Op.W
        return bounded(((op, register.number, 0),), 0, (1 << register.bits) - 1)
    return _variable(name, shape)


def _of_hit(name: str, shape: Shape) -> Part:
    _read, op, index = HIT_NAMES[name]
    if op is None or (op is Op.COUNT and not shape.counts):
        raise NotCompilable
    if op is not Op.NEW and op is not Op.OLD:
        return bounded(((op, index, 0),), 0, _U64)
    if not shape.value_bytes:
        raise NotCompilable
    if (field := shape.bit_field) is None:
        whole = bounded(((op, index, 0),), 0, (1 << 8 * shape.value_bytes) - 1)
        return whole if shape.float_format is None else widened(whole, shape.float_format)
    operations = (
        (op, index, 0),
        (Op.CONST, 0, field.offset),
        (Op.RSHIFT, 0, 0),
        (Op.SEXT if field.signed else Op.ZEXT, field.size, 0),
    )
    half = 1 << field.size - 1
    limits = (-half, half - 1) if field.signed else (0, 2 * half - 1)
    return bounded(operations, *limits, depth=2)


def _variable(name: str, shape: Shape) -> Part:
    found = shape.variable(name)
    if found is None or found.size not in (1, 2, 4, 8):
        raise NotCompilable
    if found.register is not None and found.register >= FIRST_VECTOR:
        return _in_vector_register(found)
    integer = Integer(found.size, found.signed)
    operations: list[Operation] = [(Op.MEMORY, _index(integer), found.address)]
    if found.pointer_offsets or found.register is not None:
        operations = _through(found, integer)
    limits = _limits(integer)
    if found.truth:
        operations += [(Op.CONST, 0, 0), (Op.NE, 0, 0)]
        limits = (0, 1)
    part = bounded(tuple(operations), *limits, depth=2)
    return part if found.float_format is None else widened(part, found.float_format)


def _in_vector_register(found: StaticAddress) -> Part:
    assert found.register is not None
    number = found.register - FIRST_VECTOR
    if not found.in_register or found.float_format is None or found.pointer_offsets or number > 31:
        raise NotCompilable
    return widened(_bits(VectorOperand(number, 0, found.size)), found.float_format)


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


def _memory(name: str, where: Part) -> Part:
    if where.is_float:
        raise NotCompilable
    integer = language.MEMORY[name]
    load = (Op.LOAD, _index(integer), 0)
    return bounded((*where.operations, load), *_limits(integer), depth=where.depth)


def _float_memory(float_format: FloatFormat, where: Part) -> Part:
    if where.is_float:
        raise NotCompilable
    load = (Op.LOAD, float_format.size, 0)
    return widened(where._replace(operations=(*where.operations, load)), float_format)


def _index(integer: Integer) -> int:
    return integer.size | (_SIGNED if integer.signed else 0)


def _limits(integer: Integer) -> tuple[int, int]:
    bits = 8 * integer.size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if integer.signed else (0, (1 << bits) - 1)


def _comparison(first: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr], shape: Shape) -> Part:
    done: Part | None = None
    left = first
    for op, right in zip(ops, rest, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            part = _membership(left, op, right, shape)
        elif type(op) in language.COMPARE:
            part = _compared(left, language.COMPARE[type(op)], right, shape)
        else:
            raise NotCompilable
        done = part if done is None else join(done, part, Op.BOTH)
        left = right
    assert done is not None
    return done


def _compared(left: ast.expr, operator: language.Operator, right: ast.expr, shape: Shape) -> Part:
    is_equality = operator.op is Op.EQ or operator.op is Op.NE
    if is_equality and (_wide_register(left) or _wide_register(right)):
        return _compared_wide(left, operator, right)
    names = {each.id for each in (left, right) if isinstance(each, ast.Name)}
    if is_equality and names == {"old", "new"} and shape.float_format is not None:
        shape = shape._replace(float_format=None)  # the bits are compared
    return compared(_value(left, shape), operator, _value(right, shape))


def _compared_wide(left: ast.expr, operator: language.Operator, right: ast.expr) -> Part:
    """Whether whole V registers are equal to each other, or to a number."""
    sides: list[tuple[Part, ...]] = []
    for node in (left, right):
        if (wide := _wide_register(node)) is not None:
            sides.append(tuple(_bits(half) for half in _halves(wide)))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            if node.value >> 128:
                raise NotCompilable
            halves = (node.value & _U64, node.value >> 64)
            sides.append(tuple(bounded(((Op.CONST, 0, n),), n, n) for n in halves))
        else:
            raise NotCompilable
    low, high = (join(a, b, operator.op) for a, b in zip(*sides, strict=True))
    return join(low, high, Op.BOTH if operator.op is Op.EQ else Op.EITHER)


def _membership(left: ast.expr, op: ast.cmpop, right: ast.expr, shape: Shape) -> Part:
    if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
        raise NotCompilable
    equality = language.COMPARE[ast.Eq]
    item = None if _wide_register(left) else _value(left, shape)
    done: Part | None = None
    for element in right.elts:
        if item is None or _wide_register(element):
            part = _compared_wide(left, equality, element)
        else:
            part = compared(item, equality, _value(element, shape))
        done = part if done is None else join(done, part, Op.EITHER)
    assert done is not None
    if isinstance(op, ast.NotIn):
        return Part(limited((*done.operations, (Op.NOT, 0, 0))), 0, 1, True, done.depth)
    return done
