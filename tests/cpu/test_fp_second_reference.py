"""Floating-point arithmetic against Berkeley SoftFloat, a second reference beside Unicorn.

SoftFloat does not choose NaNs as Arm does, has no flush-to-zero, and answers its own integers where
a conversion is invalid. So operands are no NaNs, FPCR has the rounding mode only, the NaN of an
invalid operation is Arm's default NaN, and of an invalid conversion only the flags are compared.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("softfloatpy", reason="softfloatpy, the second reference, is not installed")

import softfloatpy as softfloat

from guestdbg.cpu.processor import encodings
from tests.cpu.oracle import SCALE, SEED, disassemble
from tests.cpu.scale_batch import Batch, Pair
from tests.cpu.scale_machines import ProcessorUnderTest
from tests.cpu.scale_program import CASE_SIZE, FPCR_AT, FPSR_AT, X_AT
from tests.cpu.simd_cases import give_features
from tests.cpu.simd_operands import DOUBLE, HALF, SINGLE, Format, Operands

if not any(name.startswith("FADD") for name, _, _ in encodings()):
    pytest.skip("no FP arithmetic in the decode table yet", allow_module_level=True)

CASES = 4096
FORMATS = {"f16": HALF, "f32": SINGLE, "f64": DOUBLE}
PTYPE = {"f16": 3, "f32": 0, "f64": 1}
FLOATS = {"f16": softfloat.Float16, "f32": softfloat.Float32, "f64": softfloat.Float64}
INTEGERS = {
    "i32": softfloat.Int32,
    "ui32": softfloat.UInt32,
    "i64": softfloat.Int64,
    "ui64": softfloat.UInt64,
}
MODES = softfloat.RoundingMode
#: FPCR.RMode, and SoftFloat's number for the same.
ROUNDING = {0: MODES.NEAR_EVEN, 1: MODES.MAX, 2: MODES.MIN, 3: MODES.MIN_MAG}
# SoftFloat's inexact, underflow, overflow, infinite, invalid; FPSR's IXC, UFC, OFC, DZC, IOC.
FLAGS = {1: 1 << 4, 2: 1 << 3, 4: 1 << 2, 8: 1 << 1, 16: 1 << 0}
INVALID = 1


@dataclass(frozen=True)
class Operation:
    """An instruction with operands in V1, V2 and V3 or X1, and its function in SoftFloat.

    call: takes SoftFloat's operands and the rounding mode. Integers begin with "i" or "ui".
    """

    encoding: int
    sources: tuple[str, ...]
    result: str
    call: Callable[..., Any]


def _operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}

    def add(name: str, raw: int, sources: tuple[str, ...], result: str, call: Any) -> None:
        found[name] = Operation(raw, sources, result, call)

    def function(name: str) -> Callable[..., Any]:
        called = getattr(softfloat, name)
        return lambda _mode, *operands: called(*operands)

    def by_mode(name: str, fixed: Any = None) -> Callable[..., Any]:
        called = getattr(softfloat, name)
        return lambda mode, operand: called(operand, mode if fixed is None else fixed, True)

    for form, ptype in PTYPE.items():
        base = 0x1E20_0020 | ptype << 22  # Rd = 0, Rn = 1
        for name, opcode in (("mul", 0), ("div", 1), ("add", 2), ("sub", 3)):
            raw = base | 2 << 16 | opcode << 12 | 0x800
            add(f"{form} {name}", raw, (form, form), form, function(f"{form}_{name}"))
        add(f"{form} sqrt", base | 3 << 15 | 1 << 14, (form,), form, function(f"{form}_sqrt"))
        add(
            f"{form} muladd",
            0x1F00_0020 | ptype << 22 | 2 << 16 | 3 << 10,
            (form, form, form),
            form,
            function(f"{form}_mul_add"),
        )
        add(f"{form} rintx", base | 0xE << 15 | 1 << 14, (form,), form,
            by_mode(f"{form}_round_to_int"))  # fmt: skip
        for other, other_type in PTYPE.items():
            if other != form:
                raw = base | (4 | other_type) << 15 | 1 << 14
                add(f"{form} to {other}", raw, (form,), other, function(f"{form}_to_{other}"))
        for integer in INTEGERS:
            wide, unsigned = integer.endswith("64"), integer.startswith("u")
            general = base | wide << 31 | unsigned << 16
            add(f"{integer} to {form}", general | 2 << 16, (integer,), form,
                function(f"{integer}_to_{form}"))  # fmt: skip
            for how, rmode, opcode, mode in (
                ("n", 0, 0, MODES.NEAR_EVEN),
                ("p", 1, 0, MODES.MAX),
                ("m", 2, 0, MODES.MIN),
                ("z", 3, 0, MODES.MIN_MAG),
                ("a", 0, 4, MODES.NEAR_MAX_MAG),
            ):
                raw = general | rmode << 19 | opcode << 16
                add(f"{form} to {integer} {how}", raw, (form,), integer,
                    by_mode(f"{form}_to_{integer}", mode))  # fmt: skip
    return found


OPERATIONS = _operations()
OPERANDS = Operands(f"{SEED} second reference")


def is_nan(form: Format, bits: int) -> bool:
    return bits & ~form.sign & (1 << form.width) - 1 > form.infinity


def width_of(kind: str) -> int:
    return FORMATS[kind].width if kind in FORMATS else int(kind[-2:])


def draw(rng: random.Random, kind: str) -> int:
    width = width_of(kind)
    if kind in INTEGERS:
        return int.from_bytes(rng.choice(OPERANDS.general)[: width // 8], "little")
    while True:
        value = int.from_bytes(rng.choice(OPERANDS.floats[width])[: width // 8], "little")
        if not is_nan(FORMATS[kind], value):
            return value


def expected(operation: Operation, operands: list[int], rmode: int) -> tuple[int, int]:
    """The bits of the result, and FPSR."""
    types = {**FLOATS, **INTEGERS}
    given = [
        types[kind].from_bytes(value.to_bytes(width_of(kind) // 8, "big"))
        for kind, value in zip(operation.sources, operands, strict=True)
    ]
    softfloat.set_tininess_mode(softfloat.TininessMode.BEFORE_ROUNDING)
    softfloat.set_rounding_mode(ROUNDING[rmode])
    softfloat.set_exception_flags(0)
    result = int.from_bytes(operation.call(ROUNDING[rmode], *given).to_bytes(), "big")
    flags = softfloat.get_exception_flags()
    fpsr = sum(bit for flag, bit in FLAGS.items() if flags & flag)
    form = FORMATS.get(operation.result)
    if form is not None and is_nan(form, result):
        result = form.infinity | form.quiet
    return result, fpsr


@pytest.fixture(scope="module")
def alone(tier: str) -> Pair:
    tested = ProcessorUnderTest()
    give_features(tested)
    return Pair(tested, None)


@dataclass(frozen=True)
class Given:
    """A case: the operation, its operands, FPCR.RMode, and FPSR.IXC before."""

    name: str
    operands: list[int]
    rmode: int
    full: int


def make(batch: Batch, name: str) -> Given:
    """Adds a case with random operands. With IXC set the host's arithmetic may be used."""
    operation = OPERATIONS[name]
    rng, at = batch.rng, batch.at
    operands = [draw(rng, kind) for kind in operation.sources]
    given = Given(name, operands, rng.randrange(4), rng.randrange(2))

    def put(offset: int, value: int) -> None:
        batch.blocks[at + offset : at + offset + 8] = value.to_bytes(8, "little")

    batch.fill(0)
    for number, (kind, value) in enumerate(zip(operation.sources, operands, strict=True), 1):
        put(X_AT + 8 if kind in INTEGERS else 16 * number, value)
    put(FPCR_AT, given.rmode << 22)
    put(FPSR_AT, given.full << 4)
    batch.add([name], [operation.encoding])
    return given


