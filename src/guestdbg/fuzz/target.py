"""A guest as what fuzzers run: a function from bytes to a map of edges and an outcome."""

from __future__ import annotations

from signal import SIGSEGV
from typing import TYPE_CHECKING

from guestdbg.closing import Closing
from guestdbg.debugger.breakpoints.spec_parser import parse_break
from guestdbg.errors import GuestdbgError
from guestdbg.fuzz.crash_points import RETURN, CrashPoints
from guestdbg.fuzz.errors import FuzzError
from guestdbg.fuzz.input_place import InputPlace
from guestdbg.fuzz.outcome import Outcome
from guestdbg.kvm import KvmError, SupportsCoverageMap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guestdbg.debugger import Backtrace, Guest

__all__ = ["MAP_SIZE", "FuzzTarget"]

#: Bytes of a map: as many as AFL++ has by default.
MAP_SIZE = 1 << 16
#: In ``Execution.on_repeat``: a guest has one coverage.
_COVERAGE = "coverage"


def _supporting(guest: Guest) -> list[SupportsCoverageMap]:
    """The vCPUs. Raises FuzzError for what cannot be fuzzed."""
    guest.execution.check_stopped("a guest is fuzzed that is stopped")
    if guest.has_history:
        raise FuzzError("the guest has a history, which fuzzing does not need: history.stop() it")
    if _COVERAGE in guest.execution.on_repeat:
        raise FuzzError("a coverage of this guest is on, or it is fuzzed already: close that first")
    found: list[SupportsCoverageMap] = []
    for cpu in guest.vcpus:
        if not isinstance(cpu.vcpu, SupportsCoverageMap):
            raise FuzzError(
                "this provider does not count where branches go: fuzzing needs the software "
                'provider (provider="soft", --provider soft)'
            )
        found.append(cpu.vcpu)
    return found


def _run_to(guest: Guest, at: str, timeout: float | None) -> None:
    spec = parse_break(at, "--at")
    point = guest.break_(spec.where, when=spec.condition)
    try:
        stop = guest.run(timeout=timeout)
    finally:
        point.delete()
    if all(hit.point is not point for hit in stop.hits):
        raise FuzzError(f"the guest did not come to {at}: {stop}")


class FuzzTarget(Closing):
    """A guest that is given one input after the other, always from the same state.

    It first runs to ``at``. There a snapshot is taken. For each input, the guest goes back to that,
    the input is put into its memory, and it runs until it ends, crashes, or has executed
    ``max_instructions``.

        coverage, outcome = target(b"PKT1")

    Args:
        guest: the guest, which is the target's alone until ``close()``. Points that are set on it
            are crashes when they end a run.
        input: where an input goes: ``BUFFER,LENGTH`` or ``BUFFER``; see ``InputPlace``.
        at: where inputs begin, as for ``guestdbg run --break``; None: where the guest is.
        until: where a run ends well; ``"return"``: when the function that ``at`` is in returns.
        crash: breakpoints that are crashes, as ``guestdbg run --break`` takes them.
        crash_watch: watches that are crashes, as ``guestdbg run --watch`` takes them.
        exceptions: whether a synchronous exception from EL1 to EL1, other than an SVC, is a crash.
        max_length: of an input; None: the size of the buffer.
        max_instructions: of a run, over all vCPUs. More is a hang.
        timeout: seconds until ``at``; None: any time.
        counters: the map, a writable buffer; None: MAP_SIZE bytes of its own.

    Attributes:
        guest: the guest.
        input: the ``InputPlace``.
        counters: the map: a byte for each edge, by its hash; how often it was taken. See
            ``SupportsCoverageMap``.
        max_instructions: may be changed.

    Raises:
        FuzzError: the guest does not come to ``at``; the provider has no coverage or snapshots;
            what ``InputPlace`` raises.
        GuestdbgError: a location that does not exist, and the like.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        input: str,
        at: str | None = None,
        until: str = RETURN,
        crash: Iterable[str] = (),
        crash_watch: Iterable[str] = (),
        exceptions: bool = True,
        max_length: int | None = None,
        max_instructions: int = 1_000_000,
        timeout: float | None = None,
        counters: bytearray | memoryview | None = None,
    ) -> None:
        if max_instructions < 1:
            raise FuzzError(f"{max_instructions} instructions: a run has 1 at least")
        self.guest = guest
        self._vcpus = _supporting(guest)
        self.max_instructions = max_instructions
        if at is not None:
            _run_to(guest, at, timeout)
        self.input = InputPlace(guest, input, max_length)
        self._points = CrashPoints(
            guest, until=until, crash=crash, crash_watch=crash_watch, exceptions=exceptions
        )
        self.counters = memoryview(bytearray(MAP_SIZE) if counters is None else counters)
        self._zeros = bytes(self.counters.nbytes)
        try:
            self._snapshot = guest.snapshot()
            for vcpu in self._vcpus:
                vcpu.start_coverage_map(self.counters)
        except GuestdbgError:
            self._points.delete()
            raise
        guest.execution.on_repeat[_COVERAGE] = lambda repeats: None

    def __call__(self, data: bytes) -> tuple[memoryview, Outcome]:
        """Run one input. The map is overwritten by the next."""
        self.counters[:] = self._zeros
        outcome = self.run(data)
        return self.counters, outcome

    def run(self, data: bytes) -> Outcome:
        """Run one input, and add to what is in the map."""
        guest = self.guest
        guest.restore(self._snapshot)
        self.input.put(data)
        try:
            stop = guest.run(max_instructions=self.max_instructions)
        except KvmError as error:
            if error.call != "KVM_RUN":
                raise
            return Outcome("crash", error.text, int(SIGSEGV))
        return self._points.outcome(stop)

    @property
    def instructions(self) -> int:
        """How many instructions the guest has retired since the beginning of the last input."""
        return self.guest.execution.retired() - sum(self._snapshot.instructions)

    def backtrace(self, outcome: Outcome, limit: int = 32) -> Backtrace:
        """The frames from where the last input ended, outwards.

        Of an exception: from the instruction that raised it, or, where that is in no function,
        from the call that led there.
        """
        guest = self.guest
        cpu = guest.cpu
        if not self._points.is_exception(outcome):
            return cpu.backtrace(limit)
        pc = cpu.reg("ELR_EL1")
        if guest.locate(pc).function is None:
            pc = cpu.x[30] - 4
        return guest.execution.frames([*cpu.x, cpu.reg("sp")], pc, limit, guest.read)

    def close(self) -> None:
        """Leave the guest as it was at the beginning of an input, without the points."""
        if self.guest.execution.on_repeat.pop(_COVERAGE, None) is None:
            return
        self.guest.restore(self._snapshot)
        for vcpu in self._vcpus:
            vcpu.stop_coverage()
        self._points.delete()
