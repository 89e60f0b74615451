"""Floating-point SIMD where Unicorn is wrong: judged by another instruction, which Unicorn judges.

- FCVTZS Hd, Hn, #fbits: Unicorn extends the sign of the result beyond the 16 bits of Hd. It is
  element 0 of FCVTZS of a vector.
- FCMLA of 64 bits by element in half precision: Unicorn sets the flags of 128 bits. It is FCMLA
  with a vector whose pairs are all that element.
"""

from __future__ import annotations

import random
import struct

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="the harness uses it")

from tests.cpu.scale_batch import Batch, Pair
from tests.cpu.scale_machines import ProcessorUnderTest
from tests.cpu.scale_program import CASE_SIZE, FPCR_AT, FPSR_AT
from tests.cpu.simd_cases import OPERANDS, fill, give_features
from tests.cpu.simd_operands import HALF

CASES = 1000
FCVTZS_SCALAR = 0x5F00_FC00 | 1 << 5  # FCVTZS H0, H1, #fbits
FCVTZS_VECTOR = 0x0F00_FC00 | 1 << 5  # FCVTZS V0.4H, V1.4H, #fbits
FCMLA_ELEMENT = 0x2F40_1000 | 2 << 16 | 1 << 5  # FCMLA V0.4H, V1.4H, V2.H[index], #rotation
FCMLA_VECTOR = 0x2E40_C400 | 2 << 16 | 1 << 5  # FCMLA V0.4H, V1.4H, V2.4H, #rotation


def _operand(rng: random.Random) -> bytes:
    return rng.choice(OPERANDS.floats[HALF.width])


def _add(batch: Batch, raw: int, vectors: list[bytes], modes: bytes) -> None:
    """A case of one instruction with V0, V1, … and FPCR and FPSR."""
    fill(batch, [raw])
    for n, vector in enumerate(vectors):
        batch.blocks[batch.at + 16 * n : batch.at + 16 * n + 16] = vector
    batch.blocks[batch.at + FPCR_AT : batch.at + FPCR_AT + 16] = modes
    batch.add(["FP"], [raw])


def _results(batch: Batch) -> list[tuple[bytes, int]]:
    """V0 and FPSR of each case."""
    tested = ProcessorUnderTest()
    give_features(tested)
    blocks = Pair(tested, None).results(batch)
    starts = range(0, CASE_SIZE * len(batch.cases), CASE_SIZE)
    return [
        (blocks[at : at + 16], struct.unpack_from("<Q", blocks, at + FPSR_AT)[0]) for at in starts
    ]


def _modes(rng: random.Random) -> bytes:
    """FPCR with a rounding mode, FZ16 and DN, and FPSR empty."""
    fpcr = rng.getrandbits(2) << 22 | rng.getrandbits(1) << 19 | rng.getrandbits(1) << 25
    return struct.pack("<2Q", fpcr, 0)


def test_fixed_point_of_a_half_precision_scalar() -> None:
    batch = Batch("fcvtzs scalar")
    batch.prepare(2 * CASES)
    for _ in range(CASES):
        shift = (16 | batch.rng.randrange(16)) << 16  # immh:immb
        vectors = [_operand(batch.rng), _operand(batch.rng)[:2] + bytes(14)]
        modes = _modes(batch.rng)
        _add(batch, FCVTZS_SCALAR | shift, vectors, modes)
        _add(batch, FCVTZS_VECTOR | shift, vectors, modes)
    results = _results(batch)
    assert results[::2] == results[1::2]
    assert any(value[1] & 0x80 for value, _ in results)  # negative ones
    assert all(value[2:] == bytes(14) for value, _ in results)
    assert len({flags for _, flags in results}) > 2


def test_complex_product_of_64_bits_by_element() -> None:
    batch = Batch("fcmla element")
    batch.prepare(2 * CASES)
    rng = batch.rng
    for _ in range(CASES):
        index, rotation = rng.getrandbits(1), rng.getrandbits(2)
        element = _operand(rng)
        pair = element[4 * index : 4 * index + 4]
        vectors = [_operand(rng), _operand(rng)]
        modes = _modes(rng)
        _add(batch, FCMLA_ELEMENT | index << 21 | rotation << 13, [*vectors, element], modes)
        _add(batch, FCMLA_VECTOR | rotation << 11, [*vectors, 4 * pair], modes)
    results = _results(batch)
    assert results[::2] == results[1::2]
    assert all(value[8:] == bytes(8) for value, _ in results)
    assert len({flags for _, flags in results}) > 4