def judge(given: Given, block: bytes) -> str | None:
    """What is wrong with the registers after the case."""
    operation = OPERATIONS[given.name]
    result, fpsr = expected(operation, given.operands, given.rmode)
    general = operation.result in INTEGERS
    place, size = (X_AT, 8) if general else (0, 16)
    found = int.from_bytes(block[place : place + size], "little")
    flags = int.from_bytes(block[FPSR_AT : FPSR_AT + 8], "little")
    fpsr |= given.full << 4
    if flags == fpsr and (found == result or (general and fpsr & INVALID)):
        return None
    return (
        f"{given.name} ({disassemble(operation.encoding)}) of "
        f"{', '.join(hex(value) for value in given.operands)}, RMode {given.rmode}: "
        f"{found:#x}, FPSR {flags:#x}; SoftFloat's {result:#x}, {fpsr:#x}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6 * SCALE))
def test_arithmetic(alone: Pair, part: int) -> None:
    batch = Batch(f"second reference {part}", "EL1")
    batch.prepare(CASES)
    names = itertools.cycle(sorted(OPERATIONS))
    given = [make(batch, next(names)) for _ in range(CASES)]
    blocks = alone.results(batch)
    found = (judge(it, blocks[CASE_SIZE * n :][:CASE_SIZE]) for n, it in enumerate(given))
    wrong = [text for text in found if text]
    assert not wrong, f"seed {SEED}: {len(wrong)} differ\n" + "\n".join(wrong[:10])


def test_the_reference_judges() -> None:
    """A wrong bit and a missing flag are seen."""
    operation = OPERATIONS["f64 add"]
    one = DOUBLE.power(0)
    assert expected(operation, [one, one], 0) == (DOUBLE.power(1), 0)
    assert expected(operation, [one, 1], 1) == (one + 1, 1 << 4)
    assert expected(operation, [DOUBLE.infinity, DOUBLE.infinity | DOUBLE.sign], 0) == (
        DOUBLE.infinity | DOUBLE.quiet,
        INVALID,
    )
