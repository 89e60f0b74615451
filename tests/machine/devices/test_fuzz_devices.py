"""Hostile drivers of all devices: the cases of ``tools/fuzz.py --kind devices``, by their seeds.

To repeat a failure: ``python tools/fuzz.py --plain --replay devices:SEED``.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))

from fuzz_devices import DeviceCase

SEED = 20261129
CASES, ACTIONS = 80, 24


def test_random_accesses_and_queues() -> None:
    did: Counter[str] = Counter()
    try:
        for seed in range(SEED, SEED + CASES):
            case = DeviceCase(seed)
            try:
                case.run(ACTIONS)
            except BaseException as error:
                error.add_note(f"devices:{seed}")
                raise
            did.update(case.did)
    finally:
        logging.disable(logging.NOTSET)
    for what in ("dma", "a driver that is ready", "a queue that was broken", "accesses", "go_back"):
        assert did[what] > 20, did
