"""Watchpoints on every row of loads and stores."""

from __future__ import annotations

import random

import pytest

from guestdbg.arm64.instructions import accesses
from tests.cpu.mem_guest import (
    EC_WATCHPT_LOWER,
    USER,
    USER_SIZE,
    Guest,
    Taken,
)
from tests.cpu.mem_prepare import (
    atomic_rows,
)
from tests.cpu.mem_random import (
    ACCESSING,
    MUST_ALIGN,
    new_guest,
    random_case,
    read_reg,
    store_exclusive,
)
from tests.cpu.oracle import (
    SEED,
    Row,
    disassemble,
)


def watch_case(guest: Guest, rng: random.Random, row: Row, lsc: int) -> None:
    at = USER + 0x0FC0 + rng.randrange(0x80)
    if row in MUST_ALIGN:
        at &= ~15
    raw = random_case(rng, guest, row, at)
    watched = (at & ~7) + 8 * rng.randrange(-2, 6)
    guest.watch(watched, lsc)
    touched = accesses(raw, read_reg(guest))
    kinds = [(lsc & 1 and a.is_read) or (lsc & 2 and a.is_write) for a in touched]
    expected = any(k and a.overlaps(watched, 8) for k, a in zip(kinds, touched, strict=True))
    before, memory = guest.registers(), guest.read(USER, USER_SIZE)
    taken: Taken | None = guest.run(raw)
    where = f"{raw:#010x} {disassemble(raw)} at {at:#x}, {watched:#x} watched, LSC {lsc}"
    if store_exclusive(row):
        expected = False  # the monitor is closed
    assert (taken is not None) == expected, where
    if taken is None:
        guest.write(USER, memory)
        return
    assert (taken.el, taken.ec) == (2, EC_WATCHPT_LOWER), where
    # D2.10.5: from the lowest address accessed to the highest watched one accessed.
    assert min(a.address for a in touched) <= taken.far < watched + 8, where
    assert guest.registers() == before, where
    assert guest.read(USER, USER_SIZE) == memory, where
    if row in atomic_rows():
        return
    assert taken.wnr == any(a.is_write for a in touched), where


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_watchpoints(row: Row) -> None:
    """Hits exactly when the access touches the watched doubleword, before anything has changed;
    across pages, too."""
    guest, rng = new_guest(), random.Random(f"{SEED} {row.name}")
    for _ in range(30):
        watch_case(guest, rng, row, rng.randrange(1, 4))
