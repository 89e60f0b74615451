"""LD1 to LD4, ST1 to ST4: which byte of which register is where in memory (DDI 0487, C4.1.96)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MULTIPLE_STRUCTURES", "Structures", "structures"]

#: opcode -> (registers, elements of one structure), for the multiple-structure forms.
MULTIPLE_STRUCTURES = {
    0b0000: (4, 4),
    0b0010: (4, 1),
    0b0100: (3, 3),
    0b0110: (3, 1),
    0b0111: (1, 1),
    0b1000: (2, 2),
    0b1010: (2, 1),
}


@dataclass(frozen=True)
class Structures:
    """A load or store of structures.

    Attributes:
        first, registers: the first V register, and how many there are.
        structure: elements of one structure in memory.
        element: bytes of one element.
        width: bytes of each register that take part.
        lane: the only lane that is accessed; None: all of them.
        replicated: the lane of memory goes to all lanes of the register (LD1R to LD4R).
    """

    first: int
    registers: int
    structure: int
    element: int
    width: int
    lane: int | None = None
    replicated: bool = False

    def places(self, number: int) -> Sequence[tuple[int, int]]:
        """(byte of V register ``number``, byte from the address on); empty: it takes no part."""
        place = (number - self.first) % 32
        if place >= self.registers:
            return ()
        size, found = self.element, []
        lanes = range(self.width // size) if self.lane is None or self.replicated else (self.lane,)
        for lane in lanes:
            if self.lane is not None:
                start = place * size
            elif self.structure == 1:
                start = place * self.width + lane * size
            else:
                start = (lane * self.structure + place) * size
            found += [(lane * size + n, start + n) for n in range(size)]
        return found


def structures(raw: int) -> Structures | None:
    """Decode one; None for anything else. The encoding is one that ``memory_operand`` knows."""
    if raw & 0xBE000000 != 0x0C000000:
        return None
    wide, size, first = raw >> 30 & 1, raw >> 10 & 3, raw & 31
    width = 16 if wide else 8
    if raw >> 24 & 1 == 0:
        known = MULTIPLE_STRUCTURES.get(raw >> 12 & 15)
        return None if known is None else Structures(first, *known, 1 << size, width)
    opcode, s = raw >> 13 & 7, raw >> 12 & 1
    count = ((opcode & 1) << 1 | raw >> 21 & 1) + 1
    scale = opcode >> 1
    if scale == 3:
        return Structures(first, count, count, 1 << size, width, 0, replicated=True)
    index = wide << 3 | s << 2 | size
    if scale == 2 and size & 1:
        scale = 3
    return Structures(first, count, count, 1 << scale, 16, index >> scale)
