"""The same guest with the same inputs does the same, however it is run.

In one piece or in pieces of any length, with nothing armed or with breakpoints and watchpoints
that are hit and stepped past, with timers in virtual time: the same instruction counts, the same
exits at the same instructions, the same registers and memory.

The guests are random programs. What their hypervisor does (below) depends on nothing but the state
they are in, so a difference is a bug of the processor.
"""

from __future__ import annotations

import hashlib
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import fuzz_words

from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_LIMIT,
    EXIT_STUCK,
    EXIT_TIMER,
    PhysicalMemory,
    Processor,
)

from .processor_features import LSE
from .support import B_SELF, DATA, NOP, Bench, load_address, movz
from .support import CODE as CODE_AT
from .system_support import enc

RAM = 0x4000_0000
SIZE = 0x10000
CODE = RAM + 0x1000
WORDS = 0x800
TDE_TDA = 0xF << 8  # the guest cannot access the debug registers or take their exceptions
VI = 1 << 7
IMO = 1 << 4
TOTAL = 12_000
INPUT = 200  # instructions between two inputs from outside


@dataclass
class Guest:
    """A random program with its hypervisor."""

    seed: int
    exclusives: bool = True
    memory: PhysicalMemory = field(default_factory=PhysicalMemory)
    ram: bytearray = field(default_factory=lambda: bytearray(SIZE))
    events: list[tuple[object, ...]] = field(default_factory=list)
    input_at: int = 0

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.memory.map(0, RAM, self.ram)
        self.p = p = Processor(self.memory, identification=LSE if self.seed & 1 else None)
        self.ram[:0x800] = fuzz_words.vectors(rng)
        self.ram[0x1000 : 0x1000 + 4 * WORDS] = fuzz_words.code(rng, WORDS)
        if not self.exclusives:
            for at in range(0x1000, 0x1000 + 4 * WORDS, 4):
                if self.ram[at + 3] & 0x3F == 0x08 and not self.ram[at + 2] & 0x80:
                    self.ram[at : at + 4] = fuzz_words.NOP.to_bytes(4, "little")
        near = [RAM + 0x4000, RAM + 0x5000, CODE, RAM + SIZE]
        for n in range(31):
            p.set_x(n, fuzz_words.value(rng, near))
        p.sp_el0 = RAM + 0x8000
        p.sp_el1 = RAM + 0x9000
        p.pc = CODE
        p.pstate = 5 if self.seed & 2 else 0
        p.mdcr_el2 = TDE_TDA
        p.hcr_el2 = IMO
        p.cnthctl_el2 = 3
        p.mdscr_el1 = 1 << 15
        for name, value in (
            ("VBAR_EL1", RAM),
            ("CPACR_EL1", 3 << 20),
            ("CNTV_CVAL_EL0", 100 + rng.getrandbits(6)),
            ("CNTV_CTL_EL0", 1),
            ("CNTP_CVAL_EL0", 1 << 20),
            ("CNTP_CTL_EL0", rng.getrandbits(1)),
        ):
            p.set_sysreg(enc(name), value)

    # ---- the hypervisor -----------------------------------------------------------------------

    def elsewhere(self) -> None:
        """The guest cannot go on: put it back into its code, at a place that the count chooses."""
        p = self.p
        p.set_sysreg(enc("VBAR_EL1"), RAM)
        p.set_sysreg(enc("SCTLR_EL1"), p.get_sysreg(enc("SCTLR_EL1")) & ~1)
        p.pc = CODE + 4 * (p.instructions * 13 % WORDS)
        p.pstate = 5

    def input(self) -> None:
        """What comes from outside at certain instructions: code and registers at random."""
        self.input_at += INPUT
        rng = random.Random(f"{self.seed}/{self.input_at}")
        near = [RAM + 0x4000, RAM + 0x5000, CODE, RAM + SIZE]
        for n in range(31):
            self.p.set_x(n, fuzz_words.value(rng, near))
        self.elsewhere()
        self.p.pstate = rng.choice([0x3C0, 0x3C5, 5, 0])
        self.p.irq = rng.random() < 0.2
        if rng.random() < 0.5:
            self.p.set_sysreg(enc("CNTV_CVAL_EL0"), self.p.counter + rng.getrandbits(5))
            self.p.set_sysreg(enc("CNTV_CTL_EL0"), 1)

    def handle(self, reason: int) -> None:
        p = self.p
        self.events.append(
            (reason, p.instructions, p.pc, p.pstate, p.vtimer_output, p.ptimer_output, p.counter)
            + ((p.esr_el2, p.far_el2, p.hpfar_el2) if reason == EXIT_EL2 else ())
        )
        if reason == EXIT_TIMER:
            p.hcr_el2 = IMO | VI if p.vtimer_output else IMO
            if p.vtimer_output and len(self.events) % 3 == 0:
                p.set_sysreg(enc("CNTV_CVAL_EL0"), p.counter + 77)
                p.hcr_el2 = IMO
        elif reason == EXIT_STUCK or p.esr_el2 >> 26 == 0x20:
            self.elsewhere()
        elif p.esr_el2 >> 26 == 0x24 and p.instructions % 5 == 0:
            p.take_exception(0x96000010, p.far_el2)
        elif p.esr_el2 >> 26 != 0x16:
            p.skip_instruction()

    def run(self, pieces: random.Random | None = None, until: int = TOTAL) -> None:
        p = self.p
        while p.instructions < min(until, TOTAL) and len(self.events) < 3000:
            if p.instructions >= self.input_at:
                self.input()
            end = self.input_at
            if pieces:
                end = min(end, p.instructions + pieces.choice([0, 1, 2, 7, 50, 400]))
            reason = p.run(end)
            if reason != EXIT_LIMIT:
                self.handle(reason)

    def state(self) -> dict[str, object]:
        p = self.p
        return {
            "instructions": p.instructions,
            "x": [p.get_x(n) for n in range(31)],
            "v": [p.get_v(n) for n in range(32)],
            "pc": p.pc,
            "pstate": p.pstate,
            "sp": (p.sp_el0, p.sp_el1),
            "fp": (p.fpcr, p.fpsr),
            "system": {hex(e): p.get_sysreg(e) for e in p.sysregs() if e not in DEBUG},
            "counter": (p.counter, p.next_timer()),
            "memory": hashlib.sha256(self.ram).hexdigest(),
        }


