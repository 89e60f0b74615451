"""The size of plain values, beside others: what is counted is what there is."""

import sys
from dataclasses import dataclass
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.object_size import size_beside

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1000, 1 << 70) | st.binary(max_size=100),
    lambda part: (
        st.lists(part, max_size=4)
        | st.tuples(part, part)
        | st.dictionaries(st.integers(1000, 2000), part, max_size=3)
        | st.sets(st.integers(1000, 2000), max_size=4)
    ),
    max_leaves=12,
)


def measured(value: object, seen: set[int]) -> int:
    """Each object once."""
    if id(value) in seen or value is None or isinstance(value, bool):
        return 0
    seen.add(id(value))
    parts: list[object] = []
    if isinstance(value, list | tuple | set):
        parts = list(value)
    elif isinstance(value, dict):
        parts = [*value, *value.values()]
    return sys.getsizeof(value) + sum(measured(part, seen) for part in parts)


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_no_object_is_forgotten(one: object, other: object) -> None:
    assert size_beside(one) >= measured(one, set())
    assert size_beside(one, one) == 0
    assert size_beside([one, other]) >= size_beside([one, other], [one, None])
    assert size_beside((one, other), (one, one)) <= sys.getsizeof((1, 2)) + size_beside(other)


class Named(NamedTuple):
    data: bytes
    more: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Data:
    named: Named
    number: int


def test_what_is_shared_counts_nothing() -> None:
    big, own = bytes(100_000), bytes(5_000)
    one = Data(Named(big, (big, 1)), 5)
    other = Data(Named(big, (own, 1)), 5)
    assert size_beside(one) > 200_000
    assert 5_000 < size_beside(other, one) < 6_000
    assert 100_000 < size_beside([big, own], [own, big]) < 200_000, "at the same place only"
    disk, later = {7: big, 8: own}, {7: big, 8: bytes(6_000), 9: own}
    assert 11_000 < size_beside(later, disk) < 12_000
    ring: list[object] = [own]
    ring.append(ring)
    assert size_beside(ring) < 7_000
