"""Machine code of x86-64."""

import re
from collections.abc import Mapping
from typing import ClassVar

from .holes import ABS8, ABS32, ABS64, PC32
from .machine import Machine


class X86_64(Machine):
    name = "x86_64"
    # Operands and links are displacements of 32 bits; rare paths are in sections of their own.
    flags = ("-mcmodel=small", "-freorder-blocks-and-partition", "-fcf-protection=none")
    jump = re.compile(r"^\tjmp\t(guestdbg_hole_\w+)(?:@PLT)?$")
    branch = re.compile(r"^(\tj\w+\t)(\.L\w+)$")
    kinds: ClassVar[Mapping[int, int]] = {
        1: ABS64,
        2: PC32,
        4: PC32,
        10: ABS32,
        11: ABS32,
        14: ABS8,
    }
    relative = frozenset({PC32})
    jump_addend = -4

    def is_jump(self, code: bytes, offset: int) -> bool:
        return code[offset - 1] == 0xE9 or 0x80 <= code[offset - 1] <= 0x8F

    def is_call(self, code: bytes, offset: int) -> bool:
        return code[offset - 1] == 0xE8

    def last_jump(self, code: bytes) -> int:
        return 5 if code[-5:-4] == b"\xe9" else 0
