"""Rules of floating point that Unicorn does not judge, from the manual's pseudocode."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="the harness uses it")

from tests.cpu.scale_batch import Batch, Pair
from tests.cpu.scale_machines import ProcessorUnderTest
from tests.cpu.scale_program import CASE_SIZE, FPCR_AT, FPSR_AT, NZCV_AT, X_AT
from tests.cpu.simd_cases import FJCVTZS, give_features
from tests.cpu.simd_operands import DOUBLE

FZ = 1 << 24
IOC, IXC, IDC = 1 << 0, 1 << 4, 1 << 7
MINUS = DOUBLE.sign


@pytest.mark.parametrize(
    ("operand", "fpcr", "result", "exact", "flags"),
    [
        (0, 0, 0, True, 0),
        (0, FZ, 0, True, 0),
        (MINUS, 0, 0, False, 0),
        (1, 0, 0, False, IXC),
        (1, FZ, 0, False, IDC),  # flushed: zero, and not exact
        (MINUS | 1, FZ, 0, False, IDC),
        (DOUBLE.power(31), 0, 0x8000_0000, False, IOC),
        (MINUS | DOUBLE.power(31), 0, 0x8000_0000, True, 0),
        (DOUBLE.power(32) + (1 << 20), 0, 1, False, IOC),
        (DOUBLE.infinity, 0, 0, False, IOC),
        (DOUBLE.infinity | 1, 0, 0, False, IOC),
    ],
)
def test_fjcvtzs(operand: int, fpcr: int, result: int, exact: bool, flags: int) -> None:
    """FPToFixedJS: modulo 2^32; PSTATE.Z says that nothing was lost, not even the sign of zero."""
    tested = ProcessorUnderTest()
    give_features(tested)
    batch = Batch("fjcvtzs", "EL1")
    batch.prepare(1)
    batch.fill(0)
    batch.blocks[16:32] = operand.to_bytes(16, "little")
    for at, value in ((FPCR_AT, fpcr), (FPSR_AT, 0), (NZCV_AT, 0xF000_0000)):
        batch.blocks[at : at + 8] = value.to_bytes(8, "little")
    batch.add(["FJCVTZS"], [FJCVTZS | 1 << 5])
    block = Pair(tested, None).results(batch)[:CASE_SIZE]
    found = [int.from_bytes(block[at : at + 8], "little") for at in (X_AT, NZCV_AT, FPSR_AT)]
    assert found == [result, exact << 30, flags]
