"""Debian's kernels as guests of guestdbg, driven through their console."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import Guest, Stop
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.lab import LabError
from guestdbg.lab.guests.linux import LinuxGuest, linux_guest

PROMPT = b"guest# "
BOOTARGS = "console=ttyAMA0 quiet"
#: More than twice what a boot takes. A guest that hangs ends here.
INSTRUCTIONS_MAX = 6_000_000_000

Dialogue = Sequence[tuple[bytes, bytes]]


@functools.cache
def linux(suite: str = "bookworm") -> LinuxGuest:
    """The guest; skips the test if it cannot be downloaded."""
    try:
        return linux_guest(suite)
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")


def load(suite: str = "bookworm", *, console: Any = None, **options: Any) -> Guest:
    """The guest, ready to run on the software provider."""
    found = linux(suite)
    given = {"provider": "soft", "memory": "256M", "bootargs": BOOTARGS} | options
    given.setdefault("initrd", found.initrd)
    return guestdbg.load(found.kernel, console=console, **given)


def commands(*lines: bytes) -> Dialogue:
    """What is typed at the prompts: these lines, and the one that ends the run."""
    return [(PROMPT, line + b"\n") for line in (*lines, b"poweroff -f")]


@dataclass(frozen=True)
class Run:
    """A run to its end: the console, and how many instructions the vCPUs have retired."""

    stop: Stop
    output: bytes
    instructions: int

    @property
    def text(self) -> str:
        """The console as text, without busybox's question where the cursor is."""
        return self.output.decode(errors="replace").replace("\r\n", "\n").replace("\x1b[6n", "")

    def answer(self, command: str) -> str:
        """What the guest printed after a command was typed, up to the next prompt."""
        _, found, rest = self.text.partition(f"{PROMPT.decode()}{command}\n")
        assert found, f"{command!r} was never typed:\n{self.text}"
        return rest.partition(PROMPT.decode())[0]


def run(
    suite: str = "bookworm",
    dialogue: Dialogue = (),
    *,
    prepare: Callable[[Guest], object] = lambda guest: None,
    max_instructions: int = INSTRUCTIONS_MAX,
    **options: Any,
) -> Run:
    """Boot it, have the dialogue, and return when it has powered off."""
    output = bytearray()
    with load(suite, console=output.extend, **options) as guest:
        for expected, reply in dialogue:
            guest.board.console.answer(expected, reply)
        prepare(guest)
        stop = guest.run(max_instructions=max_instructions)
        counted = [cpu.vcpu for cpu in guest.vcpus]
        total = sum(v.instructions for v in counted if isinstance(v, SupportsInstructionCount))
    return Run(stop, bytes(output), total)
