"""The smallest variation with which a case still fails in the same way."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guestdbg.campaign import Budget, Minimised, simplest_bytes, smallest
from guestdbg.guest_campaign.changes import At, BytesChange

if TYPE_CHECKING:
    from guestdbg.guest_campaign.changes import Change

__all__ = ["minimised"]

#: Tries, and instructions over all of them: what is tried depends on nothing else.
_TRIES = 2000
_INSTRUCTIONS = 3_000_000_000


def minimised(
    changes: tuple[Change, ...],
    fails: Callable[[Sequence[Change]], bool],
    instructions: Callable[[], int],
) -> Minimised | None:
    """Leave out changes, then bytes of those that are left, then make bytes plain.

    ``fails`` says whether it fails in the same way with some changes; ``instructions`` how many
    that has taken by now. None: it does not fail at all.
    """
    budget = Budget(_TRIES)

    def enough(test: Callable[[Sequence[Change]], bool]) -> Callable[[Sequence[Change]], bool]:
        return lambda some: instructions() < _INSTRUCTIONS and test(some)

    test = enough(fails)
    budget.tries += 1
    if not test(changes):
        return None
    places = smallest(
        tuple(range(len(changes))),
        budget.test(lambda some: test([changes[place] for place in some])),
    )
    left = [changes[place] for place in places]
    for place in range(len(left)):
        left = _with_fewer_bytes(left, place, test, budget)
    text = "; ".join(map(str, left)) or "no change at all"
    return Minimised(text, _pickled(left), budget.tries)


def _with_fewer_bytes(
    changes: Sequence[Change],
    place: int,
    test: Callable[[Sequence[Change]], bool],
    budget: Budget,
) -> list[Change]:
    """The changes, with fewer and plainer bytes in the one at this place."""
    inner, rebuilt = _bytes_of(changes[place])
    if inner is None:
        return list(changes)

    def with_data(data: bytes) -> list[Change]:
        return [*changes[:place], rebuilt(data), *changes[place + 1 :]]

    def fails(data: bytes) -> bool:
        return test(with_data(data))

    data = smallest(inner.data, budget.test(fails))
    return with_data(simplest_bytes(data, budget.test(fails), inner.plain))


def _bytes_of(change: Change) -> tuple[BytesChange | None, Callable[[bytes], Change]]:
    """The change that has bytes, and how the change is made with others."""
    if isinstance(change, BytesChange):
        return change, change.with_data
    if isinstance(change, At) and isinstance(change.change, BytesChange):
        inner = change.change
        return inner, lambda data: At(change.when, inner.with_data(data), change.count)
    return None, lambda data: change


def _pickled(changes: Sequence[Change]) -> bytes | None:
    import cloudpickle  # changes may be of a class that no module has

    try:
        return bytes(cloudpickle.dumps(tuple(changes)))
    except Exception:
        return None


def unpickled(data: bytes) -> tuple[Change, ...]:
    """The changes that ``Minimised.data`` has. This executes what is in it."""
    changes = pickle.loads(data)
    assert isinstance(changes, tuple)
    return changes
