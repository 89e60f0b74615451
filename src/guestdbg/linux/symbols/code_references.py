"""The variables that a function refers to, as its code forms their addresses.

Compilers form the address of a variable of the kernel by ADRP and then ADD, or the offset of a
load or store (DDI 0487, C3.3.5 and C6.2). That is how a variable is found of which no table has the
name: a function that kallsyms names refers to it. What is found must be verified by its contents.
"""

from __future__ import annotations

import struct

__all__ = ["code_references"]

_PAGE = 4096
_U64 = (1 << 64) - 1
_ADRP, _ADRP_MASK = 0x9000_0000, 0x9F00_0000
_ADR = 0x1000_0000
_ADD, _ADD_MASK = 0x9100_0000, 0xFF80_0000  # ADD (immediate), 64-bit
_ADD_SHIFTED = 1 << 22
#: LDR and STR (immediate), unsigned offset: size in bits 31:30, V in bit 26.
_ACCESS, _ACCESS_MASK = 0x3900_0000, 0x3F00_0000
_WRITES_RT = 1 << 22


def code_references(code: bytes, address: int) -> list[int]:
    """The addresses that the function at ``address`` forms, in the order of its code, once each.

    They are those of variables, of strings, and the results of an ADRP alone are left out.
    """
    pages: dict[int, int] = {}
    found: dict[int, None] = {}
    for n, (raw,) in enumerate(struct.iter_unpack("<I", code[: len(code) // 4 * 4])):
        pc = address + 4 * n
        rd, rn = raw & 31, raw >> 5 & 31
        if raw & _ADRP_MASK in (_ADRP, _ADR):
            offset = _signed((raw >> 5 & 0x7FFFF) << 2 | raw >> 29 & 3, 21)
            if raw & _ADRP_MASK == _ADRP:
                pages[rd] = (pc & -_PAGE) + offset * _PAGE & _U64
            else:
                pages[rd] = pc + offset & _U64
                found[pages[rd]] = None
        elif raw & _ADD_MASK == _ADD and rn in pages:
            shift = 12 if raw & _ADD_SHIFTED else 0
            pages[rd] = pages[rn] + ((raw >> 10 & 0xFFF) << shift) & _U64
            found[pages[rd]] = None
        elif raw & _ACCESS_MASK == _ACCESS and rn in pages:
            found[pages[rn] + ((raw >> 10 & 0xFFF) << (raw >> 30)) & _U64] = None
            if raw & _WRITES_RT:
                pages.pop(rd, None)
    return list(found)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 & 1 else value
