"""A guest needs host memory for what it touches, not for all it was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="how much a process takes is read as on Linux"
)

# A store every 512 MiB, as far as x2 says; then round and round. The address is watched, so that
# the debugger's side counts too.
GUEST = """
import re, sys
import guestdbg
from pathlib import Path

size, fill = (int(n) for n in sys.argv[1:])
code = Path(sys.argv[0]).with_name("guest.bin")
with guestdbg.load(code, kind="raw", address=0x40080000, memory=size, console=None) as guest:
    cpu = guest.cpu
    cpu.x[1], cpu.x[2], cpu.x[3] = 0x40100000, 0x40000000 + size, 512 << 20
    touched = guest.record(0x40100000, 8)
    guest.run(max_instructions=3 * 1000)
    board = guest.board
    for address in range(0x40000000, 0x40000000 + size, 512 << 20):
        written = int.from_bytes(board.read_phys(address + 0x100000, 8), "little")
        assert written == address + 0x100000, hex(address)
    assert len(touched) == 1, len(touched)
    for address in range(0x40200000, 0x40200000 + fill, 1 << 20):
        board.write_phys(address, b"x" * (1 << 20))
status = Path("/proc/self/status").read_text()
print(re.search(r"^VmHWM:\\s+(\\d+) kB$", status, re.MULTILINE)[1])
"""
STORES = [
    0xF9000021,  # again: str x1, [x1]
    0x8B030021,  # add x1, x1, x3
    0xEB02003F,  # cmp x1, x2
    0x54FFFFA3,  # b.lo again
    0x14000000,  # b .
]


def most_taken(directory: Path, size: int, fill: int = 0) -> int:
    """The peak of a process's memory (VmHWM), in bytes, with a guest of ``size`` bytes."""
    program = directory / "guest.py"
    program.write_text(GUEST)
    (directory / "guest.bin").write_bytes(b"".join(w.to_bytes(4, "little") for w in STORES))
    result = subprocess.run(
        [sys.executable, str(program), str(size), str(fill)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout) << 10


def test_four_gibibytes_need_what_is_touched(tmp_path: Path) -> None:
    small = most_taken(tmp_path, 512 << 20)
    # Eight pages; a host that gives 2 MiB at a time may take 16 MiB for them.
    assert most_taken(tmp_path, 4 << 30) < small + (32 << 20)
    # And it is the guest's memory that is measured here.
    assert most_taken(tmp_path, 512 << 20, fill=64 << 20) > small + (48 << 20)
