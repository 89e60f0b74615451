"""Folded stacks: a line for each, as ``flamegraph.pl`` and its relatives read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

__all__ = ["folded"]

# These characters have a meaning in a line.
_REPLACED = str.maketrans({";": ":", "\n": " ", "\r": " "})


def folded(title: str, every: int, stacks: Counter[tuple[str, ...]]) -> Iterator[bytes]:
    """``main;submit;queue_push 17``: functions, the outermost first, and the number of samples."""
    for stack, count in sorted(stacks.items()):
        names = ";".join(name.translate(_REPLACED) for name in stack)
        yield f"{names} {count}\n".encode("utf-8", "backslashreplace")
