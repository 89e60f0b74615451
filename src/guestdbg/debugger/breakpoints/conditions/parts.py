"""Parts of a hit program, each of which leaves one value on the stack, and how they are joined.

Of each part it is known in advance whether it is an integer, and of which size at most, or a float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.breakpoints.conditions import language
from guestdbg.debugger.program.float_format import DOUBLE
from guestdbg.kvm.hit_programs import MAX_OPERATIONS, Op

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.kvm.hit_programs import Operation

__all__ = [
    "NotCompilable",
    "Part",
    "binary",
    "bounded",
    "compared",
    "floating",
    "join",
    "limited",
    "to_float",
    "unary",
    "widened",
]

#: Bounds of every intermediate result: the stack of a hit program wraps at 128 bits.
_MOST = 1 << 126
#: Integers up to here are floats exactly.
_EXACT = 1 << 53
#: A comparison with its sides exchanged.
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}


class NotCompilable(Exception):
    """Not an error: Python must evaluate the condition."""


class Part(NamedTuple):
    """Operations that leave one value on the stack.

    ``low`` and ``high`` are its bounds, ``truth`` says that it is 0 or 1, and ``depth`` is how many
    places of the stack the operations need. Of a float, ``is_float``, the bounds mean nothing.
    """

    operations: tuple[Operation, ...]
    low: int
    high: int
    truth: bool
    depth: int
    is_float: bool = False


def join(a: Part, b: Part, op: Op | None) -> Part:
    if op is None:
        raise NotCompilable
    operations = limited((*a.operations, *b.operations, (op, 0, 0)))
    return Part(operations, 0, 1, True, max(a.depth, 1 + b.depth))


def limited(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Give up at once where a part is too long: `in` repeats its left side for each element."""
    if len(operations) > MAX_OPERATIONS:
        raise NotCompilable
    return operations


def bounded(operations: tuple[Operation, ...], low: int, high: int, *, depth: int = 1) -> Part:
    if low < -_MOST or high > _MOST:
        raise NotCompilable
    return Part(limited(operations), low, high, False, depth)


def floating(operations: tuple[Operation, ...], *, depth: int) -> Part:
    return Part(limited(operations), 0, 0, False, depth, is_float=True)


def widened(part: Part, float_format: FloatFormat) -> Part:
    """The float whose bits a part has."""
    operations, depth = list(part.operations), part.depth
    size = float_format.size
    if float_format.lacking:
        operations += [(Op.CONST, 0, float_format.lacking), (Op.LSHIFT, 0, 0)]
        size += float_format.lacking // 8
        depth = max(depth, 2)
    if size != DOUBLE.size:
        operations.append((Op.WIDEN, size, 0))
    return floating(tuple(operations), depth=depth)


def to_float(part: Part) -> Part:
    if part.is_float:
        return part
    return floating((*part.operations, (Op.TO_FLOAT, 0, 0)), depth=part.depth)


def unary(op: Op, part: Part, low: int, high: int) -> Part:
    return bounded((*part.operations, (op, 0, 0)), low, high, depth=part.depth)


def binary(operator: language.Operator, a: Part, b: Part) -> Part:
    depth = max(a.depth, 1 + b.depth)
    if a.is_float or b.is_float or operator.op is Op.TRUEDIV:
        op = operator.float_op
        if not a.is_float and not b.is_float:
            op = operator.op
        else:
            a, b = to_float(a), to_float(b)
        if op is None:
            raise NotCompilable
        return floating((*a.operations, *b.operations, (op, 0, 0)), depth=depth)
    op = operator.op
    if op is None:
        raise NotCompilable
    low, high = _range(op, a, b)
    return bounded((*a.operations, *b.operations, (op, 0, 0)), low, high, depth=depth)


def _range(op: Op, a: Part, b: Part) -> tuple[int, int]:
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


def compared(a: Part, operator: language.Operator, b: Part) -> Part:
    op = operator.op
    if a.is_float == b.is_float or op is None:
        return join(a, b, operator.float_op if a.is_float else op)
    integer = b if a.is_float else a
    if integer.low >= -_EXACT and integer.high <= _EXACT:
        return join(to_float(a), to_float(b), operator.float_op)
    if a.is_float:
        a, b, op = b, a, _MIRRORED.get(op, op)
    found = join(a, b, Op.COMPARE_FLOAT)
    operations = limited((*found.operations, *language.THREE_WAY[op]))
    return found._replace(operations=operations, depth=max(found.depth, 2))
