"""Data processing instructions against Unicorn's Cortex-A57."""

from __future__ import annotations

import random
import struct
from itertools import product

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from unicorn import arm64_const as uc_arm64

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.cases import BATCH, Case, Outcome, State
from tests.cpu.extensions import give
from tests.cpu.oracle import (
    EDGES,
    SCALE,
    SEED,
    Oracle,
    Row,
    disassemble,
    exercise,
    random_state,
    row_of,
    rows,
)

COUNT = 300  # executions of each row


#: Rows of extensions after Armv8.0, which Unicorn's Cortex-A57 does not have. They are compared
#: with its "max" processor instead (see test_mem_oracle_sync.py).
LATER = frozenset(
    ["RMIF", "SETF8", "SETF16", "PACGA", "XPACI", "XPACD"]
    + [f"{op}I{z}{key}" for op in ("PAC", "AUT") for z in ("", "Z") for key in "AB"]
    + [f"{op}D{z}{key}" for op in ("PAC", "AUT") for z in ("", "Z") for key in "AB"]
)


def is_data_processing(row: Row) -> bool:
    """Bits 28..25 are 100x (immediate) or x101 (register), and the row fixes them."""
    group = row.value >> 25 & 15
    in_group = group in (0b1000, 0b1001, 0b0101, 0b1101)
    return in_group and row.mask >> 25 & 15 in (0b1110, 0b1111) and row.name not in LATER


ROWS = rows(is_data_processing)


@pytest.fixture(scope="module")
def oracle(tier: str) -> Oracle:
    return Oracle()


@pytest.fixture(scope="module")
def later_oracle(tier: str) -> Oracle:
    """SCTLR_EL1.EnIA and so on are clear: PACIA and its like do nothing."""
    oracle = Oracle(model=uc_arm64.UC_CPU_ARM64_MAX)
    give(oracle.tested.cpu, "FlagM", "QARMA5")
    return oracle


#: Not what Unicorn cannot judge: XPACI depends on TCR_EL1, which is not the same on both machines;
#: PACGA is UNDEFINED there, as EL3 traps it. (QEMU judges both, in test_extensions_qemu.py.)
LATER_ROWS = rows(lambda row: row.name in (LATER | {"CFINV"}) - {"XPACI", "XPACD", "PACGA"})


@pytest.mark.parametrize("row", LATER_ROWS, ids=lambda row: row.name)
def test_random_instructions_of_extensions(later_oracle: Oracle, row: Row) -> None:
    assert exercise(later_oracle, row, count=COUNT).executed >= COUNT


@pytest.mark.parametrize(
    "row", rows(lambda row: row.name in LATER | {"CFINV"}), ids=lambda row: row.name
)
def test_absent_feature_is_undefined(oracle: Oracle, row: Row) -> None:
    tally = exercise(oracle, row, count=20, tries=1)
    assert (tally.executed, tally.undefined) == (0, 20)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_random_instructions(oracle: Oracle, row: Row) -> None:
    tally = exercise(oracle, row, count=COUNT, belongs=lambda raw: row_of(ROWS, raw) == row)
    assert tally.executed >= COUNT, tally
    assert tally.aborted == 0, tally


def test_the_table_has_the_whole_of_data_processing() -> None:
    """By the classes of the manual's table C4.1: how many instructions each has in Armv8.0."""
    expected = {
        "pcreladdr": 2,
        "addsub_imm": 8,
        "log_imm": 8,
        "movewide": 6,
        "bitfield": 6,
        "extract": 2,
        "log_shift": 16,
        "addsub_shift": 8,
        "addsub_ext": 8,
        "addsub_carry": 8,
        "condcmp_reg": 4,
        "condcmp_imm": 4,
        "condsel": 8,
        "dp_1src": 11,
        "dp_2src": 20,
        "dp_3src": 10,
    }
    found = {name: sum(row.name.endswith("_" + name) for row in ROWS) for name in expected}
    assert found == expected
    assert len(ROWS) == sum(expected.values())


