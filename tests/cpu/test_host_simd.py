"""Instructions for which the host may have one, with it and without it: the same results."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from tests.cpu.scale_batch import MODES, Batch, run_batches
from tests.cpu.scale_rows import Rows
from tests.cpu.simd_cases import ROWS, fill, make_pair

NAMES = ("TBL", "TBX", "PMULL_1Q")
TABLE = Rows([row for row in ROWS if row.name in NAMES])
SIZES = [4096] * 4


@pytest.fixture(params=[False, True], ids=["without", "with"])
def _host(request: pytest.FixtureRequest) -> Iterator[None]:
    modules = [
        importlib.import_module(f"guestdbg.cpu.instructions.simd.{name}")
        for name in ("table", "polynomial")
    ]
    for module in modules:
        module.use_host(request.param)
    yield
    for module in modules:
        module.use_host(True)


@pytest.mark.usefixtures("_host")
def test_against_unicorn() -> None:
    def make(batch: Batch) -> None:
        row, raw = TABLE.draw(batch.rng)
        fill(batch, [raw])
        if row.name != "PMULL_1Q":  # indices within tables and near their ends
            at = batch.at + 16 * (raw >> 16 & 31)
            batch.blocks[at : at + 16] = bytes(it % 68 for it in batch.rng.randbytes(16))
        batch.add([row.name], [raw])

    tally = run_batches(make_pair(), "host", list(MODES), SIZES, make)
    assert tally.executed.keys() == set(NAMES)
