"""The snapshots of a run within their budget, for any sizes, distances and budgets."""

import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.history.checkpoints import Checkpoint, CheckpointStore
from guestdbg.machine import Position


@dataclass(frozen=True)
class Pages:
    """A snapshot that has these pages, each of 1000 bytes; equal ones are shared."""

    held: frozenset[int]

    def size_beside(self, other: "Pages | None") -> int:
        return 1000 * len(self.held - (frozenset() if other is None else other.held))


def checkpoint(retired: int, held: frozenset[int], *, written: bool = False) -> Checkpoint:
    snapshot: Any = Pages(held)
    return Checkpoint(Position(0, 0, retired), retired, snapshot, 0, 0, written)


def memory_of(store: CheckpointStore) -> int:
    """What the store holds, counted from the start."""
    total, before = 0, None
    for each in store:
        found: Any = each.snapshot
        total += 512 + found.size_beside(before)
        before = found
    return total


def add(store: CheckpointStore, new: Checkpoint) -> None:
    """As a recorder does it."""
    found: Any = new.snapshot
    size = 512 + found.size_beside(store[-1].snapshot if len(store) else None)
    store.thin_out(size)
    while not store.room_for(size) and len(store) > 1:
        store.drop_first()
    if not store.room_for(size):
        store.clear()
    store.add(new)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1000),
        st.frozensets(st.integers(0, 20), max_size=12),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(14_000, 60_000), st.integers(0, 1500))
def test_the_budget_is_never_exceeded(
    steps: list[tuple[int, frozenset[int], bool]], budget: int, others: int
) -> None:
    store = CheckpointStore(budget)
    store.others = others
    retired, begin = 0, 0
    for distance, held, written in steps:
        retired += distance
        new = checkpoint(retired, held, written=written)
        before = list(store)
        add(store, new)
        assert store.memory_size == memory_of(store)
        assert store.memory_size + others <= budget
        assert store[len(store) - 1] is new, "the last one is there"
        places = [each.retired for each in store]
        assert places == sorted(places)
        assert places[0] >= begin, "the beginning only moves forward"
        kept = set(map(id, store))
        if before and id(before[0]) in kept:
            gone = [each for each in before if id(each) not in kept]
            assert not any(each.after_write for each in gone), "they lead to what follows"
        begin = places[0]


@settings(max_examples=50, deadline=None)
@given(STEPS, st.data())
def test_those_after_writes_are_found(
    steps: list[tuple[int, frozenset[int], bool]], data: st.DataObject
) -> None:
    store = CheckpointStore(1 << 30)
    retired = 0
    for distance, held, written in steps:
        retired += distance % 3  # often none: several at one position
        store.add(checkpoint(retired, held, written=written))
    if data.draw(st.booleans()) and len(store) > 1:
        store.drop_first()
    if data.draw(st.booleans()):
        store.truncate(Position(0, 0, data.draw(st.integers(store[0].retired, retired))))
        assert store.memory_size == memory_of(store)
    all_ = list(store)
    written_ones = [each for each in all_ if each.after_write]
    assert store.written_after(None) is (written_ones[0] if written_ones else None)
    for number, each in enumerate(written_ones):
        following = written_ones[number + 1] if number + 1 < len(written_ones) else None
        assert store.written_after(each) is following
    for place in range(len(all_)):
        before = [each for each in all_[: place + 1] if each.after_write]
        assert store.written_before(place) is (before[-1] if before else None)


def test_what_remains_is_denser_toward_the_end() -> None:
    store = CheckpointStore(100 * 1512)
    for number in range(10_000):
        add(store, checkpoint(number * 1000, frozenset({number})))
    places = [each.retired for each in store]
    assert places[0] == 0
    assert 90 <= len(places) <= 100
    end = places[-1]
    gaps = [(after - before, end - before) for before, after in itertools.pairwise(places)]
    # A way back of any length costs a repetition of a part of that, and recent ones cost little.
    assert all(gap <= 0.25 * distance + 2000 for gap, distance in gaps)
    assert gaps[-1][0] == 1000
    assert sum(gap for gap, _ in gaps[-10:]) < sum(gap for gap, _ in gaps[:10]) / 50


def test_many_of_them_are_found_and_thinned_without_looking_at_all() -> None:
    """What is done for each new one must not depend on how many there are."""
    looked_at = 0

    class Counted(Pages):
        def size_beside(self, other: "Pages | None") -> int:
            nonlocal looked_at
            looked_at += 1
            return super().size_beside(other)

    count = 20_000
    store = CheckpointStore(10_000 * 1512)
    for number in range(count):
        snapshot: Any = Counted(frozenset({number}))
        store.thin_out(1512)
        store.add(Checkpoint(Position(0, 0, number), number, snapshot, 0, 0, number % 100 == 0))
    assert len(store) <= 10_000
    assert looked_at < 2.5 * count
