"""The smallest part of something that still fails: delta debugging.

A. Zeller, R. Hildebrandt: Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28 (2002).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Budget", "simplest_bytes", "smallest"]

_Items = TypeVar("_Items", bytes, tuple)  # type: ignore[type-arg]


class Budget:
    """How many tries are left; what was tried is not tried again.

    Attributes:
        tries: how many were made.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.tries = 0

    @property
    def spent(self) -> bool:
        """Whether none is left."""
        return self.tries >= self._most

    def test(self, fails: Callable[[_Items], bool]) -> Callable[[_Items], bool]:
        """``fails``, counted; False when none is left."""
        known: dict[object, bool] = {}

        def counted(items: _Items) -> bool:
            if items not in known:
                if self.spent:
                    return False
                self.tries += 1
                known[items] = fails(items)
            return known[items]

        return counted


def smallest(items: _Items, fails: Callable[[_Items], bool]) -> _Items:
    """A part of ``items``, in their order, that fails and from which no item can be left out.

    ``fails(items)`` is true at the start. If ``fails`` depends on its argument only, so does the
    result.
    """
    empty = items[:0]
    if not items or fails(empty):
        return empty
    parts = 2
    while len(items) >= 2:
        pieces = _split(items, parts)
        # A piece alone is only worth a try while there are two: later its complement is smaller.
        candidates = list(pieces) if parts == 2 else []
        candidates += [
            empty + _joined(pieces[:n], empty) + _joined(pieces[n + 1 :], empty)
            for n in range(len(pieces))
        ]
        found = next((each for each in candidates if len(each) < len(items) and fails(each)), None)
        if found is not None:
            parts = 2 if len(found) * 2 <= len(items) else max(parts - 1, 2)
            items = found
        elif parts >= len(items):
            break
        else:
            parts = min(parts * 2, len(items))
    return items


def simplest_bytes(data: bytes, fails: Callable[[bytes], bool], plain: int = 0) -> bytes:
    """``data`` with as many of its bytes as possible replaced by ``plain``; its length stays."""

    def with_only(places: tuple[int, ...]) -> bytes:
        kept = bytearray(bytes((plain,)) * len(data))
        for place in places:
            kept[place] = data[place]
        return bytes(kept)

    places = tuple(place for place, byte in enumerate(data) if byte != plain)
    return with_only(smallest(places, lambda some: fails(with_only(some))))


def _split(items: _Items, parts: int) -> Sequence[_Items]:
    ends = [len(items) * n // parts for n in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(ends) if a < b]


def _joined(pieces: Sequence[_Items], empty: _Items) -> _Items:
    for piece in pieces:
        empty = empty + piece
    return empty
