"""Data processing at scale: sequences of random instructions, at EL0 and EL1, against Unicorn."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from collections import Counter

from tests.cpu.oracle import SCALE
from tests.cpu.scale_batch import MODES, Batch, Pair, run_batches
from tests.cpu.scale_machines import Ours, Reference
from tests.cpu.scale_rows import Rows
from tests.cpu.test_data_oracle import ROWS

PARTS = 4
LENGTH = 6
TABLE = Rows(ROWS)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(Ours(), Reference())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_single_instructions(pair: Pair, part: int) -> None:
    """The result of each is looked at."""

    def make(batch: Batch) -> None:
        batch.fill()
        row, raw = TABLE.draw(batch.rng)
        batch.add([row.name], [raw])

    tally = run_batches(pair, f"data {part}", list(MODES), [4096] * 15 * SCALE, make)
    assert tally.executed.keys() == TABLE.names
    assert min(tally.executed.values()) > 150


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_sequences(pair: Pair, part: int) -> None:
    """Results feed the next ones; an UNDEFINED instruction ends a sequence."""

    def make(batch: Batch) -> None:
        batch.fill()
        drawn = [TABLE.draw(batch.rng) for _ in range(LENGTH)]
        batch.add([row.name for row, _ in drawn], [raw for _, raw in drawn])

    tally = run_batches(pair, f"data sequences {part}", list(MODES), [4096] * 9 * SCALE, make)
    assert tally.executed.keys() == TABLE.names
    assert tally.instructions > 9 * 4096 * LENGTH // 2
