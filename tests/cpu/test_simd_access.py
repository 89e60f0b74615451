"""SIMD and FP data processing that is trapped, or whose extension the processor does not have."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="the table of cases names its processors")

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.cases import CODE, Case, Outcome, State
from tests.cpu.oracle import SEED, Row, disassemble
from tests.cpu.processor_features import SIMD
from tests.cpu.simd_cases import ROWS, TABLE
from tests.cpu.tested_machine import ProcessorUnderTest

TRAPPED = "exception with ESR_EL1 0x1fe00000"  # the SIMD and FP trap, ISS.CV and COND are all ones
NO_FPEN, FPEN = 0, 3 << 20
OPTIONAL = ("SQRDMLAH", "SQRDMLSH", "SDOT", "UDOT")


def new(features: dict[int, int]) -> ProcessorUnderTest:
    machine = ProcessorUnderTest()
    for encoding, value in features.items():
        machine.cpu.set_sysreg(encoding, value)
    return machine


@pytest.fixture(scope="module")
def full(tier: str) -> ProcessorUnderTest:
    return new(SIMD)


@pytest.fixture(scope="module")
def bare(tier: str) -> ProcessorUnderTest:
    return new(dict.fromkeys(SIMD, 0))


def run(machine: ProcessorUnderTest, raw: int, state: State) -> Outcome:
    machine.place(CODE, raw.to_bytes(4, "little"))
    machine.forget_code()
    return machine.run(Case("", raw, state), CODE)


def random_state(rng: random.Random) -> State:
    return State(
        x=tuple([rng.getrandbits(64) for _ in range(31)]),
        sp=rng.getrandbits(60) << 4,
        nzcv=rng.getrandbits(4),
        v=tuple([rng.getrandbits(128) for _ in range(32)]),
        fpcr=0,
        fpsr=0,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_trap(full: ProcessorUnderTest, row: Row) -> None:
    """CPACR_EL1.FPEN: every instruction is trapped before it reads or writes anything."""
    rng = random.Random(f"{SEED} {row.name}")
    state = random_state(rng)
    for _ in range(200):  # some fields have unallocated values
        raw = TABLE.encode(rng, row)
        if run(full, raw, state).kind == "ok":
            break
    else:
        pytest.fail("none of 200 encodings is an instruction")
    full.cpu.set_sysreg(SYSREGS["CPACR_EL1"].encoding, NO_FPEN)
    try:
        found = run(full, raw, state)
    finally:
        full.cpu.set_sysreg(SYSREGS["CPACR_EL1"].encoding, FPEN)
    assert found.kind == TRAPPED, disassemble(raw, CODE)
    assert found.state is not None
    assert replace(found.state, nzcv=state.nzcv, sp=state.sp) == state


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.name.split("_")[0] in OPTIONAL],
    ids=lambda row: row.name,
)
def test_absent_extension(bare: ProcessorUnderTest, full: ProcessorUnderTest, row: Row) -> None:
    """FEAT_RDM, FEAT_DotProd: without them their encodings are UNDEFINED."""
    rng = random.Random(f"{SEED} {row.name}")
    state = random_state(rng)
    for _ in range(8):
        raw = TABLE.encode(rng, row)
        assert run(full, raw, state).kind == "ok"
        assert run(bare, raw, state).kind == "undefined"


@pytest.mark.parametrize(
    ("raw", "saturates"),
    [
        pytest.param(0x4E22_0C20, True, id="SQADD V0.16B, V1.16B, V2.16B"),
        pytest.param(0x0E22_0C20, False, id="SQADD V0.8B, V1.8B, V2.8B"),
        pytest.param(0x5E22_0C20, False, id="SQADD B0, B1, B2"),
        pytest.param(0x4E62_4C20, True, id="SQSHL V0.8H, V1.8H, V2.8H"),
        pytest.param(0x5E62_4C20, False, id="SQSHL H0, H1, H2"),
        pytest.param(0x4E62_B420, True, id="SQDMULH V0.8H, V1.8H, V2.8H"),
        pytest.param(0x0E62_B420, False, id="SQDMULH V0.4H, V1.4H, V2.4H"),
        pytest.param(0x4E62_D020, True, id="SQDMULL2 V0.4S, V1.8H, V2.8H"),
        pytest.param(0x0E62_D020, False, id="SQDMULL V0.4S, V1.4H, V2.4H"),
        pytest.param(0x4E21_4820, True, id="SQXTN2 V0.16B, V1.8H"),
        pytest.param(0x5E21_4820, False, id="SQXTN B0, H1"),
    ],
)
def test_saturation_of_lanes_that_there_are(
    full: ProcessorUnderTest, raw: int, saturates: bool
) -> None:
    """Only the upper halves saturate: FPSR.QC is set only if the instruction has them."""
    state = replace(
        random_state(random.Random(SEED)),
        v=(0, 0x8000 << 112 | 1, 0x8000 << 112 | 1, *[0] * 29),
    )
    if raw & 0xFFFF_FC00 == 0x4E62_4C00:  # shifted by 1
        state = replace(state, v=(*state.v[:2], 1 << 112, *state.v[3:]))
    found = run(full, raw, state)
    assert found.kind == "ok"
    assert found.state is not None
    assert found.state.fpsr == saturates << 27
