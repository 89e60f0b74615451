"""Registers and memory of the guest before a program runs."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from guestdbg.check.differential import layout

if TYPE_CHECKING:
    from guestdbg.check.differential.program import Program

_TABLES = layout.tables()
_SHARED = (
    ("MAIR_EL1", layout.MAIR),
    ("TCR_EL1", layout.TCR),
    ("TTBR0_EL1", layout.TABLES),
    ("VBAR_EL1", layout.VECTORS),
    ("CPACR_EL1", 3 << 20),
    # UNKNOWN after reset; KVM sets them to a pattern, and a guest can read them.
    *((name, 0) for name in ("ESR_EL1", "FAR_EL1", "PAR_EL1", "TPIDR_EL0", "TPIDR_EL1")),
    ("MDCCINT_EL1", 0),
)


def system_registers(program: Program) -> Iterator[tuple[str, int]]:
    """System registers by name, in the order in which to write them."""
    yield from _SHARED
    yield from program.sysregs
    yield "SCTLR_EL1", layout.SCTLR_ON if program.mmu else layout.SCTLR_OFF


def memory_of(program: Program) -> bytes:
    """The guest's memory before it runs."""
    memory = bytearray(layout.RAM_SIZE)

    def put(address: int, data: bytes) -> None:
        memory[address - layout.RAM : address - layout.RAM + len(data)] = data

    put(layout.CODE, struct.pack(f"<{len(program.code)}I", *program.code))
    put(layout.VECTORS, struct.pack(f"<{len(program.vectors)}I", *program.vectors))
    put(layout.TABLES, _TABLES)
    filling = random.Random(program.data).randbytes(512)
    for address in (layout.DATA, layout.PRIVATE, layout.READ_ONLY, layout.STACK):
        put(address, filling[:256])
    for address in (layout.DATA + layout.PAGE, layout.DATA + 2 * layout.PAGE, layout.PRIVATE):
        put(address - 64, filling[256:384])
    return bytes(memory)
