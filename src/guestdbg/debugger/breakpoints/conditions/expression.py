"""Conditions as text: `guestdbg.cond("new >= queue.size")`, `--watch 'queue.tail:w if new > 8'`.

A small language in Python's own notation, taken apart by Python's parser and evaluated here: no
calls, no attributes of Python objects, nothing that could do anything but compare and compute.

Names: new, old, pc, sp, lr, address, size, count; x0 to x30 and w0 to w30; system registers
(TTBR0_EL1); function, file and line of the code; everything else is a variable of the guest
(`queue.size`), read when the condition is judged. `count` is how often the point was reached so
far, this time included. `u32[x0 + 8]` is memory at a virtual address (modulo 2^64): u8, u16, u32
and u64 unsigned, s8, s16, s32, s64 signed.

Where the provider can judge a condition by itself (steps.py), it is not judged here.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.breakpoints.conditions.compiler import (
    MEMORY,
    Shape,
    compile_condition,
    is_system_register,
)
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.program.drgn_objects import number as integer
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.hit_programs import Operation

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Hit

Value = Any
Evaluate = Callable[["Hit"], Value]

_BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_REGISTER = re.compile(r"^([xw])([0-9]|[12][0-9]|30)$")
# What no sensible condition exceeds; without it `1 << 1 << 40` would eat the memory.
_MAX_SHIFT = 128
_ADDRESS = (1 << 64) - 1
_SHOWN = 200  # characters of a condition in a message

_HIT: dict[str, Evaluate] = {
    "new": lambda hit: hit.new,
    "old": lambda hit: hit.old,
    "pc": lambda hit: hit.pc,
    "address": lambda hit: hit.address,
    "size": lambda hit: hit.size,
    "count": lambda hit: hit.point.seen,
    "sp": lambda hit: hit.vcpu.sp,
    "lr": lambda hit: hit.vcpu.x[30],
    "function": lambda hit: hit.location.function,
    "file": lambda hit: hit.location.file,
    "line": lambda hit: hit.location.line,
}


class ConditionError(GuestdbgError):
    """A condition that cannot be understood or, at a hit, not be judged."""


class Condition:
    """A condition; called with a hit it says whether the hit counts.

    ``variables`` are the guest's that it names, without members and subscripts. Raises
    ConditionError when made from a text that is not in the language.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ConditionError(f"{text!r} is no condition: a text is")
        self.text = text.strip()
        try:
            tree = ast.parse(self.text, mode="eval")
        except (SyntaxError, ValueError) as error:
            why = error.msg if isinstance(error, SyntaxError) else error
            raise self._error(f"is not an expression ({why})") from None
        except RecursionError:
            raise self._error("is nested too deeply") from None
        self._tree = tree.body
        self.variables: tuple[str, ...] = ()
        self._evaluate = self._compile(tree.body)

    def __repr__(self) -> str:
        return f"cond({self.text!r})"

    def check(self, guest: Guest) -> None:
        """Raise UnknownSymbol for a variable that is not there: sooner than at the first hit."""
        for name in self.variables:
            guest[name]

    def steps(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition for a provider that judges by itself; None: it must be judged here."""
        return compile_condition(self._tree, shape)

    def __call__(self, hit: Hit) -> bool:
        """Judges a hit. Raises ConditionError where it cannot be judged."""
        try:
            return bool(self._evaluate(hit))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError, AddressError) as error:
            raise self._error(f"cannot be judged at {hit.location}: {error}") from None

    def _error(self, what: str) -> ConditionError:
        text = self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…"
        return ConditionError(f"the condition {text!r} {what}")

    def _compile(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.Constant(value=int() | str() | None as value):
                return lambda hit: value
            case ast.Name(id=name) if name in _HIT:
                return _HIT[name]
            case ast.Name(id=name) if found := _REGISTER.match(name):
                number, mask = int(found[2]), _ADDRESS if found[1] == "x" else 0xFFFF_FFFF
                return lambda hit: hit.vcpu.x[number] & mask
            case ast.Name(id=name) if is_system_register(name):
                return lambda hit: hit.vcpu.reg(name)
            case ast.Subscript(value=ast.Name(id=name), slice=where) if name in MEMORY:
                return self._memory(name, self._compile(where))
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._variable(node)
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                parts = [self._compile(item) for item in items]
                return lambda hit: tuple(part(hit) for part in parts)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                unary, only = _UNARY[type(op)], self._compile(operand)
                return lambda hit: unary(only(hit))
            case ast.BinOp(left=a, op=op, right=b) if type(op) in _BINARY:
                return self._binary(op, self._compile(a), self._compile(b))
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [self._compile(value) for value in values]
                return lambda hit: all(part(hit) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=values):
                parts = [self._compile(value) for value in values]
                return lambda hit: any(part(hit) for part in parts)
            case ast.Compare(left=first, ops=ops, comparators=rest):
                return self._comparison(first, ops, rest)
        source = ast.unparse(node)
        raise self._error(
            f"has {source!r}, which is not part of the language: names, numbers, strings, "
            "comparisons, and, or, not, in, integer arithmetic, and memory (u32[x0 + 8]) are"
        )

    def _binary(self, op: ast.operator, left: Evaluate, right: Evaluate) -> Evaluate:
        compute = _BINARY[type(op)]
        if not isinstance(op, ast.LShift):
            return lambda hit: compute(left(hit), right(hit))

        def shift(hit: Hit) -> Value:
            distance = right(hit)
            if distance > _MAX_SHIFT:
                raise ValueError(f"a shift by {distance}")
            return compute(left(hit), distance)

        return shift

    def _comparison(self, first: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]) -> Evaluate:
        """`a < b < c` as Python means it. What has no value (new is None) compares as false."""
        if unknown := [op for op in ops if type(op) not in _COMPARE]:
            raise self._error(
                f"uses {type(unknown[0]).__name__}, which is not part of the language"
            )
        parts = [self._compile(item) for item in [first, *rest]]
        compares = [_COMPARE[type(op)] for op in ops]
        ordering = [isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops]

        def compare(hit: Hit) -> bool:
            left = parts[0](hit)
            for part, comparison, is_order in zip(parts[1:], compares, ordering, strict=True):
                right = part(hit)
                if is_order and (left is None or right is None):
                    return False
                if not comparison(left, right):
                    return False
                left = right
            return True

        return compare

    def _memory(self, name: str, where: Evaluate) -> Evaluate:
        size, signed = MEMORY[name]

        def read(hit: Hit) -> Value:
            data = hit.guest.read(where(hit) & _ADDRESS, size)
            return int.from_bytes(data, "little", signed=signed)

        return read

    def _variable(self, node: ast.expr) -> Evaluate:
        """`queue.size`, `items[3].id`: a variable of the guest, with constant subscripts."""
        part: ast.expr = node
        while not isinstance(part, ast.Name):
            subscript = part.slice if isinstance(part, ast.Subscript) else None
            if not isinstance(part, ast.Attribute | ast.Subscript) or not (
                subscript is None or isinstance(subscript, ast.Constant)
            ):
                raise self._error(
                    f"has {ast.unparse(node)!r}, which is no variable: members and constant "
                    "subscripts of one are"
                )
            part = part.value
        self.variables += (part.id,)
        name = ast.unparse(node)
        return lambda hit: integer(hit.guest[name])
