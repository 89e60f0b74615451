"""A watch of one process's address, which another process reads and writes all the time.

Both execute the same program, of a few instructions; the watched one is stopped. What counts is how
fast the other one runs, by instructions, compared with nothing armed.
"""

import struct
import time

from bench import linux_guest
from bench.measurement import Measurement
from guestdbg.check import assembler as asm

BASE = 0x40_0000
DATA = BASE + 0x1000
INSTRUCTIONS = 100_000_000
#: Two of each four instructions access DATA.
CODE = [
    *asm.mov(2, DATA),
    asm.str_(1, 2),
    asm.add(1, 1, 1),
    asm.ldr(3, 2),
    asm.b(-12),
]


def program() -> bytes:
    """A static ELF file: one segment, of which DATA is beyond the file."""
    code = struct.pack(f"<{len(CODE)}I", *CODE)
    start = 64 + 56
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1",
        *(2, 183, 1, BASE + start, 64, 0, 0),
        *(64, 56, 1, 0, 0, 0),
    )
    size = start + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, BASE, BASE, size, 0x2000, 0x1000)
    return header + segment + code


def run() -> float:
    prompt = linux_guest.prompt()
    text = "".join(f"\\{byte:03o}" for byte in program())
    prompt.command(f"printf '{text}' > /busy; chmod +x /busy".encode())
    prompt.command(b"/busy & sleep 0.1; kill -STOP $!; /busy & sleep 0.1")
    pids = [task.pid for task in prompt.guest.linux.tasks() if task.comm == "busy"]
    try:
        unarmed = _seconds(prompt)
        watch = prompt.guest.watch(DATA, 8, "any", task=pids[0])
        try:
            armed = _seconds(prompt)
            assert watch.seen == 0
        finally:
            watch.delete()
    finally:
        prompt.command(b"kill -9 " + b" ".join(str(pid).encode() for pid in pids))
    return unarmed / armed


def _seconds(prompt: linux_guest.Prompt) -> float:
    start = time.perf_counter()
    stop = prompt.guest.run(max_instructions=INSTRUCTIONS)
    assert stop.reason == "limit", stop
    return time.perf_counter() - start


MEASUREMENT = Measurement(
    "task_watch_ratio",
    "times",
    "guestdbg: a watch in one process, another uses the address all the time: speed, of unarmed",
    run,
    repeat=3,
)
