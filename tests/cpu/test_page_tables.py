"""TLBs that follow the tables: no access is ever made by a translation that the tables do not have.

With ``PhysicalMemory.follow_tables`` the model of test_translation_tlb.py has no choice: whatever
was changed, by a store of the guest or from outside, with a TLBI or without, in whichever address
space, the next access is by the tables as they are then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from .model_translation import Access, Done, Stopped
from .system_support import ISB
from .test_translation_tlb import CHANGE, DSB, Play
from .translation_scenarios import RAM, World

NOP = 0xD503201F


class ExactPlay(Play):
    """A play whose processors follow the tables."""

    def __init__(self, world: World, seed: int, processors: int = 1, spaces: int = 3) -> None:
        world.memory.follow_tables(False)  # the tables of the last play are gone
        super().__init__(world, seed, processors, spaces)
        world.memory.follow_tables(True)
        self.written: tuple[int, int] | None = None

    def _remember(self) -> None:
        """Nothing is held that the tables do not have."""

    def changed(self, at: int, old: int) -> None:
        """Nor are there walk caches."""
        self.written = at, old

    def finish(
        self,
        words: list[int],
        what: list[str],
        answers: list[Done | Stopped] | None,
        va: int,
        el: int,
        access: Access,
    ) -> None:
        written, self.written = self.written, None
        if written is not None:
            at, old = written
            if words[:1] == [CHANGE]:
                self.w.put(at, old.to_bytes(8, "little"))  # the guest's store makes the change
                self.counts["by the guest"] += 1
            else:
                self.w.memory.code_changed(at, 8)
                self.counts["from outside"] += 1
        # It does not take barriers either, nor where a block of instructions ends.
        if self.rng.random() < 0.5:
            words = [NOP if word in (DSB, ISB) else word for word in words]
        super().finish(words, what, answers, va, el, access)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.memory.follow_tables(False)


@pytest.mark.parametrize(("processors", "spaces"), [(1, 3), (2, 3), (3, 5), (1, 20)])
def test_no_access_is_by_an_old_translation(processors: int, spaces: int, world: World) -> None:
    counts: Counter[str] = Counter()
    for seed in range(2000, 2025):
        play = ExactPlay(world, seed, processors, spaces)
        for _ in range(60):
            play.step()
        play.close()
        counts.update(play.counts)
    assert counts["by the TLB"] == counts["unsure"] == 0
    assert counts["by the guest"] > 100
    assert counts["from outside"] > 100


def test_a_slot_that_comes_and_goes(world: World) -> None:
    """The notes of tables go with their slot."""
    play = ExactPlay(world, 7)
    for number in range(3):
        for _ in range(20):
            play.step()
        base = RAM
        world.memory.unmap(0)
        world.memory.map(0, base, world.slots[base])
        assert world.memory.follows_tables, number
