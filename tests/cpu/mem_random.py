"""Rows of loads and stores in groups, and random instances of them on a mem_guest.Guest."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.cpu.mem_guest import CODE, USER, USER_SIZE, Guest
from tests.cpu.mem_prepare import (
    atomic_rows,
    authenticated_rows,
    displacement,
    field,
    integer_rows,
    is_register_offset,
    ordered_rows,
    structure_rows,
    vector_rows,
)
from tests.cpu.oracle import SEED, Row, random_encoding

VECTOR = vector_rows() + structure_rows()
MUST_ALIGN = ordered_rows() + atomic_rows()
ROWS = [
    row
    for row in integer_rows() + authenticated_rows() + MUST_ALIGN + VECTOR
    if "literal" not in row.name
]
ACCESSING = [row for row in ROWS if not row.name.startswith("PRF")]
PREFETCH = [row for row in ROWS if row.name.startswith("PRF")]
STORE_EXCLUSIVE = tuple(f"ST{letter}X" for letter in ("", "L"))


def store_exclusive(row: Row) -> bool:
    return row.name.startswith(STORE_EXCLUSIVE)


def new_guest() -> Guest:
    guest = Guest(lse=True)
    guest.set("ID_AA64MMFR1_EL1", guest.get("ID_AA64MMFR1_EL1") | 1 << 16)
    rng = random.Random(SEED)
    guest.write(USER, rng.randbytes(USER_SIZE))
    return guest


def random_case(
    rng: random.Random, guest: Guest, row: Row, at: int, *, rn: int | None = None
) -> int:
    """Random registers, and an encoding of the row whose access begins at `at`."""
    while True:
        raw = random_encoding(rng, row)
        if rn is not None:
            raw = raw & ~(31 << 5) | rn << 5
        base = field(raw, 9, 5)
        if row.name.startswith("CASP") and raw & 0x10001:
            continue
        if row in VECTOR and undefined(row, raw):
            continue
        if not (is_register_offset(raw) and field(raw, 11, 10) == 2) or field(raw, 20, 16) != base:
            break
    cpu = guest.cpu
    for n in range(31):
        cpu.set_x(n, rng.getrandbits(64))
    for n in range(32):
        cpu.set_v(n, rng.getrandbits(128))
    add = displacement(raw)
    if is_register_offset(raw) and field(raw, 11, 10) == 2:
        if field(raw, 20, 16) != 31:
            cpu.set_x(field(raw, 20, 16), 0)
        add = 0
    value = (at - add) & (1 << 64) - 1
    cpu.sp_el0 = cpu.sp_el1 = value
    if base != 31:
        cpu.set_x(base, value)
    return raw


def undefined(row: Row, raw: int) -> bool:
    """Unallocated sizes of structures, which are within the patterns of rows."""
    size, q = field(raw, 11, 10), field(raw, 30, 30)
    if "multiple" in row.name:
        return size == 3 and not q and field(raw, 15, 12) in (0, 4, 8)
    if "_single_H" in row.name:
        return size & 1 == 1
    if "_single_SD" in row.name:
        return bool(size & 2 or (size & 1 and field(raw, 12, 12)))
    return False


def read_reg(guest: Guest) -> Callable[[str], int]:
    """At EL1."""

    def read(name: str) -> int:
        if name == "sp":
            return guest.cpu.sp_el1
        if name == "pc":
            return CODE
        return guest.cpu.get_x(int(name[1:]))

    return read
