"""Cases of SIMD and FP data processing: which rows, the processors, and the registers of a case."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

from unicorn import arm64_const as uc_arm64

from guestdbg.cpu.processor import encodings_by_module
from tests.cpu.oracle import SEED, Row, rows
from tests.cpu.processor_features import SIMD
from tests.cpu.scale_batch import MODES, Batch, Pair
from tests.cpu.scale_machines import ProcessorUnderTest, Reference
from tests.cpu.scale_program import FPCR_AT, FPSR_AT, X_AT
from tests.cpu.scale_rows import Rows
from tests.cpu.simd_operands import Operands


def is_simd_data(row: Row) -> bool:
    """Bits 28..25 are x111, and the row fixes them."""
    return row.mask >> 25 & 7 == 7 and row.value >> 25 & 7 == 7


#: Unicorn sets PSTATE.Z for a denormal that FZ flushes, which FPToFixedJS does not: it is judged in
#: test_fp_rules.py, and here without FZ.
FJCVTZS = 0x1E7E_0000
#: Unicorn sets the flags of a whole vector when it has 64 bits only: here all have 128 bits.
FCMLA_ELEMENT_HALF = "FCMLA_asimdelem_C_H"
#: Unicorn extends the sign of the result beyond its 16 bits.
FCVTZS_SCALAR_HALF = "FCVTZS_asisdshf_H"
#: Judged in test_simd_fp_rules.py.
NOT_HERE = {FCVTZS_SCALAR_HALF}
BATCH = 1000  # cases of a seed of `make soak`
ROWS = [row for row in rows(is_simd_data) if row.name not in NOT_HERE]
TABLE = Rows(ROWS)
OPERANDS = Operands(f"{SEED} operands")


def give_features(tested: ProcessorUnderTest) -> None:
    for encoding, value in SIMD.items():
        tested.cpu.set_sysreg(encoding, value)


def make_pair() -> Pair:
    """Both machines, with the extensions of SIMD."""
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
    if any(word & 0xFFFF_FC00 == FJCVTZS for word in words):
        fpcr &= ~(1 << 24)
    blocks[at + FPCR_AT : at + FPCR_AT + 4] = fpcr.to_bytes(4, "little")
    fpsr = (0, 0x10, 0x0800_009F, bits >> 20 & 0x0800_009F)[bits >> 18 & 3]
    blocks[at + FPSR_AT : at + FPSR_AT + 4] = fpsr.to_bytes(4, "little")


def draw(rng: random.Random) -> tuple[Row, int]:
    row, raw = TABLE.draw(rng)
    return row, raw | 1 << 30 if row.name == FCMLA_ELEMENT_HALF else raw


def single(batch: Batch) -> None:
    """Adds a case of one instruction."""
    row, raw = draw(batch.rng)
    fill(batch, [raw])
    batch.add([row.name], [raw])


def sequence(batch: Batch, length: int) -> None:
    """Adds a case in which results feed the next instructions."""
    drawn = [draw(batch.rng) for _ in range(length)]
    words = [raw for _, raw in drawn]
    fill(batch, words)
    batch.add([row.name for row, _ in drawn], words)


_pair = cache(make_pair)


@cache
def _groups() -> dict[str, str]:
    """The module of each row."""
    return {row[0]: module for module, rows in encodings_by_module().items() for row in rows}


def run(seed: int, did: Counter[str]) -> int:
    """A batch of BATCH cases, compared; the number of instructions. did: counts them by module."""
    batch = Batch(f"simd {seed}", list(MODES)[seed % len(MODES)])
    batch.prepare(BATCH)
    while len(batch.cases) < BATCH:
        single(batch)
    tally = _pair().check(batch)
    for name, count in tally.executed.items():
        did[_groups()[name]] += count
    return tally.instructions
