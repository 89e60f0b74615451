"""Conditions as text: `guestdbg.cond("new >= queue.size")`, `--watch 'queue.tail:w if new > 8'`.

A small language in Python's syntax: Python's parser parses it, and this module evaluates it. It has
no calls and no attributes of Python objects; it can only compare and compute.

Names: new, old, pc, sp, lr, address, size, count; x0 to x30 and w0 to w30; d0 to d31, s0 to s31
and h0 to h31, which are floats, and q0 to q31, v0.d[1] and their like, which are bits; system
registers (TTBR0_EL1, FPSR); function, file and line of the code; inf. Every other name is a
variable as the code of the hit sees it, which is read at each hit: `depth` of its function,
`queue.size` of the guest. `count` is how often the point was reached so far, this time included.
`u32[x0 + 8]` is memory at a virtual address (modulo 2^64): u8, u16, u32 and u64 are unsigned, s8,
s16, s32 and s64 signed integers, f16, f32 and f64 floats.

Numbers are integers and floats, and both are computed with and compared as in Python: the sum of an
integer and a float is a float, a comparison is exact, a NaN is not equal to itself, and a division
by 0.0 is an error. `old == new` and `old != new` compare the bits.

If the provider can run the condition as a hit program (see ``compiler``), it is not evaluated here.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.breakpoints.conditions import bounds, language
from guestdbg.debugger.breakpoints.conditions.compiler import compile_condition
from guestdbg.debugger.breakpoints.conditions.language import HitView
from guestdbg.debugger.breakpoints.conditions.variable_names import take_out_variables
from guestdbg.debugger.breakpoints.conditions.vector_registers import (
    missing_register,
    vector_operand,
)
from guestdbg.debugger.errors import (
    AddressError,
    MissingDependency,
    NoDebugInfo,
    UnknownSymbol,
)
from guestdbg.debugger.program.demangled import display_name
from guestdbg.debugger.program.drgn_objects import scalar
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.conditions.compiler import Shape
    from guestdbg.debugger.breakpoints.conditions.vector_registers import (
        VectorOperand,
    )
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["Condition", "ConditionError", "cond"]

Value = Any
Evaluate = Callable[[HitView], Value]

_ADDRESS = (1 << 64) - 1
_SHOWN = 200  # characters of a condition in a message


class ConditionError(GuestdbgError):
    """A condition is not in the language, or cannot be evaluated at a hit."""


class Condition:
    """A condition, which is called with a hit and returns whether the hit counts.

    ``variables`` are the variables of the guest that it uses, without members and subscripts.
    Raises ConditionError for a text that is not in the language.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ConditionError(f"{text!r} is not a condition: it must be a text")
        self.text = text.strip()
        if len(self.text) > bounds.MAX_LENGTH:
            raise self._error(
                f"has {len(self.text)} characters; the maximum is {bounds.MAX_LENGTH}"
            )
        try:
            taken_out = take_out_variables(self.text)
            tree = ast.parse(taken_out.text, mode="eval")
        except (SyntaxError, ValueError) as error:
            why = error.msg if isinstance(error, SyntaxError) else error
            raise self._error(f"is not an expression ({why})") from None
        except (RecursionError, MemoryError):  # MemoryError: the parser's stack is full
            raise self._too_deep() from None
        if bounds.too_deep(tree.body):
            raise self._too_deep()
        taken_out.restore(tree)
        self._tree = tree.body
        self.variables: tuple[str, ...] = ()
        self._paths: tuple[str, ...] = ()
        self._evaluate = self._evaluator(tree.body)

    def __repr__(self) -> str:
        return f"cond({self.text!r})"

    def check(self, variable: Callable[[str], object]) -> None:
        """Have each variable looked up, with its members, before the first hit does.

        ``variable`` raises the error for one that does not exist.
        """
        for path, name in zip(self._paths, self.variables, strict=True):
            try:
                variable(path)
            except (UnknownSymbol, NoDebugInfo, MissingDependency):
                if (message := missing_register(name)) is not None:
                    raise self._error(f"has {message}") from None
                raise

    def compile(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition as operations of a hit program; None where Python must evaluate it."""
        return compile_condition(self._tree, shape)

    def __call__(self, hit: HitView) -> bool:
        """Evaluate the condition at a hit.

        Raises ConditionError if that is not possible, and VariableUnavailable where a local
        variable has no value: there the condition counts as false.
        """
        return bool(self.value(hit))

    def value(self, hit: HitView) -> Value:
        """The value of the expression at a hit; raises what calling it does."""
        try:
            return self._evaluate(hit)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError, AddressError) as error:
            raise self._error(f"cannot be evaluated at {hit.location}: {error}") from None

    def _error(self, what: str) -> ConditionError:
        text = self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…"
        return ConditionError(f"the condition {text!r} {what}")

    def _too_deep(self) -> ConditionError:
        return self._error(f"is nested too deeply: the maximum is {bounds.MAX_NESTING} levels")

    def _evaluator(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.Constant(value=int() | float() | str() | None as value):
                if isinstance(value, int) and value.bit_length() > bounds.MAX_BITS:
                    raise self._error(f"has an integer of more than {bounds.MAX_BITS} bits")
                if isinstance(value, float) and math.isinf(value):
                    raise self._error("has a number that is too large for a double; write inf")
                return lambda hit: value
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._operand(node)
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                parts = [self._evaluator(item) for item in items]
                return lambda hit: tuple(part(hit) for part in parts)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in language.UNARY:
                unary, only = language.UNARY[type(op)].compute, self._evaluator(operand)
                if not isinstance(op, ast.Not):
                    self._check_numbers(op, operand)
                    symbol = language.INTEGERS_ONLY.get(type(op))
                    unary = bounds.arithmetic(unary, only=symbol)
                return lambda hit: unary(only(hit))
            case ast.BinOp(left=a, op=op, right=b) if type(op) in language.BINARY:
                left, right = self._evaluator(a), self._evaluator(b)
                self._check_numbers(op, a, b)
                binary = bounds.arithmetic(
                    language.BINARY[type(op)].compute,
                    only=language.INTEGERS_ONLY.get(type(op)),
                    shifts=isinstance(op, ast.LShift | ast.RShift),
                )
                return lambda hit: binary(left(hit), right(hit))
            case ast.BoolOp(op=op, values=values):
                join = language.BOOLEAN[type(op)].compute
                parts = [self._evaluator(value) for value in values]
                return lambda hit: join(part(hit) for part in parts)
            case ast.Compare(left=first, ops=ops, comparators=rest):
                return self._comparison(first, ops, rest)
        source = ast.unparse(node)[:_SHOWN]
        raise self._error(
            f"has {source!r}, which is not part of the language: names, numbers, strings, "
            "comparisons, and, or, not, in, arithmetic, and memory (u32[x0 + 8]) are"
        )

    def _operand(self, node: ast.Name | ast.Attribute | ast.Subscript) -> Evaluate:
        """A part of the hit, a register, memory, or a variable."""
        match node:
            case ast.Name(id=name) if name in language.HIT_NAMES:
                return language.HIT_NAMES[name].read
            case ast.Name(id=name) if register := language.general_register(name):
                number, mask = register.number, (1 << register.bits) - 1
                return lambda hit: hit.vcpu.x[number] & mask
            case ast.Name(id=name) if language.is_system_register(name):
                return lambda hit: hit.vcpu.reg(name)
            case ast.Name(id=language.INFINITY):
                return lambda hit: math.inf
            case ast.Name(id="nan"):
                raise self._error("has nan, to which nothing is equal; new != new asks for one")
            case ast.Subscript(value=ast.Name(id=name), slice=where):
                if name in language.MEMORY:
                    return self._memory(name, self._evaluator(where))
                if name in language.FLOAT_MEMORY:
                    return self._float_memory(name, self._evaluator(where))
        if (vector := self._vector(node)) is not None:
            return lambda hit: vector.value(hit.vcpu.v[vector.number])
        return self._variable(node)

    def _vector(self, node: ast.expr) -> VectorOperand | None:
        try:
            return vector_operand(node)
        except ValueError as error:
            raise self._error(f"has {error}") from None

    def _check_numbers(self, op: ast.operator | ast.unaryop, *operands: ast.expr) -> None:
        """Refuse operands of arithmetic that are never numbers; the others are checked at hits."""
        symbol = language.INTEGERS_ONLY.get(type(op))
        for node in operands:
            if symbol is not None and self._is_float(node):
                raise self._error(
                    f"has {ast.unparse(node)[:_SHOWN]!r} as an operand of {symbol}, which takes "
                    "integers; the bits of a register are v0.d[0]"
                )
            match node:
                case ast.Constant(value=str() | None) | ast.Tuple() | ast.List() | ast.Set():
                    pass
                case ast.Name(id="function" | "file"):
                    pass
                case _:
                    continue
            raise self._error(
                f"computes with {ast.unparse(node)[:_SHOWN]!r}: arithmetic is on numbers only"
            )

    def _is_float(self, node: ast.expr) -> bool:
        """Whether an operand is always a float."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, float)
        if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            return False
        vector = self._vector(node)
        return vector is not None and vector.format is not None

    def _comparison(self, first: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]) -> Evaluate:
        """`a < b < c` as in Python. An ordering with a side that has no value (None) is false."""
        if unknown := [op for op in ops if type(op) not in language.COMPARE]:
            raise self._error(
                f"uses {type(unknown[0]).__name__}, which is not part of the language"
            )
        items = [first, *rest]
        if any(isinstance(item, ast.Name) and item.id == "function" for item in items):
            items = [_as_shown(item) for item in items]
        parts = [self._evaluator(item) for item in items]
        compares = [language.COMPARE[type(op)].compute for op in ops]
        ordering = [isinstance(op, language.ORDERINGS) for op in ops]
        changes = [
            _is_change(a, op, b) for a, op, b in zip(items[:-1], ops, items[1:], strict=True)
        ]

        def compare(hit: HitView) -> bool:
            left = parts[0](hit)
            for part, comparison, is_order, is_change in zip(
                parts[1:], compares, ordering, changes, strict=True
            ):
                right = part(hit)
                if is_order and (left is None or right is None):
                    return False
                if is_change and isinstance(left, float) and isinstance(right, float):
                    # A NaN that is written again with the same bits has not changed.
                    truth = comparison(hit.changed, False)
                else:
                    truth = comparison(left, right)
                if not truth:
                    return False
                left = right
            return True

        return compare

    def _memory(self, name: str, where: Evaluate) -> Evaluate:
        size, signed = language.MEMORY[name]

        def read(hit: HitView) -> Value:
            address = bounds.integer(where(hit)) & _ADDRESS
            data = hit.guest.read(address, size)
            return int.from_bytes(data, "little", signed=signed)

        return read

    def _float_memory(self, name: str, where: Evaluate) -> Evaluate:
        float_format = language.FLOAT_MEMORY[name]

        def read(hit: HitView) -> Value:
            address = bounds.integer(where(hit)) & _ADDRESS
            data = hit.guest.read(address, float_format.size)
            return float_format.value(int.from_bytes(data, "little"))

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
                    f"has {ast.unparse(node)[:_SHOWN]!r}, which is not a variable with members and "
                    "constant subscripts"
                )
            part = part.value
        self.variables += (part.id,)
        name = ast.unparse(node)
        self._paths += (name,)
        return lambda hit: scalar(hit[name])


#: The name that programs use: ``when=guestdbg.cond("new > 4")``.
cond = Condition


def _is_change(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool:
    """Whether a comparison asks if the watched value has changed: `old != new`."""
    if not isinstance(op, ast.Eq | ast.NotEq):
        return False
    return {each.id for each in (left, right) if isinstance(each, ast.Name)} == {"old", "new"}


def _as_shown(node: ast.expr) -> ast.expr:
    """Names of functions for the linker as ``function`` has them; also inside a tuple."""
    match node:
        case ast.Constant(value=str() as name):
            return ast.Constant(display_name(name))
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return ast.Tuple([_as_shown(item) for item in items])
    return node
