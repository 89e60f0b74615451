"""Data processing at scale: sequences of random instructions, at EL0 and EL1, against Unicorn."""

from __future__ import annotations

import struct

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")


from tests.cpu.oracle import SCALE, SEED
from tests.cpu.scale_batch import MODES, Batch, Pair, run_batches
from tests.cpu.scale_machines import ProcessorUnderTest, Reference
from tests.cpu.scale_program import DATA, NOP
from tests.cpu.scale_rows import Rows
from tests.cpu.test_data_oracle import ROWS

PARTS = 4
LENGTH = 6
TABLE = Rows(ROWS)


@pytest.fixture(scope="module")
def pair(tier: str) -> Pair:
    return Pair(ProcessorUnderTest(), Reference())


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_single_instructions(pair: Pair, part: int) -> None:
    """The result of each is compared."""

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


def test_a_difference_is_found_and_reduced(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ADD of thousands is replaced by SUB: the report has what matters, and the seed."""
    add, sub = 0x8B02_0020, 0xCB02_0020  # X0, X1, X2
    place = pair.tested.place

    def place_sub(at: int, content: bytes) -> None:
        place(at, content.replace(struct.pack("<I", add), struct.pack("<I", sub)))

    monkeypatch.setattr(pair.tested, "place", place_sub)

    def make(batch: Batch) -> None:
        batch.fill()
        drawn = [TABLE.draw(batch.rng) for _ in range(LENGTH)]
        names, words = [row.name for row, _ in drawn], [raw for _, raw in drawn]
        if len(batch.cases) == 700:
            names, words = ["NOP", "ADD", "NOP"], [NOP, add, NOP]
            batch.set_x(1, 1)
            batch.set_x(2, 2)
        batch.add(names, words)

    with pytest.raises(AssertionError) as caught:
        run_batches(pair, "wrong", ["EL0"], [1000], make)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"seed {SEED} wrong 0, EL0: 1 of 1000 cases differ")
    assert [line.split("  ")[2] for line in lines[2:5]] == ["nop", "add x0, x1, x2", "nop"]
    assert lines[5].split() == ["before:", "X2=0x1"]
    assert lines[6].strip() == "X0: tested 0xffffffffffffffff, Unicorn's 0x1"


def test_a_difference_in_memory_is_found(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which no register shows: of which case it is has to be tried."""
    store, other = 0xB900_0020, 0x3900_0020  # STR W0, [X1]; STRB
    place = pair.tested.place

    def place_other(at: int, content: bytes) -> None:
        place(at, content.replace(struct.pack("<I", store), struct.pack("<I", other)))

    monkeypatch.setattr(pair.tested, "place", place_other)

    def make(batch: Batch) -> None:
        batch.fill()
        batch.set_x(1, DATA + 8 * len(batch.cases))
        batch.add(["STR"], [store if len(batch.cases) == 55 else 0xF900_0020])  # STR X0, [X1]

    with pytest.raises(AssertionError) as caught:
        run_batches(pair, "wrong", ["EL1"], [100], make)
    assert f"memory at {DATA + 8 * 55 + 1:#x}: tested" in str(caught.value)
    assert "str w0, [x1]" in str(caught.value)
