"""Random single instructions on guestdbg's processor and on Unicorn: a difference is a bug in one.

An `Oracle` holds both machines over the same memory layout: code, a data area that instructions
may touch, nothing else. `exercise()` takes a row of the decode table, fills its free bits, the
registers, the flags and the data area at random, executes the one instruction on both and compares
X0 to X30, SP, PC, NZCV, V0 to V31, FPSR and every byte of the data area, or that both find the
encoding UNDEFINED or the access faulting.

The seed is fixed, so a run is repeatable; GUESTDBG_ORACLE_SEED takes another one and
GUESTDBG_ORACLE_COUNT multiplies the work. A failure is reduced to the least initial state that
still shows it, and reported with seed, encoding and disassembly.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import capstone
from unicorn import arm64_const as uc_arm64

from guestdbg.cpu.processor import encodings
from tests.cpu.cases import (
    BATCH,
    CODE,
    CODE_SIZE,
    DATA,
    DATA_SIZE,
    EPILOGUE,
    ONES,
    Case,
    Outcome,
    State,
)
from tests.cpu.tested_machine import ProcessorUnderTest
from tests.cpu.unicorn_machine import Reference

SEED = int(os.environ.get("GUESTDBG_ORACLE_SEED", "20261122"), 0)
SCALE = int(os.environ.get("GUESTDBG_ORACLE_COUNT", "1"))


EDGES = (
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
    0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_8000_0000,
    0xFFFF_FFFF_FFFF_FFFE, ONES,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the processor's decode table."""

    name: str
    mask: int
    value: int


@dataclass(frozen=True)
class Skip:
    """Encodings of a row that are not compared with Unicorn, and why. `when`: only some of them."""

    row: str
    reason: str
    when: Callable[[int], bool] = field(default=lambda raw: True)


@dataclass
class Tally:
    executed: int = 0
    undefined: int = 0
    aborted: int = 0


def rows(wanted: Callable[[Row], bool]) -> list[Row]:
    """The selected rows of the decode table, by name."""
    table = (Row(name, mask, value) for name, mask, value in encodings())
    return sorted((row for row in table if wanted(row)), key=lambda row: row.name)


def row_of(table: Iterable[Row], raw: int) -> Row | None:
    """The row of an encoding: the one with the most fixed bits that match."""
    found = [row for row in table if raw & row.mask == row.value]
    return max(found, key=lambda row: row.mask.bit_count(), default=None)


def random_value(rng: random.Random) -> int:
    """A 64-bit number: half of them anything, the others near where arithmetic changes."""
    kind = rng.randrange(8)
    if kind < 4:
        return rng.getrandbits(64)
    if kind < 6:
        return rng.choice(EDGES)
    if kind == 6:
        return rng.getrandbits(rng.randrange(1, 65))
    return (rng.choice(EDGES) + rng.randrange(-2, 3)) & ONES


def random_state(rng: random.Random) -> State:
    return State(
        x=tuple(random_value(rng) for _ in range(31)),
        sp=random_value(rng),
        nzcv=rng.getrandbits(4),
        v=tuple(rng.getrandbits(128) for _ in range(32)),
    )


def random_encoding(rng: random.Random, row: Row) -> int:
    """The row's fixed bits and random others; often registers that are equal, or 31."""
    raw = rng.getrandbits(32)
    if rng.randrange(4) == 0:
        places = [0, 5, 10, 16]
        what = raw & 31 if rng.randrange(2) else 31
        for place in rng.sample(places, rng.randrange(1, 4)):
            raw = raw & ~(31 << place) | what << place
    return raw & ~row.mask & 0xFFFF_FFFF | row.value


def disassemble(raw: int, pc: int = CODE) -> str:
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    for found in engine.disasm(struct.pack("<I", raw), pc):
        return f"{found.mnemonic} {found.op_str}".strip()
    return "(capstone knows no such instruction)"


