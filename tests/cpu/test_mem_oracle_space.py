"""Loads and stores that the decode table does not have: an Armv8.0 processor has none either."""

from __future__ import annotations

import random

from tests.cpu.cases import BATCH, DATA, Case
from tests.cpu.mem_prepare import all_rows
from tests.cpu.oracle import SCALE, SEED, Oracle, disassemble, random_state, row_of, rows

COUNT = 4000
ROWS = all_rows()
TABLE = rows(lambda row: True)


def neighbour(rng: random.Random) -> int:
    """An encoding of loads and stores: any, or one that differs from a row in one or two bits."""
    if rng.randrange(4) == 0:
        raw = rng.getrandbits(32)
    else:
        row = rng.choice(ROWS)
        raw = rng.getrandbits(32) & ~row.mask | row.value
        for bit in rng.sample(range(10, 32), rng.randrange(1, 3)):
            raw ^= 1 << bit
    return raw & ~(1 << 25) & 0xFFFF_FFFF | 1 << 27


def test_unallocated_for_both() -> None:
    oracle = Oracle()
    rng = random.Random(SEED)
    wrong: list[str] = []
    for _ in range(COUNT * SCALE // BATCH):
        encodings: list[int] = []
        while len(encodings) < BATCH:
            raw = neighbour(rng)
            if row_of(TABLE, raw) is None:
                encodings.append(raw)
        cases = [Case("none", raw, random_state(rng), data_at=DATA) for raw in encodings]
        for case, (tested, reference, _) in zip(cases, oracle.run(cases), strict=True):
            if (tested.kind, reference.kind) != ("undefined", "undefined"):
                wrong.append(
                    f"{case.raw:#010x} {disassemble(case.raw)}: tested {tested.kind}, "
                    f"Unicorn's {reference.kind}"
                )
    assert not wrong, "\n".join(sorted(wrong))
