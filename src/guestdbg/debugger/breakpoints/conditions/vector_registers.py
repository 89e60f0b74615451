"""V registers in conditions: `d5`, `s7` and `h3` are numbers, `q3` and `v0.d[1]` are bits."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.program.float_format import BY_SIZE

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat

__all__ = ["VectorOperand", "missing_register", "vector_operand"]

_REGISTER = re.compile(r"([hsdqv])([0-9]|[12][0-9]|3[01])")
_BEYOND = re.compile(r"([hsdqvxw])([0-9]{1,2})")
_BYTES = {"b": 1, "h": 2, "s": 4, "d": 8, "q": 16}
_LANES = {"b": "16 bytes", "h": "eight halfwords", "s": "four words", "d": "two doublewords"}
_ALL = "bytes (v0.b[15]), halfwords (v0.h[7]), words (v0.s[3]) and doublewords (v0.d[1])"
_NAMES = {
    "h": "half-precision registers",
    "s": "single-precision registers",
    "d": "double-precision registers",
    "q": "Q registers",
    "v": "V registers",
    "x": "general-purpose registers",
    "w": "general-purpose registers",
}


class VectorOperand(NamedTuple):
    """Bytes of a V register.

    Attributes:
        number: of the register.
        first, size: which bytes.
        format: they are a floating-point value; None: bits.
        signed: of bits, the highest is the sign.
    """

    number: int
    first: int
    size: int
    format: FloatFormat | None = None
    signed: bool = False

    def value(self, register: int) -> int | float:
        """The value of the operand, where ``register`` is that of the register."""
        bits = register >> 8 * self.first & (1 << 8 * self.size) - 1
        if self.format is not None:
            return self.format.value(bits)
        return bits - (1 << 8 * self.size) if self.signed and bits >> 8 * self.size - 1 else bits


def vector_operand(node: ast.expr) -> VectorOperand | None:
    """The bytes that a name or lane means; None if it is something else.

    A lane is ``v0.d[1]``; ``v0.d.f[1]`` is its value as a floating-point number, as GDB writes it,
    and ``v0.d.s[1]`` and ``v0.d.u[1]`` are its bits with and without a sign. Raises ValueError for
    a lane that does not exist.
    """
    if isinstance(node, ast.Name):
        return _of_name(node.id)
    index: ast.expr | None = None
    part = node
    if isinstance(part, ast.Subscript):
        index, part = part.slice, part.value
    words: list[str] = []
    while isinstance(part, ast.Attribute):
        words.insert(0, part.attr)
        part = part.value
    if not isinstance(part, ast.Name):
        return None
    register = _REGISTER.fullmatch(part.id)
    if register is None or register[1] != "v":
        return None
    return _lane(ast.unparse(node), part.id, int(register[2]), words, index)


def _of_name(name: str) -> VectorOperand | None:
    register = _REGISTER.fullmatch(name)
    if register is None:
        return None
    letter, number = register[1], int(register[2])
    if letter in "qv":
        return VectorOperand(number, 0, 16)
    size = _BYTES[letter]
    return VectorOperand(number, 0, size, BY_SIZE[size])


def _lane(
    text: str, name: str, number: int, words: list[str], index: ast.expr | None
) -> VectorOperand:
    letter = words[0] if words else ""
    if letter not in _LANES or len(words) > 2:
        raise ValueError(f"{text}: a V register has {_ALL.replace('v0', name)}")
    size, count = _BYTES[letter], 16 // _BYTES[letter]
    what = f"V registers have {_LANES[letter]}: {name}.{letter}[0] "
    what += f"and {name}.{letter}[1]" if count == 2 else f"to {name}.{letter}[{count - 1}]"
    kind = words[1] if len(words) == 2 else "u"
    if kind not in "fus" or (kind == "f" and size not in BY_SIZE):
        known = "numbers (.f), " if size in BY_SIZE else ""
        raise ValueError(f"{text}: a lane is {known}bits (.u) or bits with a sign (.s)")
    if index is None:
        raise ValueError(f"{text}: {what}")
    if not isinstance(index, ast.Constant) or type(index.value) is not int:
        raise ValueError(f"{text}: which lane it is must be a number; {what}")
    if not 0 <= index.value < count:
        raise ValueError(f"{text}: {what}")
    float_format = BY_SIZE[size] if kind == "f" else None
    return VectorOperand(number, index.value * size, size, float_format, kind == "s")


def missing_register(name: str) -> str | None:
    """Of the name of a register that does not exist, such as d32: which ones do; else None."""
    match = _BEYOND.fullmatch(name)
    if match is None:
        return None
    letter, last = match[1], 30 if match[1] in "xw" else 31
    if int(match[2]) <= last:
        return None
    return f"{name}: the {_NAMES[letter]} are {letter}0 to {letter}{last}"
