"""The memory map of the machine that cases run on, and its translation tables.

The guest runs with its MMU on, and every address is mapped to itself as Normal memory: with the MMU
off, its accesses are uncached, and userspace might not see its stores. Code for EL0 is in a region
of its own, because EL1 may not execute what EL0 may write (DDI 0487, D8.4).
"""

import struct

RAM = 0x40000000
RAM_SIZE = 14 << 20
#: Code of EL1, code of EL0, data of both, translation tables: blocks of 2 MiB.
EL1_CODE = RAM
EL0_CODE = RAM + (4 << 20)
DATA = RAM + (8 << 20)
TABLES = RAM + (12 << 20)
#: Each program gets its own slot, so that no instruction cache holds older code of its addresses.
SLOT = 0x10000
#: The machine's own exception vectors: the last slot of EL1's code.
VECTORS = EL0_CODE - SLOT

#: No memory here, mapped as Device memory: an access ends ``run()`` with KVM_EXIT_MMIO.
NOWHERE = 0x09000000
#: A guest stores here at the end of its program (``Rig.finish``).
DONE = NOWHERE
#: An exception vector stores ESR_EL1 at this plus its offset in the table.
TAKEN = NOWHERE + 0x1000
#: A guest stores values here that the case compares, such as the INTID that it has acknowledged.
REPORTED = NOWHERE + 0x2000

#: The frames of the interrupt controller, where QEMU's machine "virt" has them.
GICD = 0x08000000
GICC = 0x08010000
GICR = 0x080A0000
#: The redistributor of a vCPU has two frames of 64 KiB.
GICR_SIZE = 0x20000

_VALID_BLOCK, _VALID_TABLE = 0b01, 0b11
_AF, _INNER_SHAREABLE = 1 << 10, 3 << 8
_EL0_MAY = 1 << 6
_PXN, _UXN = 1 << 53, 1 << 54
_NORMAL, _DEVICE = 0 << 2, 1 << 2

MAIR = 0x04FF
#: T0SZ 25 (39-bit addresses: tables start at level 1), cached walks, 4 KiB granule, no TTBR1,
#: 40-bit physical addresses.
TCR = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32
#: RES1 bits; M, C, I; UCI, UCT, DZE, nTWI, nTWE: EL0 may use what cases use at EL0.
SCTLR = 0x30D00800 | 0x1005 | 1 << 26 | 1 << 18 | 1 << 16 | 1 << 15 | 1 << 14


def tables() -> bytes:
    """The translation tables, for TABLES: level 1, and level 2 of the second gigabyte."""
    level1 = [0] * 512
    level2 = [0] * 512
    level1[0] = _VALID_BLOCK | _DEVICE | _AF | _EL0_MAY | _PXN | _UXN
    level1[RAM >> 30] = TABLES + 0x1000 | _VALID_TABLE
    normal = _VALID_BLOCK | _NORMAL | _AF | _INNER_SHAREABLE
    for start, end, attributes in (
        (EL1_CODE, EL0_CODE, _UXN),
        (EL0_CODE, DATA, _EL0_MAY | _PXN),
        (DATA, TABLES, _EL0_MAY | _PXN | _UXN),
        (TABLES, RAM + RAM_SIZE, _PXN | _UXN),
    ):
        for address in range(start, end, 2 << 20):
            level2[address - RAM >> 21] = address | normal | attributes
    return struct.pack("<1024Q", *level1, *level2)
