"""The guest of the restore measurements: it writes to 20 pages, and then waits in a loop.

    start:  nop
            mov  x1, DATA
            mov  x2, #20
    write:  str  x2, [x1]
            add  x1, x1, #4096
            subs x2, x2, #1
            b.ne write
    done:   nop
            b    .

It runs at EL1, MMU off.
"""

import struct
from pathlib import Path

from bench import loop_guest

PAGES = 20
START = loop_guest.CODE
DATA = loop_guest.DATA
_WORDS = (
    0xD503_201F,
    0xD2A0_0001 | DATA >> 16 << 5,  # movz x1, #DATA >> 16, lsl #16
    0xD280_0002 | PAGES << 5,
    0xF900_0022,
    0x9140_0421,
    0xF100_0442,
    0x54FF_FFA1,
    0xD503_201F,
    0x1400_0000,
)
DONE = START + 7 * 4


def write(directory: Path) -> Path:
    """Write the ELF file into `directory` and return its path."""
    path = directory / "restore.elf"
    path.write_bytes(loop_guest.elf_of(struct.pack(f"<{len(_WORDS)}I", *_WORDS)))
    return path