# The debug registers hold what the armed run has put there.
DEBUG = {0x8000 | n << 3 | k for n in range(16) for k in (4, 5, 6, 7)}


class Armed(Guest):
    """The same with all debug registers armed; hits are stepped past and not reported."""

    hits = 0

    def arm(self, pieces: random.Random) -> None:
        bvr = [CODE + 4 * pieces.randrange(WORDS) for _ in range(6)]
        wvr = [RAM + pieces.randrange(0x3000, SIZE, 8) for _ in range(4)]
        wcr = [0x1FF7, 0x1FF7 | 10 << 24, 0x1FF7, 0x1FF7]
        wvr[1] &= ~0x3FF
        self.p.load_debug([0x1E7] * 4 + [0, 0], bvr, wcr, wvr)

    def run(self, pieces: random.Random | None = None, until: int = TOTAL) -> None:
        assert pieces is not None
        p = self.p
        while p.instructions < min(until, TOTAL) and len(self.events) < 3000:
            self.arm(pieces)
            if p.instructions >= self.input_at:
                self.input()
            end = self.input_at
            if pieces.random() < 0.5:
                end = min(end, p.instructions + pieces.choice([1, 7, 50, 400]))
            before = p.esr_el2, p.far_el2
            reason = p.run(end)
            if reason == EXIT_EL2 and p.esr_el2 >> 26 in (0x30, 0x34):
                self.hits += 1
                p.esr_el2, p.far_el2 = before
                p.load_debug(*[[0] * 16] * 4)
                reason = p.run(p.instructions + 1)
            if reason != EXIT_LIMIT:
                self.handle(reason)


def same(one: Guest, other: Guest) -> None:
    for n, (a, b) in enumerate(zip(one.events, other.events, strict=False)):
        assert a == b, f"seed {one.seed}: event {n}"
    assert len(one.events) == len(other.events), f"seed {one.seed}"
    mine, reference = one.state(), other.state()
    for what, value in mine.items():
        assert value == reference[what], f"seed {one.seed}: {what}"


SEEDS = 25


@pytest.mark.parametrize("batch", range(4))
def test_random_programs_in_pieces(batch: int) -> None:
    timers = exits = 0
    for seed in range(batch * SEEDS, (batch + 1) * SEEDS):
        whole = Guest(seed)
        whole.run()
        again = Guest(seed)
        again.run()
        same(whole, again)
        for n in range(2):
            cut = Guest(seed)
            cut.run(random.Random(f"{seed}/{n}"))
            same(whole, cut)
        timers += sum(event[0] == EXIT_TIMER for event in whole.events)
        exits += len(whole.events)
    assert timers > 100
    assert exits > 2 * timers


@pytest.mark.parametrize("batch", range(4))
def test_random_programs_armed(batch: int) -> None:
    """Breakpoints and watchpoints on the very pages used.

    Without load-exclusives: stepping off a hit between one and its store-exclusive clears the
    monitor, as it does on any machine.
    """
    hits = 0
    for seed in range(batch * SEEDS, (batch + 1) * SEEDS):
        whole = Guest(seed, exclusives=False)
        whole.run()
        armed = Armed(seed, exclusives=False)
        armed.run(random.Random(seed))
        same(whole, armed)
        hits += armed.hits
    assert hits > 50


def test_an_instruction_that_the_one_before_it_has_written() -> None:
    """Straight code that writes over its next instruction: the decoded instruction must not run."""
    add_x5_16 = 0x910040A5
    bench = Bench(
        [
            *load_address(1, CODE_AT + 4 * 9),
            movz(0, add_x5_16 & 0xFFFF),
            0xF2A00000 | (add_x5_16 >> 16) << 5,  # movk x0, #…, lsl #16
            NOP,
            NOP,
            0xB9000020,  # str w0, [x1]
            0x910004A5,  # add x5, x5, #1: becomes add x5, x5, #16
            B_SELF,
        ]
    )
    bench.run(11)
    assert bench.p.get_x(5) == 16


def test_a_limit_between_an_exclusive_pair_does_not_show() -> None:
    """The monitor stays as it was: no exception was taken."""
    code = [*load_address(1, DATA), 0xC85F7C22, 0xC8037C22, B_SELF]  # ldxr x2; stxr w3, x2
    for limit in (5, 6):
        bench = Bench(code)
        bench.p.set_x(3, 9)
        bench.run(limit)
        bench.run(3)
        assert bench.p.get_x(3) == 0
