"""Register layouts: how to declare them, and to decode, encode and describe values.

A `Register` is a list of `Field`s. In some registers (ESR_ELx, SPSR, PAR_EL1) one field
decides what the others are: those have a `select` function that returns the further fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from guestdbg.arm64.errors import BadField, UnknownName

Meaning = Mapping[int, str] | Callable[[int], str] | str | None


class Field(NamedTuple):
    """Bits `high` to `low` of a register, with words for its values.

    `meaning` is a mapping from value to words, a function that makes the words, or a plain
    string that says what the field holds. `when` takes the whole register's value and returns
    whether the field has a meaning; explain() leaves out fields that have none.
    """

    name: str
    high: int
    low: int
    meaning: Meaning = None
    when: Callable[[int], bool] | None = None

    @property
    def width(self) -> int:
        """In bits."""
        return self.high - self.low + 1

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.low

    @property
    def bits(self) -> str:
        """The bit range as the manual writes it: [31:26], or [25] for a single bit."""
        return f"[{self.high}]" if self.high == self.low else f"[{self.high}:{self.low}]"

    def get(self, value: int) -> int:
        """This field of a register's value."""
        return (value & self.mask) >> self.low

    def put(self, value: int) -> int:
        """`value` moved into place. Raises BadField where it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise BadField(
                f"{self.name} = {value:#x} does not fit bits {self.bits}: "
                f"0 to {(1 << self.width) - 1:#x} do"
            )
        return value << self.low

    def words(self, value: int) -> str:
        """What `value` (of the field, not of the register) means; "" without words."""
        if isinstance(self.meaning, str):
            return self.meaning
        if isinstance(self.meaning, Mapping):
            return self.meaning.get(value, "reserved value")
        return self.meaning(value) if self.meaning else ""


def flag(name: str, bit: int, on: str = "", off: str = "") -> Field:
    """A one-bit field with words for 1 and for 0."""
    return Field(name, bit, bit, {0: off, 1: on})


class Line(NamedTuple):
    """One line of an explanation: a field, its bits, its value and what that means."""

    field: str
    bits: str
    value: int
    width: int
    text: str

    def __str__(self) -> str:
        shown = str(self.value) if self.value < 10 else f"{self.value:#x}"
        return f"{self.field} = {shown}: {self.text}" if self.text else f"{self.field} = {shown}"


class Register(NamedTuple):
    """A register's layout.

    `res1` are the bits that always read as one: encode() starts from them.
    `summary` describes a whole value in one sentence.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    width: int = 64
    res1: int = 0
    select: Callable[[int], tuple[Field, ...]] | None = None
    summary: Callable[[int], str] | None = None

    def layout(self, value: int) -> tuple[Field, ...]:
        """All fields that a value has: the fixed ones, then those its own bits select."""
        return self.fields + (self.select(value) if self.select else ())

    def check(self, value: int) -> int:
        """`value`, or BadField when it is wider than the register or negative."""
        if not 0 <= value < 1 << self.width:
            raise BadField(f"{value:#x} does not fit {self.name}, which has {self.width} bits")
        return value

    def decode(self, value: int) -> dict[str, int]:
        """Field name -> field value."""
        self.check(value)
        return {f.name: f.get(value) for f in self.layout(value)}

    def unnamed(self, value: int) -> int:
        """The bits of a value that no field names (reserved ones, mostly), in place."""
        self.check(value)
        named = 0
        for f in self.layout(value):
            named |= f.mask
        return value & ~named

    def encode(self, *, base: int | None = None, **fields: int) -> int:
        """A value from named fields; other fields come from `base` (default: the RES1 bits).

        `encode(base=register.unnamed(v), **register.decode(v)) == v` for every v.
        Raises UnknownName for a field the register does not have, BadField for a misfit.
        """
        value = self.res1 if base is None else self.check(base)
        left = dict(fields)
        # The fixed fields first: they may select what the others are.
        for f in self.fields:
            if f.name in left:
                value = value & ~f.mask | f.put(left.pop(f.name))
        for f in self.layout(value)[len(self.fields) :]:
            if f.name in left:
                value = value & ~f.mask | f.put(left.pop(f.name))
        for name in left:
            raise UnknownName(f"field of {self.name}", name, [f.name for f in self.layout(value)])
        return value

    def get(self, value: int, field: str) -> int:
        """One field of a value, by name."""
        return self.field(field, value).get(value)

    def field(self, name: str, value: int = 0) -> Field:
        """The field called `name` (in any case) in the layout that `value` has."""
        for f in self.layout(value):
            if f.name.lower() == name.lower():
                return f
        raise UnknownName(f"field of {self.name}", name, [f.name for f in self.layout(value)])

    def describe(self, value: int) -> list[Line]:
        """The fields that have a meaning in this value, in words, most significant first."""
        self.check(value)
        lines = [
            Line(f.name, f.bits, f.get(value), f.width, f.words(f.get(value)))
            # A field that holds others comes before them.
            for f in sorted(self.layout(value), key=lambda f: (-f.high, f.low))
            if f.when is None or f.when(value)
        ]
        reserved = self.unnamed(value) & ~self.res1
        if reserved:
            lines.append(
                Line("reserved", "", reserved, self.width, "bits set that have no meaning here")
            )
        return lines

    def explain(self, value: int) -> list[str]:
        """The same as plain lines: "EC = 0x30: Breakpoint exception from ...".

        A field that is zero and has no words for that is left out.
        """
        return [str(line) for line in self.describe(value) if line.value or line.text]
