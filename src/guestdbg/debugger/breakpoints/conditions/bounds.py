"""Bounds of conditions, which also come from clients that are not trusted.

The length of the text bounds everything in it that is written out, tuples and strings among them.
Arithmetic is on numbers only, and the size of integers is bounded, so that no value can grow.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_BITS", "MAX_LENGTH", "MAX_NESTING", "arithmetic", "integer", "number", "too_deep"]

#: Characters of a condition.
MAX_LENGTH = 4096
#: How deep operators, parentheses with operators in them, and members may be nested.
MAX_NESTING = 100
#: Size of every integer, without its sign. Registers have 64 bits, products of two have 128.
MAX_BITS = 256


def too_deep(tree: ast.AST) -> bool:
    """Whether an expression is nested deeper than MAX_NESTING; does not recurse itself."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_NESTING + 1):
        level = [child for node in level for child in ast.iter_child_nodes(node) if _counts(child)]
        if not level:
            return False
    return True


def _counts(node: ast.AST) -> bool:
    return not isinstance(node, ast.operator | ast.cmpop | ast.boolop | ast.unaryop | ast.Load)


def integer(value: Any) -> int:
    """An integer that arithmetic, or an address, can be computed from.

    Raises TypeError for one that is not an integer, and OverflowError for more than MAX_BITS bits.
    """
    if not isinstance(value, int):
        expected = (
            "an address is an integer" if isinstance(value, float) else "arithmetic takes numbers"
        )
        raise TypeError(f"{expected}, and this is {_called(value)}")
    if value.bit_length() > MAX_BITS:
        raise OverflowError(f"an integer of more than {MAX_BITS} bits")
    return int(value)  # True is 1, also for `~`


def number(value: Any) -> int | float:
    """The same for one that may be a float."""
    return value if isinstance(value, float) else integer(value)


def arithmetic(
    compute: Callable[..., Any], *, only: str | None = None, shifts: bool = False
) -> Callable[..., int | float]:
    """An operator of numbers, with bounds for its operands and its result.

    ``only``: it takes only integers, and is written so. ``shifts`` says that its right operand is a
    distance. It raises TypeError, ValueError, ZeroDivisionError and OverflowError.
    """

    def bounded(*operands: Any) -> int | float:
        values = [number(operand) for operand in operands]
        if only is not None and any(isinstance(value, float) for value in values):
            raise TypeError(f"{only} takes integers, and this is a float")
        if shifts and values[1] > MAX_BITS:
            raise ValueError(f"a shift by {values[1]}, which is more than {MAX_BITS}")
        return number(compute(*values))

    return bounded


def _called(value: Any) -> str:
    if value is None:
        return "no value (None)"
    names: dict[type, str] = {
        str: "a string",
        bytes: "a range of bytes",
        tuple: "a tuple",
        float: "a float",
    }
    return names.get(type(value), f"of type {type(value).__name__}")
