"""The same guests on both tiers, compared: the interpreter, and blocks that are translated.

Random and hostile programs with their hypervisors, by tools/fuzz_tiers.py and the differential of
the conformance suite: exits, counts, registers, memory, snapshots, coverage, traces and records are
the same, however the blocks are executed.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import fuzz
import fuzz_case
import fuzz_tiers

from guestdbg.check.differential.compare import compare
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.players import playing_on
from guestdbg.check.differential.trace import Trace

from .test_coverage import edges
from .test_determinism import RAM, TOTAL, Guest, same
from .test_hostile import environment
from .tiers import ALWAYS, NEVER, RANDOM, processors, use

SEED = 20_000
KINDS = (NEVER, ALWAYS, RANDOM)

#: How often at least, in CASES cases.
CASES = 120
DONE = {
    "observations compared": 30_000,
    "blocks translated": 4_000,
    "blocks dropped": 1_000,
    "run_loops": 400,
    "run_guest": 500,
    "cover": 40,
    "trace_flow": 20,
    "trace_instructions": 10,
    "snapshots gone back to": 80,
    "set_debug": 40,
    "set_programs": 30,
    "guest_debug": 50,
    "MMIO exits": 800,
}


@pytest.fixture(autouse=True)
def _stencils() -> None:
    with processors(NEVER):
        if (why := use(ALWAYS)) is not None:
            pytest.skip(f"no stencils: {why}")


def test_hostile_guests() -> None:
    outcome = fuzz.run(environment(), "tiers", SEED, CASES)
    assert not outcome.failures, f"tiers:{outcome.failed}\n{outcome.output}"
    assert outcome.cases == CASES
    for what, least in DONE.items():
        assert outcome.did[what] >= least, f"{what}: {outcome.did[what]} times"


def trace_on(kind: str, seeds: range, **options: object) -> list[Trace]:
    programs = [generate(seed, with_interrupts=seed % 3 == 0) for seed in seeds]
    with processors(kind, "differential"), playing_on("soft", full=True, **options) as player:
        return list(player.play_all(programs))


@pytest.mark.parametrize("linux", ["6.1", "6.14"])
def test_programs_of_the_differential(linux: str) -> None:
    """With breakpoints, watchpoints, steps, interrupts, and their own debug registers."""
    seeds = range(SEED, SEED + 120)
    reference, *others = (trace_on(kind, seeds, linux=linux) for kind in KINDS)
    exits: Counter[object] = Counter()
    for traces in others:
        for one, other in zip(reference, traces, strict=True):
            assert compare(one, other) is None
            assert one.digest == other.digest
            exits.update(moment.exit[0] for moment in one.moments)
    assert exits["debug"] > 500
    assert exits["mmio"] > 100


@pytest.mark.parametrize("seed", range(8))
def test_guests_with_coverage_that_is_switched(seed: int) -> None:
    """Blocks with hooks and without, in pieces of any length."""

    class Switched(Guest):
        def handle(self, reason: int) -> None:
            super().handle(reason)
            if self.p.instructions % 3 == 0:
                self.p.covering = not self.p.covering

    found = []
    for kind in KINDS:
        with processors(kind, str(seed)):
            guest = Switched(seed)
        guest.p.start_coverage(3)
        guest.run()
        found.append(guest)
    for other in found[1:]:
        same(found[0], other)
        assert edges(found[0].p) == edges(other.p)
        assert other.p.tier_statistics()["translated"] > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_snapshot_of_one_tier_goes_on_in_another(seed: int) -> None:
    reference = Guest(seed)
    reference.run(random.Random(seed))
    guest = Guest(seed)
    changes = random.Random(seed)
    while guest.p.instructions < TOTAL and len(guest.events) < 3000:
        with processors(changes.choice(KINDS), f"{seed} {guest.p.instructions}"):
            following = Guest(seed)
        following.ram[:] = guest.ram
        following.memory.code_changed(RAM, len(guest.ram))
        following.p.restore_state(following.p.parse_state(guest.p.save_state().serialize()))
        following.events, following.input_at = guest.events, guest.input_at
        guest = following
        guest.run(random.Random(seed), until=guest.p.instructions + changes.randrange(500, 3000))
    same(reference, guest)


# ---- that all this finds something ------------------------------------------------------------


def test_a_difference_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of one register, once, on one of the tiers."""
    observe = fuzz_tiers.CpuOnTiers.observe

    def wrong(self: fuzz_tiers.CpuOnTiers) -> None:
        if self.cpus[0].tier_statistics()["translated"] and len(self.seen) > 40:
            self.cpus[0].set_x(9, self.cpus[0].get_x(9) ^ 1)
        observe(self)

    def play() -> None:
        for seed in range(0, 30, 3):
            fuzz_tiers.run(seed, 24, (), lambda _: None, Counter())

    monkeypatch.setattr(fuzz_tiers.CpuOnTiers, "observe", wrong)
    with pytest.raises(fuzz_case.Failure, match=r"is X of 0 .*\nwith the interpreter"):
        play()
