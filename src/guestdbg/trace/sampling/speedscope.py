"""A file of speedscope (https://www.speedscope.app/file-format-schema.json)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

__all__ = ["speedscope"]


def speedscope(title: str, every: int, stacks: Counter[tuple[str, ...]]) -> Iterator[bytes]:
    """One profile of the kind ``sampled``, whose weights are instructions."""
    frames: dict[str, int] = {}
    samples, weights = [], []
    for stack, count in sorted(stacks.items()):
        samples.append([frames.setdefault(name, len(frames)) for name in stack])
        weights.append(count * every)
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "guestdbg",
        "name": _readable(title),
        "shared": {"frames": [{"name": _readable(name)} for name in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": _readable(title),
                "unit": "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        ],
    }
    yield json.dumps(document).encode()


def _readable(name: str) -> str:
    """Half a surrogate pair, of a name that is no UTF-8, is one that many JSON readers refuse."""
    return name.encode("utf-8", "backslashreplace").decode()
