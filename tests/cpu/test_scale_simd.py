"""SIMD and FP data processing at scale: random instructions against Unicorn's "max" processor.

Each encoding of the decode table runs some hundreds of times, with operands from the corners of
every format, all rounding modes, FZ, FZ16, DN and AHP each way, and FPSR empty and full: with
FPSR.IXC set the processor may use the host's arithmetic. FPSR is compared.
"""

from __future__ import annotations

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from unicorn import arm64_const as uc_arm64

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.oracle import SCALE, SEED, Row, rows
from tests.cpu.scale_batch import MODES, Batch, Pair, run_batches
from tests.cpu.scale_machines import ProcessorUnderTest, Reference
from tests.cpu.scale_program import FPCR_AT, FPSR_AT, X_AT
from tests.cpu.scale_rows import Rows
from tests.cpu.simd_operands import Operands

PARTS = 8
CASES = 4096
BATCHES = 16  # in each part: 524,288 instructions in all
LENGTH = 3

#: What the processor under test is to have of what Unicorn's "max" has.
FEATURES = {
    "ID_AA64ISAR0_EL1": 0x0001_1001_1021_2120,  # FHM DP SHA3 RDM LSE CRC32 SHA2 SHA1 AES
    "ID_AA64ISAR1_EL1": 0x0000_0000_0001_1000,  # FCMA JSCVT
    "ID_AA64PFR0_EL1": 0x0000_0000_0011_0111,  # FP and Advanced SIMD with half precision
}


def is_simd_data(row: Row) -> bool:
    """Bits 28..25 are x111, and the row fixes them."""
    return row.mask >> 25 & 7 == 7 and row.value >> 25 & 7 == 7


ROWS = rows(is_simd_data)
if not ROWS:
    pytest.skip("no SIMD or FP data processing in the decode table yet", allow_module_level=True)
TABLE = Rows(ROWS)
OPERANDS = Operands(f"{SEED} operands")


def give_features(tested: ProcessorUnderTest) -> None:
    for name, value in FEATURES.items():
        tested.cpu.set_sysreg(SYSREGS[name].encoding, value)


@pytest.fixture(scope="module")
def pair() -> Pair:
    tested = ProcessorUnderTest()
    give_features(tested)
    return Pair(tested, Reference(uc_arm64.UC_CPU_ARM64_MAX))


def fill(batch: Batch, words: list[int]) -> None:
    """The registers of a case: the first instruction's operands from the corners."""
    batch.fill(0)
    rng, blocks, at = batch.rng, batch.blocks, batch.at
    raw = words[0]
    registers = [raw >> 5 & 31, raw >> 16 & 31, raw >> 10 & 31, raw & 31]
    for n, vector in zip(registers, OPERANDS.vectors(rng, 4), strict=True):
        blocks[at + 16 * n : at + 16 * n + 16] = vector
    bits = rng.getrandbits(48)
    if (n := raw >> 5 & 31) < 30:
        blocks[at + X_AT + 8 * n : at + X_AT + 8 * n + 8] = OPERANDS.general[bits & 2047]
    fpcr = (bits >> 11 & 3) << 22 | (bits >> 13 & 1) << 26  # RMode, AHP
    if bits >> 14 & 1:  # FZ16, FZ, DN: all 0 in half of the cases
        fpcr |= (bits >> 15 & 1) << 19 | (bits >> 16 & 3) << 24
    blocks[at + FPCR_AT : at + FPCR_AT + 4] = fpcr.to_bytes(4, "little")
    fpsr = (0, 0x10, 0x0800_009F, bits >> 20 & 0x0800_009F)[bits >> 18 & 3]
    blocks[at + FPSR_AT : at + FPSR_AT + 4] = fpsr.to_bytes(4, "little")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_single_instructions(pair: Pair, part: int) -> None:
    """The result and the flags of each are compared."""

    def make(batch: Batch) -> None:
        row, raw = TABLE.draw(batch.rng)
        fill(batch, [raw])
        batch.add([row.name], [raw])

    sizes = [CASES] * BATCHES * SCALE
    tally = run_batches(pair, f"simd {part}", list(MODES), sizes, make)
    assert tally.executed.keys() == TABLE.names


@pytest.mark.slow
def test_sequences(pair: Pair) -> None:
    """Results feed the next ones."""

    def make(batch: Batch) -> None:
        drawn = [TABLE.draw(batch.rng) for _ in range(LENGTH)]
        words = [raw for _, raw in drawn]
        fill(batch, words)
        batch.add([row.name for row, _ in drawn], words)

    sizes = [CASES] * BATCHES * SCALE
    tally = run_batches(pair, "simd sequences", list(MODES), sizes, make)
    assert tally.executed.keys() == TABLE.names
