"""Formats of floating-point values: from bits to numbers and back, and as text that loses nothing.

IEEE 754 half, single and double precision, and BFloat16 (DDI 0487, A1.4). Half precision is never
the alternative format of FPCR.AHP: a variable's type says IEEE 754.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

__all__ = ["BFLOAT16", "BY_SIZE", "DOUBLE", "HALF", "SINGLE", "FloatFormat"]

#: As many significant digits as any number of single precision needs.
_MOST_DIGITS = 9


class FloatFormat(NamedTuple):
    """One format.

    Attributes:
        name: in words.
        size: in bytes.
        code: of the ``struct`` module, of the format whose upper bits these are.
        lacking: how many lower bits of that format it does not have.
        fraction: the bits of the fraction.
    """

    name: str
    size: int
    code: str
    lacking: int
    fraction: int

    def value(self, bits: int) -> float:
        """The number; every one of these formats fits Python's float exactly.

        Which NaN it was, the result does not say.
        """
        data = (bits << self.lacking).to_bytes(self.size + self.lacking // 8, "little")
        found: float = struct.unpack("<" + self.code, data)[0]
        return found

    def bits(self, value: float) -> int:
        """The nearest value's bits, ties to even; infinity for what is too large."""
        try:
            data = struct.pack("<" + self.code, value)
        except OverflowError:
            data = struct.pack("<" + self.code, math.copysign(math.inf, value))
        found = int.from_bytes(data, "little")
        if not self.lacking:
            return found
        if math.isnan(value):
            return found >> self.lacking
        half = (1 << self.lacking - 1) - 1 + (found >> self.lacking & 1)
        return found + half >> self.lacking

    def text(self, bits: int) -> str:
        """The shortest text that has this value: ``0.1``, ``-0.0``, ``inf``.

        Of a NaN with its fraction, as C and GDB write it: ``nan(0x8000000000000)``.
        """
        value = self.value(bits)
        if math.isnan(value):
            sign = "-" if bits >> 8 * self.size - 1 & 1 else ""
            return f"{sign}nan({bits & (1 << self.fraction) - 1:#x})"
        if self is DOUBLE or math.isinf(value):
            return repr(value)
        for digits in range(1, _MOST_DIGITS):
            short = float(f"{value:.{digits}g}")
            if self.bits(short) == bits:
                return repr(short)
        return repr(float(f"{value:.{_MOST_DIGITS}g}"))

    def plain(self, bits: int) -> float | str:
        """The value as JSON has it: a number, or the text of an infinity or a NaN."""
        value = self.value(bits)
        return value if math.isfinite(value) else self.text(bits)


HALF = FloatFormat("half precision", 2, "e", 0, 10)
BFLOAT16 = FloatFormat("BFloat16", 2, "f", 16, 7)
SINGLE = FloatFormat("single precision", 4, "f", 0, 23)
DOUBLE = FloatFormat("double precision", 8, "d", 0, 52)
#: The formats of IEEE 754 by their size in bytes.
BY_SIZE = {each.size: each for each in (HALF, SINGLE, DOUBLE)}
