"""The guest of the loop measurements: a loop of six instructions, among them a store and a load.

    loop:   add  x0, x0, #1
            str  x0, [x1]
            ldr  x2, [x1, #64]
            eor  x3, x3, x2
            cmp  x0, x4
            b.lt loop

After the loop it calls PSCI SYSTEM_OFF by HVC. The instructions are encoded here, so that a
benchmark needs no cross compiler and can choose the number of turns. It runs at EL1, MMU off.
"""

import struct
from pathlib import Path

CODE = 0x4010_0000
DATA = 0x4020_0000
# Seven instructions come before the loop: x0 = 0, x1 = DATA, x4 = turns (four moves).
LOOP = CODE + 7 * 4
PER_TURN = 6
OFF = LOOP + PER_TURN * 4

_PSCI_SYSTEM_OFF = 0x8400_0008


def _movz(rd: int, imm16: int, shift: int = 0) -> int:
    return 0xD280_0000 | (shift // 16) << 21 | imm16 << 5 | rd


def _movk(rd: int, imm16: int, shift: int) -> int:
    return 0xF280_0000 | (shift // 16) << 21 | imm16 << 5 | rd


def words(turns: int) -> list[int]:
    """The program that makes `turns` turns (1 to 2**63 - 1) and powers off."""
    if not 1 <= turns < 1 << 63:
        raise ValueError(f"{turns} turns: must be 1 to 2**63 - 1")
    return [
        _movz(0, 0),
        _movz(1, DATA & 0xFFFF),
        _movk(1, DATA >> 16, 16),
        _movz(4, turns & 0xFFFF),
        _movk(4, turns >> 16 & 0xFFFF, 16),
        _movk(4, turns >> 32 & 0xFFFF, 32),
        _movk(4, turns >> 48, 48),
        0x9100_0400,  # add  x0, x0, #1
        0xF900_0020,  # str  x0, [x1]
        0xF940_2022,  # ldr  x2, [x1, #64]
        0xCA02_0063,  # eor  x3, x3, x2
        0xEB04_001F,  # cmp  x0, x4
        0x54FF_FF6B,  # b.lt loop
        _movz(0, _PSCI_SYSTEM_OFF & 0xFFFF),
        _movk(0, _PSCI_SYSTEM_OFF >> 16, 16),
        0xD400_0002,  # hvc  #0
        0x1400_0000,  # b    .
    ]


def instructions(turns: int) -> int:
    """How many instructions retire before the power-off call."""
    return 7 + PER_TURN * turns + 2


def code(turns: int) -> bytes:
    """The program as the bytes at CODE."""
    return b"".join(struct.pack("<I", word) for word in words(turns))


def elf(turns: int) -> bytes:
    """An ELF file of the program."""
    return elf_of(code(turns))


def elf_of(program: bytes) -> bytes:
    """An ELF file with one segment: a program at CODE, where it starts."""
    offset = 64 + 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF" + bytes([2, 1, 1]),
        2,  # ET_EXEC
        183,  # EM_AARCH64
        1,
        CODE,
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, offset, CODE, CODE, len(program), len(program), 8)
    return header + segment + program


def write(directory: Path, turns: int) -> Path:
    """Write the ELF file into `directory` and return its path."""
    path = directory / f"loop-{turns}.elf"
    path.write_bytes(elf(turns))
    return path
