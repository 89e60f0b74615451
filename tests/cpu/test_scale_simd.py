"""SIMD and FP data processing at scale: random instructions against Unicorn's "max" processor.

Each encoding of the decode table runs some hundreds of times, with operands from the corners of
every format, all rounding modes, FZ, FZ16, DN and AHP each way, and FPSR empty and full: with
FPSR.IXC set the processor may use the host's arithmetic. FPSR is compared. `make soak` runs twenty
million more of them.
"""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from tests.cpu.oracle import SCALE
from tests.cpu.scale_batch import MODES, Batch, Pair, run_batches
from tests.cpu.simd_cases import ROWS, TABLE, make_pair, sequence, single

if not ROWS:
    pytest.skip("no SIMD or FP data processing in the decode table yet", allow_module_level=True)

PARTS = 8
CASES = 4096
BATCHES = 16  # in each part: 524,288 instructions in all
LENGTH = 3


@pytest.fixture(scope="module")
def pair(tier: str) -> Pair:
    return make_pair()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_single_instructions(pair: Pair, part: int) -> None:
    """The result and the flags of each are compared."""
    tally = run_batches(pair, f"simd {part}", list(MODES), [CASES] * BATCHES * SCALE, single)
    assert tally.executed.keys() == TABLE.names


@pytest.mark.slow
def test_sequences(pair: Pair) -> None:
    """Results feed the next ones."""

    def make(batch: Batch) -> None:
        sequence(batch, LENGTH)

    sizes = [CASES] * BATCHES * SCALE
    tally = run_batches(pair, "simd sequences", list(MODES), sizes, make)
    assert tally.executed.keys() == TABLE.names
