"""Linux booted to power-off, and the host memory that it took: a process of its own.

`linux_guest` starts this. The last line that it prints has two numbers of bytes: the largest
resident size of the process, and how much of the guest's memory is there, which is what the guest,
its loader and its devices have touched.
"""

import ctypes
import os
import re
import sys
from pathlib import Path

import guestdbg


def resident(start: int, length: int) -> int:
    """How many bytes of the mappings that lie in this range of addresses are in memory."""
    total = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if (found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)) is not None:
            inside = start <= int(found[1], 16) and int(found[2], 16) <= start + length
        elif inside and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


def most_resident() -> int:
    """The largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def main() -> None:
    """Arguments: kernel, initrd, bootargs, memory, prompt, what is typed there."""
    kernel, initrd, bootargs, memory, prompt, typed = sys.argv[1:]
    guest = guestdbg.load(
        kernel,
        initrd=initrd,
        bootargs=bootargs,
        memory=memory,
        provider="soft",
        console=lambda data: os.write(1, data) and None,
    )
    guest.board.console.answer(prompt.encode(), typed.encode())
    stop = guest.run()
    assert stop.reason == "exit", stop
    touched = 0
    for region in guest.board.memory:
        start = ctypes.addressof(ctypes.c_char.from_buffer(region.buffer))
        touched += resident(start, len(region.buffer))
    print(f"\n{most_resident()} {touched}")


if __name__ == "__main__":
    main()
