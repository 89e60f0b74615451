"""Makes a list that fails smaller, while it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_TRIES = 400


def shrunk(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """Fewer of ``items`` with which ``fails`` still holds: halves are left out, then less."""
    left = list(items)
    tries = 0
    size = len(left) // 2
    while size and tries < _TRIES:
        at = 0
        while at < len(left) and tries < _TRIES:
            fewer = left[:at] + left[at + size :]
            tries += 1
            if fewer and fails(fewer):
                left = fewer
            else:
                at += size
        size //= 2
    return left
