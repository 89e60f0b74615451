"""A run that is interrupted for samples."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from guestdbg.debugger import Backtrace
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import SupportsInstructionCount, SupportsInstructionLimit
from guestdbg.trace.sampling.errors import SamplingError
from guestdbg.trace.sampling.profile import Profile

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Stop

__all__ = ["LEAST", "Sampler"]

#: A sample costs as much as thousands of instructions: fewer than these between two make no sense.
LEAST = 100
_MOST_FRAMES = 128


class Sampler:
    """Takes a sample of a guest's stack each time that it has executed so many instructions.

    The same run gives the same samples.

    Args:
        guest: the guest.
        every: instructions from one sample to the next, of all vCPUs together.

    Attributes:
        profile: what was found.

    Raises SamplingError: ``every`` is less than 100, or the provider does not count instructions.
    """

    def __init__(self, guest: Guest, every: int) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < LEAST:
            raise SamplingError(f"a sample every {every!r} instructions: {LEAST} is the least")
        vcpus = guest.board.vcpus
        if not all(isinstance(vcpu, SupportsInstructionLimit) for vcpu in vcpus):
            raise SamplingError(
                "this provider cannot stop a guest after a number of instructions: samples need "
                "the software provider (--provider soft)"
            )
        self._guest = guest
        self._next = self._retired() + every
        self.profile = Profile(guest.images[0].path.name if guest.images else "a guest", every)

    def run(self, *, timeout: float | None = None, max_instructions: int | None = None) -> Stop:
        """Let the guest run until something stops it, as ``guest.run``, and take samples."""
        end = None if timeout is None else time.monotonic() + timeout
        limit = None if max_instructions is None else self._retired() + max_instructions
        while True:
            target = self._next if limit is None else min(self._next, limit)
            left = None if end is None else max(0.0, end - time.monotonic())
            stop = self._guest.run(timeout=left, max_instructions=max(0, target - self._retired()))
            retired = self._retired()
            if retired >= self._next:
                self._take()
                self._next += self.profile.every * (
                    (retired - self._next) // self.profile.every + 1
                )
            if stop.reason != "limit" or (limit is not None and retired >= limit):
                return stop

    def _retired(self) -> int:
        return sum(
            vcpu.instructions
            for vcpu in self._guest.board.vcpus
            if isinstance(vcpu, SupportsInstructionCount)
        )

    def _take(self) -> None:
        """Note the stack of the vCPU whose turn it is."""
        guest = self._guest
        cpu = guest.vcpus[guest.board.position.vcpu]
        stack = [f"vCPU {cpu.id}"] if len(guest.vcpus) > 1 else []
        try:
            if guest.has_linux:
                stack.append(guest.linux.current(cpu).comm)
        except GuestdbgError:
            pass  # the kernel is not that far yet
        try:
            frames = cpu.backtrace(_MOST_FRAMES)
        except GuestdbgError:
            frames = Backtrace()  # the code cannot be read
        names = [frame.location.function or "(no symbol)" for frame in reversed(frames)]
        self.profile.add((*stack, *(names or ["(unknown)"])))
