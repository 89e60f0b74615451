"""KVM_GET_DIRTY_LOG on the real KVM and on the software one: one program, the same answers."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.lab import Lab

PROGRAM = Path(__file__).with_name("dirty_log_program.py")
EXPECTED = [
    "bytes 24",
    "stored to [3, 129]",
    "stored to [3, 129]",
    "since then []",
    *(f"slot {slot} errno {errno.ENOENT}" for slot in (0, 1, 2)),
]


def test_on_the_software_kvm() -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    done = subprocess.run(
        [sys.executable, PROGRAM, "soft"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == EXPECTED, done.stderr


def test_on_the_real_kvm(lab: Lab) -> None:
    command = ["python3", PROGRAM.name, "host"]
    done = lab.run(command, files={PROGRAM.name: PROGRAM}, timeout=60)
    assert done.stdout.decode().splitlines() == EXPECTED, done.stderr