def check_all(oracle: Oracle, cases: list[Case]) -> list[Outcome]:
    """The outcome of each case, on which both machines agree."""
    outcomes = []
    for n in range(0, len(cases), BATCH):
        outcomes += oracle.check(cases[n : n + BATCH])
    return outcomes


def kinds(outcomes: list[Outcome]) -> set[str]:
    return {outcome.kind for outcome in outcomes}


def test_unallocated_encodings_are_undefined(oracle: Oracle) -> None:
    """Around the table: encodings one to three bits away from an allocated one, in no row."""
    rng = random.Random(SEED)
    cases: list[Case] = []
    while len(cases) < 3000 * SCALE:
        row = rng.choice(ROWS)
        raw = rng.getrandbits(32) & ~row.mask & 0xFFFF_FFFF | row.value
        fixed = [bit for bit in range(32) if row.mask >> bit & 1 and bit not in (25, 26, 27, 28)]
        for bit in rng.sample(fixed, min(len(fixed), rng.randrange(1, 4))):
            raw ^= 1 << bit
        if row_of(ROWS, raw) is None:
            cases.append(Case("unallocated", raw, random_state(rng)))
    assert kinds(check_all(oracle, cases)) == {"undefined"}


def test_every_bitmask_immediate(oracle: Oracle) -> None:
    """All 8192 of N:immr:imms, in 64 and 32 bits: 5334 and 1302 values, the rest reserved."""
    state = random_state(random.Random(SEED))
    wide = [Case("EOR", 0xD200_0020 | n << 10, state) for n in range(1 << 13)]
    narrow = [Case("EOR", 0x5200_0020 | n << 10, state) for n in range(1 << 13)]
    for cases, sizes in ((wide, (64, 32, 16, 8, 4, 2)), (narrow, (32, 16, 8, 4, 2))):
        outcomes = check_all(oracle, cases)
        good = [outcome for outcome in outcomes if outcome.kind == "ok"]
        assert kinds(outcomes) == {"ok", "undefined"}
        # size - 1 lengths of ones; they all may be rotated by 0 to size - 1, but immr is wider
        assert len(good) == 64 * sum(size - 1 for size in sizes)
        assert len({outcome.state for outcome in good}) == sum(size * (size - 1) for size in sizes)


@pytest.mark.parametrize("opcode", ["SBFM", "BFM", "UBFM"])
@pytest.mark.parametrize("size", [32, 64])
def test_every_bitfield(oracle: Oracle, opcode: str, size: int) -> None:
    """Each immr and imms: many aliases with functions of their own lie in between."""
    rng = random.Random(SEED)
    base = {"SBFM": 0x1300_0020, "BFM": 0x3300_0020, "UBFM": 0x5300_0020}[opcode]
    if size == 64:
        base |= 0x8040_0000
    cases = [
        Case(opcode, base | r << 16 | s << 10, random_state(rng))
        for r, s in product(range(size), repeat=2)
    ]
    assert kinds(check_all(oracle, cases)) == {"ok"}


