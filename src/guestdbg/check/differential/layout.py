"""The memory map of the machine of a random program.

It is small, because every program gets a new machine: 64 KiB of memory, every address mapped to
itself. Code can be executed at EL1 and EL0 and written at neither, so that a program can change its
level without changing its addresses.
"""

import struct

RAM = 0x40000000
PAGE = 0x1000
CODE = RAM
VECTORS = RAM + 1 * PAGE
DATA = RAM + 2 * PAGE  # three pages, for EL1 and EL0
PRIVATE = RAM + 5 * PAGE  # the page after them: EL1 alone
READ_ONLY = RAM + 6 * PAGE
LOG = RAM + 7 * PAGE  # the vectors log the exceptions taken
LOG_ENTRY = 40  # ESR, ELR, SPSR, FAR and the vector
STACK = RAM + 8 * PAGE
TABLES = RAM + 9 * PAGE  # levels 1, 2 and 3
UNMAPPED = RAM + 13 * PAGE
RAM_SIZE = 16 * PAGE

#: The pages that a digest of memory covers, by name.
DIGESTED = {"data": DATA, "data+1": DATA + PAGE, "data+2": DATA + 2 * PAGE, "private": PRIVATE}
DIGESTED |= {"read-only": READ_ONLY, "log": LOG, "stack": STACK}

#: No memory here: accesses end the run with KVM_EXIT_MMIO. A store to DONE ends a program.
NOWHERE = 0x09000000
DONE = NOWHERE + 0x800

#: The frames of the interrupt controller of a program with interrupts, and the SPIs that it uses:
#: one that is edge-triggered, one that is level-sensitive.
GICD, GICR = 0x08000000, 0x080A0000
EDGE, LEVEL = 40, 41

MAIR = 0x04FF
TCR = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32
#: RES1 bits; EL0 may use cache operations, WFI and WFE, and write DAIF.
SCTLR_OFF = 0x30D00800 | 1 << 9 | 1 << 26 | 1 << 18 | 1 << 16 | 1 << 15 | 1 << 14
SCTLR_ON = SCTLR_OFF | 0x1005

_BLOCK, _TABLE, _PAGE = 0b01, 0b11, 0b11
_AF, _INNER_SHAREABLE = 1 << 10, 3 << 8
_EL0, _RO = 1 << 6, 1 << 7
_PXN, _UXN = 1 << 53, 1 << 54
_NORMAL, _DEVICE = 0 << 2, 1 << 2


def tables() -> bytes:
    """The three translation tables, for TABLES."""
    level1 = [0] * 512
    level2 = [0] * 512
    level3 = [0] * 512
    level1[0] = _BLOCK | _DEVICE | _AF | _EL0 | _PXN | _UXN
    level1[RAM >> 30] = TABLES + PAGE | _TABLE
    level2[0] = TABLES + 2 * PAGE | _TABLE
    never = _PXN | _UXN
    attributes = {
        CODE: _EL0 | _RO,
        VECTORS: _RO | _UXN,
        DATA: _EL0 | never,
        DATA + PAGE: _EL0 | never,
        DATA + 2 * PAGE: _EL0 | never,
        PRIVATE: never,
        READ_ONLY: _EL0 | _RO | never,
        LOG: never,
        STACK: _EL0 | never,
        # Read-only: after a change without TLB maintenance, old or new entries might be used.
        TABLES: _RO | never,
        TABLES + PAGE: _RO | never,
        TABLES + 2 * PAGE: _RO | never,
    }
    for address, bits in attributes.items():
        level3[address - RAM >> 12] = address | _PAGE | _NORMAL | _AF | _INNER_SHAREABLE | bits
    return struct.pack("<1536Q", *level1, *level2, *level3)
