"""Branches at scale: where they go and what they link, against Unicorn.

At a branch's target is a landing that stores its own address, so a branch to anywhere else is
noticed. Targets are as far as the encoding reaches, before and after, often across a page.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

import struct

from guestdbg.cpu.processor import encodings_by_module
from tests.cpu.mem_prepare import field, signed
from tests.cpu.oracle import SCALE, rows
from tests.cpu.scale_batch import MODES, Batch, Fault, Pair, run_batches
from tests.cpu.scale_machines import ProcessorUnderTest, Reference
from tests.cpu.scale_memory import IL, PERMISSION_3, TRANSLATION_3
from tests.cpu.scale_program import (
    CODE,
    CODE_SIZE,
    DATA,
    FAR_CODE,
    HOLE,
    LANDING_SIZE,
    NOP,
    STATE,
    TABLES,
    landing,
    page_kind,
)
from tests.cpu.scale_rows import Rows
from tests.cpu.test_data_oracle import ROWS as DATA_ROWS

PARTS = 2
EC_IABT, EC_PC = 0x20, 0x22
PREFETCH_ABORT = 3  # Unicorn's number


# (low bit, width) of the immediate, by row
IMMEDIATE = {
    "b": (0, 26), "bl": (0, 26), "b.cond": (5, 19), "tbz": (5, 14), "tbnz": (5, 14),
    "cbz w": (5, 19), "cbnz w": (5, 19), "cbz x": (5, 19), "cbnz x": (5, 19),
}  # fmt: skip
TO_REGISTER = {"br", "blr", "ret"}
BRANCHES = Rows(rows(lambda row: row.name in IMMEDIATE.keys() | TO_REGISTER))


def test_the_table_has_them_all() -> None:
    """x00101 and x01101 at bits 31..26, 0101010 and 1101011 at bits 31..25 (not ERET, DRPS)."""
    found = rows(
        lambda row: (
            (row.value >> 26 & 0x1F in (0b00101, 0b01101) and row.mask >> 26 & 0x1F == 0x1F)
            or row.value >> 25 in (0b0101010, 0b1101011)
        )
    )
    authenticated = {name for name, *_ in encodings_by_module()["branch_pauth"]}
    assert {row.name for row in found} == BRANCHES.names | authenticated | {"ERET", "DRPS"}
    assert BRANCHES.names == IMMEDIATE.keys() | TO_REGISTER


class Targets:
    """The unused addresses of one batch."""

    def __init__(self) -> None:
        self.taken: set[int] = set()  # words
        # The ranges in which there may be code, and how probable they are for far branches.
        self.regions = [(CODE, CODE_SIZE), *FAR_CODE.items()]

    def free(self, at: int, size: int) -> bool:
        if not any(start <= at and at + size <= start + length for start, length in self.regions):
            return False
        return self.taken.isdisjoint(range(at, at + size, 4))

    def take(self, at: int, size: int) -> None:
        self.taken.update(range(at, at + size, 4))

    def find(self, rng: random.Random, here: int, reach: int) -> int:
        """An address up to `reach` bytes before or after `here`."""
        while True:
            kind = rng.randrange(4)
            if kind == 0 and reach > CODE_SIZE:  # the ends of what B reaches
                start, length = rng.choice(self.regions[1:])
                at = start + rng.randrange(length)
            elif kind == 1:  # near
                at = here + rng.randrange(-4096, 4096)
            else:
                at = here + rng.randrange(-min(reach, CODE_SIZE), min(reach, CODE_SIZE))
            if rng.randrange(4) == 0:  # the last words of a page
                at = (at | 0xFFF) - rng.randrange(LANDING_SIZE)
            at &= ~3
            if -reach <= at - here < reach and self.free(at, LANDING_SIZE):
                return at


def place(batch: Batch, targets: Targets) -> int:
    """The address of the next case's branch: slots are spread over the code, some such that the
    branch is the last instruction of a page."""
    at = batch.next_slot + 64 + 8 * batch.rng.randrange(64)
    if batch.rng.randrange(4) == 0:
        at = at & ~0xFFF | 0xFF0  # 12 bytes of slot, then the branch
    at = at & ~7 if (at + 12) & 0xFFF != 0xFFC else at
    while not targets.free(at, 64):
        at += 64
    batch.next_slot = at
    targets.take(at, 64)
    return at + 12


@pytest.fixture(scope="module")
def pair(tier: str) -> Pair:
    return Pair(ProcessorUnderTest(), Reference())


class Maker:
    """Adds one branch at a time to a batch. seen: (condition, NZCV) of B.cond."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[int, int]] = Counter()
        self.targets = Targets()

    def __call__(self, batch: Batch) -> None:
        if not batch.cases:
            self.targets = Targets()
        rng = batch.rng
        batch.fill(4)
        row, raw = BRANCHES.draw(rng)
        here = place(batch, self.targets)
        nzcv = rng.getrandbits(4)
        batch.set_nzcv(nzcv)
        if row.name in TO_REGISTER:
            rn = field(raw, 9, 5)
            if rn == 31:  # would go to 0
                return
            target = self.targets.find(rng, here, 1 << 27)
            batch.set_x(rn, target)
        else:
            low, width = IMMEDIATE[row.name]
            target = self.targets.find(rng, here, 1 << width + 1)
            mask = (1 << width) - 1
            raw = raw & ~(mask << low) | ((target - here) // 4 & mask) << low
            assert signed(raw >> low & mask, width) * 4 == target - here
            if row.name == "b.cond":
                self.seen[raw & 15, nzcv] += 1
            elif row.name[0] in "ct" and rng.randrange(2):  # zero, or zero in the lower half
                batch.set_x(field(raw, 4, 0), rng.getrandbits(32) << 32 if rng.randrange(2) else 0)
        self.targets.take(target, LANDING_SIZE)
        batch.extra.append((target, struct.pack("<5I", *landing(target))))
        batch.add([row.name], [raw])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_branches(pair: Pair, part: int) -> None:
    maker = Maker()
    tally = run_batches(pair, f"branches {part}", list(MODES), [3000] * 8 * SCALE, maker)
    assert tally.executed.keys() == BRANCHES.names
    assert min(tally.executed.values()) > 500
    assert maker.seen.keys() == set(product(range(16), repeat=2))


@pytest.mark.slow
def test_loops(pair: Pair) -> None:
    """A few instructions round and round: links between blocks, forwards and backwards."""
    table = Rows([row for row in DATA_ROWS if "pcrel" not in row.name])

    def make(batch: Batch) -> None:
        batch.fill()
        rng = batch.rng
        counter = 29
        drawn: list[tuple[str, int]] = []
        while len(drawn) < 5:
            row, raw = table.draw(rng)
            if field(raw, 4, 0) != counter:  # nothing writes it
                drawn.append((row.name, raw))
        at = rng.randrange(1, 5)
        skip = 0x5400_0040 | rng.randrange(16)  # B.cond over the next instruction
        drawn.insert(at, ("b.cond", skip))
        drawn += [("SUB", 0xD100_07BD)]  # X29 -= 1
        drawn += [("cbnz x", 0xB500_001D | (-len(drawn) & 0x7FFFF) << 5)]
        batch.set_x(counter, rng.randrange(1, 40))
        batch.add([name for name, _ in drawn], [raw for _, raw in drawn])

    run_batches(pair, "loops", list(MODES), [2048] * 6 * SCALE, make)


BAD_TARGETS: dict[str, Callable[[random.Random], tuple[int, int]]] = {
    # target: fault status code. Without translation at some level, or not executable.
    "a hole among pages": lambda rng: (DATA + (16 << 12) + 4 * rng.randrange(1024), TRANSLATION_3),
    "a page of data": lambda rng: (DATA + 4 * rng.randrange(0x4000), PERMISSION_3),
    "a block of data": lambda rng: (STATE + 4 * rng.randrange(0x400), 0x0E),
    "a block that is not there": lambda rng: (TABLES + 0x20_0000 + 4 * rng.randrange(99), 0x06),
    "no table": lambda rng: (0x8000_0000 + 4 * rng.randrange(1 << 28), 0x05),
    "beyond 39 bits": lambda rng: (1 << 39 | 0x6000_0000 | 4 * rng.randrange(1 << 22), 0x04),
    "TTBR1_EL1, which EPD1 switches off": lambda rng: (-4 * rng.randrange(1, 1 << 28), 0x04),
}


@pytest.mark.slow
def test_branches_to_nothing(pair: Pair) -> None:
    """Instruction aborts: the exception is the target's, ELR and FAR are the target, and BLR has
    linked."""

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(2)
        name = rng.choice(sorted(TO_REGISTER))
        rn = rng.randrange(30)
        raw = {"br": 0xD61F_0000, "blr": 0xD63F_0000, "ret": 0xD65F_0000}[name] | rn << 5
        target, fsc = BAD_TARGETS[rng.choice(sorted(BAD_TARGETS))](rng)
        target &= (1 << 64) - 1
        assert page_kind(target) == HOLE or fsc == PERMISSION_3
        batch.set_x(rn, target)
        ec = EC_IABT + (batch.mode != "EL0")
        fault = Fault(ec << 26 | IL | fsc, target, PREFETCH_ABORT, elr=target)
        batch.add([name], [raw], fault=fault)

    tally = run_batches(pair, "branches to nothing", list(MODES), [2000] * 3 * SCALE, make)
    assert tally.faulted.keys() == TO_REGISTER


def test_branches_to_unaligned_addresses() -> None:
    """PC alignment faults, before the target is looked up. By the model alone."""

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(2)
        rn = rng.randrange(30)
        where = rng.choice((CODE, DATA, TABLES + 0x20_0000, 0x8000_0000))
        target = where + 4 * rng.randrange(1000) + rng.randrange(1, 4)
        batch.set_x(rn, target)
        fault = Fault(EC_PC << 26 | IL, target, elr=target)
        batch.add(["br"], [0xD61F_0000 | rn << 5], fault=fault)

    run_batches(
        Pair(ProcessorUnderTest(), None), "unaligned branches", list(MODES), [500] * 3, make
    )


def test_nothing_stands_behind_a_taken_branch(pair: Pair) -> None:
    """Two branches in a row, the first over the second: what is skipped is not executed."""

    def make(batch: Batch) -> None:
        batch.fill(0)
        batch.add(["b", "MOVZ", "NOP"], [0x1400_0002, 0xD280_0540, NOP])

    run_batches(pair, "skips", list(MODES), [50] * 3, make)