CONDITIONAL = {
    name: value | 0x0001_0000 | 1 << 5
    for row in ROWS
    for name, value in [(row.name, row.value)]
    if "_cond" in name
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_every_condition_with_every_nzcv(oracle: Oracle, name: str) -> None:
    rng = random.Random(SEED)
    cases = []
    for condition, nzcv in product(range(16), repeat=2):
        raw = CONDITIONAL[name] | condition << 12
        raw |= rng.getrandbits(4) if "condcmp" in name else 2
        state = random_state(rng)
        cases.append(Case(name, raw, State(state.x, state.sp, nzcv, state.v)))
    assert kinds(check_all(oracle, cases)) == {"ok"}


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("UDIV 64", 0x9AC2_0820),
        ("UDIV 32", 0x1AC2_0820),
        ("SDIV 64", 0x9AC2_0C20),
        ("SDIV 32", 0x1AC2_0C20),
        ("SMULH", 0x9B42_7C20),
        ("UMULH", 0x9BC2_7C20),
        ("ADCS 64", 0xBA02_0020),
        ("ADCS 32", 0x3A02_0020),
        ("SBCS 64", 0xFA02_0020),
        ("SBCS 32", 0x7A02_0020),
        ("ADDS 64", 0xAB02_0020),
        ("ADDS 32", 0x2B02_0020),
        ("SUBS 64", 0xEB02_0020),
        ("SUBS 32", 0x6B02_0020),
    ],
)
def test_values_at_the_edges(oracle: Oracle, name: str, raw: int) -> None:
    """Division by 0, the most negative number by -1, and whatever carries or overflows."""
    blank = random_state(random.Random(SEED))
    cases = []
    for n, (a, b) in enumerate(product(EDGES, repeat=2)):
        x = (blank.x[0], a, b, *blank.x[3:])
        cases.append(Case(name, raw, State(x, blank.sp, (n & 1) << 1, blank.v)))
    assert kinds(check_all(oracle, cases)) == {"ok"}


def test_crc32_is_undefined_where_the_id_register_says_so() -> None:
    """ID_AA64ISAR0_EL1.CRC32 0: Unicorn's A57 has it, so this is checked without Unicorn."""
    without, has = Oracle(), Oracle()
    register = SYSREGS["ID_AA64ISAR0_EL1"].encoding
    value = without.tested.cpu.get_sysreg(register)
    assert value >> 16 & 15 == 1, "by default there is CRC32"
    without.tested.cpu.set_sysreg(register, value & ~(15 << 16))
    state = random_state(random.Random(SEED))
    crc = [row for row in ROWS if row.name.startswith("CRC32")]
    assert len(crc) == 8
    for row in crc:
        case = Case(row.name, row.value | 2 << 16 | 1 << 5, state)
        assert without.tested.run(case, without.place(case.raw)).kind == "undefined"
        assert has.tested.run(case, has.place(case.raw)).kind == "ok"


def test_addresses_are_of_the_instruction_itself(oracle: Oracle) -> None:
    """ADR and ADRP at the ends of their range, by hand."""
    state = random_state(random.Random(SEED))
    for raw, offset in (
        (0x1000_0000, 0),
        (0x1080_0000, -(1 << 20)),
        (0x707F_FFE0, (1 << 20) - 1),
    ):
        pc = oracle.place(raw)
        after = oracle.tested.run(Case("ADR", raw, state), pc).state
        assert after is not None
        assert after.x[0] == (pc + offset) % (1 << 64), disassemble(raw, pc)
    pc = oracle.place(0x9080_0000)
    after = oracle.tested.run(Case("ADRP", 0x9080_0000, state), pc).state
    assert after is not None
    assert after.x[0] == ((pc & ~0xFFF) - (1 << 32)) % (1 << 64)


def test_the_oracle_notices_a_difference(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong result is found, reduced to what matters, and reported with its disassembly."""
    state = random_state(random.Random(SEED))
    add = 0x8B02_0020  # ADD X0, X1, X2
    place = oracle.tested.place

    def place_sub(pc: int, words: bytes) -> None:
        place(
            pc, struct.pack("<I", 0xCB02_0020) + words[4:]
        )  # the tested processor gets SUB X0, X1, X2

    monkeypatch.setattr(oracle.tested, "place", place_sub)
    with pytest.raises(AssertionError) as caught:
        oracle.check([Case("ADD", add, state)])
    text = str(caught.value)
    assert "add x0, x1, x2" in text
    assert f"seed {SEED}" in text
    before = next(line for line in text.splitlines() if "before:" in line)
    assert [word.split("=")[0] for word in before.split()[1:]] == ["X2", "SP", "NZCV"]
