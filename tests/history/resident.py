"""A process that records a guest which writes all its memory, and prints what that takes.

Three numbers: by how many bytes the process has grown, how many the history counts, and how many
snapshots it has. The argument is the budget.
"""

import gc
import resource
import sys
from pathlib import Path

from tests.history.test_budget import WRITER, load


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """See the module."""
    with load(WRITER) as guest:
        guest.run(max_instructions=50_000_000)  # what a run needs of the process, without a history
        gc.collect()
        before = resident()
        guest.history.start(sys.argv[1])
        guest.run(max_instructions=400_000_000)
        checkpoints = guest.history._there.recorder.checkpoints
        print(resident() - before, guest.history.memory_size, len(checkpoints))


if __name__ == "__main__":
    main()