class Oracle:
    """Both machines. skips: what is not compared; `unused()` lists those that never applied."""

    def __init__(
        self,
        *,
        model: int = uc_arm64.UC_CPU_ARM64_A57,
        lse: bool = False,
        skips: Sequence[Skip] = (),
    ) -> None:
        self.tested = ProcessorUnderTest(lse=lse)
        self.reference = Reference(model)
        self.skips = skips
        self.met: set[int] = set()
        self.slot = 0

    def skipped(self, row: str, raw: int) -> bool:
        for n, skip in enumerate(self.skips):
            if skip.row == row and skip.when(raw):
                self.met.add(n)
                return True
        return False

    def unused(self) -> list[Skip]:
        """Skips that applied to no encoding: they must be removed."""
        return [skip for n, skip in enumerate(self.skips) if n not in self.met]

    def place(self, raw: int) -> int:
        """Write the instruction and a branch to Unicorn's epilogue; its address."""
        if self.slot == CODE_SIZE:
            self.slot = 0
            self.tested.forget_code()
            self.reference.forget_code()
        pc = CODE + self.slot
        words = struct.pack("<II", raw, 0x1400_0000 | (EPILOGUE - pc - 4) // 4)
        self.tested.place(pc, words)
        self.reference.place(pc, words)
        self.slot += 8
        return pc

    def run(self, cases: Sequence[Case]) -> list[tuple[Outcome, Outcome, list[str]]]:
        """For at most BATCH cases: the outcome here, Unicorn's, and the differences (or empty)."""
        places = [self.place(case.raw) for case in cases]
        reference = self.reference.run(cases, places)
        tested = [self.tested.run(case, pc) for case, pc in zip(cases, places, strict=True)]
        found = [
            (mine, other, differences(case, mine, other))
            for case, mine, other in zip(cases, tested, reference, strict=True)
        ]
        if self.tested.data[:] != self.reference.data[:] and not any(wrong for *_, wrong in found):
            found[-1][2].append("memory outside the data of the cases differs")
        return found

    def check(self, cases: Sequence[Case], note: str = "") -> list[Outcome]:
        """The outcomes on which both agree; AssertionError with the first difference, reduced."""
        found = self.run(cases)
        for case, (_, _, wrong) in zip(cases, found, strict=True):
            if wrong:
                raise AssertionError(self.report(self.reduce(case), note, wrong))
        return [tested for tested, _, _ in found]

    def reduce(self, case: Case) -> Case:
        """The least state that still fails: registers 0 where they do not matter."""

        def fails(smaller: Case) -> bool:
            return bool(self.run([smaller])[0][2])

        state = case.state
        parts: list[dict[str, Any]] = [{"v": (0,) * 32}, {"nzcv": 0}, {"sp": 0}]
        for part in parts:
            smaller = replace(state, **part)
            if fails(replace(case, state=smaller)):
                state = smaller
                case = replace(case, state=state)
        for n in range(31):
            for value in (0, 1, state.x[n] & 0xFF, state.x[n] & 0xFFFF_FFFF):
                x = (*state.x[:n], value, *state.x[n + 1 :])
                smaller = replace(state, x=x)
                if fails(replace(case, state=smaller)):
                    state = smaller
                    case = replace(case, state=state)
                    break
        if case.data and fails(replace(case, data=bytes(DATA_SIZE))):
            case = replace(case, data=bytes(DATA_SIZE))
        return case

    def report(self, case: Case, note: str, before: list[str]) -> str:
        ((tested, reference, wrong),) = self.run([case])
        state = case.state
        given = [f"X{n}={value:#x}" for n, value in enumerate(state.x) if value]
        given += [f"V{n}={value:#x}" for n, value in enumerate(state.v) if value]
        given += [f"SP={state.sp:#x}", f"NZCV={state.nzcv:04b}"]
        if not wrong:  # it took what ran before it
            wrong = [*before, "(not by itself: only after other instructions)"]
        return "\n".join(
            (
                f"{case.row}: {case.raw:#010x}  {disassemble(case.raw)}   (seed {SEED}{note})",
                f"  before: {' '.join(given)}",
                f"  tested: {tested.kind}; Unicorn: {reference.kind}",
                *(f"  {line}" for line in wrong),
            )
        )


def differences(case: Case, tested: Outcome, reference: Outcome) -> list[str]:
    if tested.kind != reference.kind:
        return [f"tested: {tested.kind}; Unicorn: {reference.kind}"]
    wrong = []
    mine = tested.state
    assert mine is not None
    if tested.kind == "undefined" and (mine.x, mine.sp, mine.v) != (
        case.state.x,
        case.state.sp,
        case.state.v,
    ):
        wrong.append("tested changed a register though UNDEFINED")
    if tested.kind != "ok":
        return wrong
    other = reference.state
    assert other is not None
    if tested.pc != reference.pc:
        wrong.append(f"PC: tested {tested.pc:#x}, Unicorn's {reference.pc:#x}")
    if mine != other:
        for letter, ours_bank, theirs_bank in (("X", mine.x, other.x), ("V", mine.v, other.v)):
            for n, (a, b) in enumerate(zip(ours_bank, theirs_bank, strict=True)):
                if a != b:
                    wrong.append(f"{letter}{n}: tested {a:#x}, Unicorn's {b:#x}")
        for name in ("sp", "nzcv", "fpcr", "fpsr"):
            a, b = getattr(mine, name), getattr(other, name)
            if a != b:
                wrong.append(f"{name.upper()}: tested {a:#x}, Unicorn's {b:#x}")
    if tested.data != reference.data:
        at = [n for n, (a, b) in enumerate(zip(tested.data, reference.data, strict=True)) if a != b]
        wrong.append(
            f"memory at {case.data_at + at[0]:#x}: tested {tested.data[at[0] : at[-1] + 1].hex()}, "
            f"Unicorn's {reference.data[at[0] : at[-1] + 1].hex()}"
        )
    return wrong


Prepare = Callable[[random.Random, Case], Case | None]


def exercise(
    oracle: Oracle,
    row: Row,
    *,
    count: int,
    prepare: Prepare | None = None,
    belongs: Callable[[int], bool] = lambda raw: True,
    tries: int = 40,
) -> Tally:
    """Until `count` instructions of the row have been executed and agreed on by both machines.

    prepare: makes the case fit the instruction: points address registers to case.data_at, gives
    the data (DATA_SIZE bytes); it returns None to try another. belongs: False for encodings of a
    row with more fixed bits. UNDEFINED and faulting cases are compared too, but do not count.
    Gives up after count * tries attempts; the caller asserts the tally.
    """
    rng = random.Random(f"{SEED} {row.name}")
    tally = Tally()
    count *= SCALE
    attempts = 0
    while tally.executed < count and attempts < count * tries:
        cases: list[Case] = []
        wanted = min(BATCH, count - tally.executed)
        while len(cases) < wanted and attempts < count * tries:
            attempts += 1
            raw = random_encoding(rng, row)
            if not belongs(raw) or oracle.skipped(row.name, raw):
                continue
            at = DATA + DATA_SIZE * len(cases)
            case: Case | None = Case(row.name, raw, random_state(rng), data_at=at)
            if prepare is not None and case is not None:
                case = prepare(rng, case)
            if case is not None:
                cases.append(case)
        if not cases:
            break
        for outcome in oracle.check(cases, f", within {attempts} attempts"):
            if outcome.kind == "ok":
                tally.executed += 1
            elif outcome.kind == "undefined":
                tally.undefined += 1
            elif outcome.kind == "abort":
                tally.aborted += 1
    return tally
