"""Machine code of aarch64."""

import re
from collections.abc import Mapping
from typing import ClassVar

from .holes import (
    BRANCH14,
    BRANCH19,
    JUMP26,
    LOAD8,
    LOAD16,
    LOAD32,
    LOAD64,
    LOAD128,
    LOW12,
    MOVW0,
    MOVW1,
    MOVW2,
    MOVW3,
    MOVW_LAST0,
    MOVW_LAST1,
    PAGE21,
)
from .machine import Machine

_CONDITIONS = "eq|ne|[ch]s|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|any|none"


class AArch64(Machine):
    name = "aarch64"
    # Rare paths come last in each function; assembly.py separates them. Between sections the
    # compiler itself would jump by registers. Atomics are instructions, not calls.
    flags = ("-mcmodel=small", "-fno-reorder-blocks-and-partition", "-mno-outline-atomics")
    jump = re.compile(r"^\tb\t(guestdbg_hole_\w+)$")
    branch = re.compile(
        rf"^(\t(?:b\.?(?:{_CONDITIONS})\t|cbn?z\t\w+, *|tbn?z\t\w+, *#?\d+, *))(\.L\w+)$"
    )
    kinds: ClassVar[Mapping[int, int]] = {
        263: MOVW_LAST0,
        264: MOVW0,
        265: MOVW_LAST1,
        266: MOVW1,
        267: MOVW2,
        268: MOVW2,
        269: MOVW3,
        275: PAGE21,
        276: PAGE21,
        277: LOW12,
        278: LOAD8,
        284: LOAD16,
        285: LOAD32,
        286: LOAD64,
        299: LOAD128,
        279: BRANCH14,
        280: BRANCH19,
        282: JUMP26,
        283: JUMP26,
    }
    relative = frozenset(
        {JUMP26, BRANCH19, BRANCH14, PAGE21, LOW12, LOAD8, LOAD16, LOAD32, LOAD64, LOAD128}
    )
    jump_addend = 0

    def is_jump(self, code: bytes, offset: int) -> bool:
        # Without a condition: with one it does not reach another module's function.
        return code[offset + 3] & 0xFC == 0x14

    def is_call(self, code: bytes, offset: int) -> bool:
        return code[offset + 3] & 0xFC == 0x94

    def last_jump(self, code: bytes) -> int:
        return 4 if len(code) >= 4 and self.is_jump(code, len(code) - 4) else 0
