"""Runs the cases named, or all."""

import faulthandler
import json
import sys
import traceback

from . import bad_input, board, devices, machine, registers, running, served, signals  # noqa: F401
from .rig import CASES, descriptors

#: Seconds for one case. A case that hangs fails with the place where it does.
LIMIT = 60


def main(names: list[str]) -> int:
    failed = 0
    for name in names or CASES:
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        before = descriptors()
        problem = None
        try:
            CASES[name]()
            left = [fd for fd in descriptors() if fd not in before]
            assert not left, f"descriptors left open: {left}"
        except Exception:
            problem = traceback.format_exc()
        print(json.dumps([name, problem]), flush=True)
        failed += problem is not None
    faulthandler.cancel_dump_traceback_later()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
