"""How long a case may run, and running it that long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.campaign import CampaignError
from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign.changes import apply_all
from guestdbg.guest_campaign.errors import DoesNotFit
from guestdbg.kvm import SupportsCounterFrequency
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Stop
    from guestdbg.guest_campaign.changes import At

__all__ = ["Limits", "run_case"]

_CNTVCT = sys_reg("CNTVCT_EL0")
#: The guest's time is looked at so often, in instructions.
_SLICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a case may run.

    Attributes:
        instructions: over all vCPUs. With it, a case is the same on every machine.
        guest_seconds: the guest's own time (its virtual counter), looked at every million
            instructions; None: no limit.
        seconds: time of the host, for what the others do not end; None: no limit. Where it ends a
            case, that depends on the machine.

    Raises:
        CampaignError: one of them is not above 0.
    """

    instructions: int = 100_000_000
    guest_seconds: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("instructions", "guest_seconds", "seconds"):
            value = getattr(self, name)
            if value is None and name != "instructions":
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
                raise CampaignError(f"the limit {name} is {value!r}: it must be above 0")
        if not isinstance(self.instructions, int):
            raise CampaignError(f"the limit instructions is {self.instructions!r}: a whole number")


def run_case(guest: Guest, limits: Limits, later: Sequence[At]) -> Stop:
    """Run a guest until something stops it, and make the changes of ``later`` on the way.

    Raises:
        DoesNotFit: one of these cannot be made.
    """
    budget = _Budget(guest, limits)
    for at in later:
        stop = _run_to(budget, at)
        if stop is not None:
            return stop
        apply_all(guest, [at])
    return budget.run(None)


def _run_to(budget: _Budget, at: At) -> Stop | None:
    """Run to where a change is made; the Stop of what has ended the case before, or None."""
    if isinstance(at.when, int):
        until = at.when - budget.used
        if until <= 0:
            return None
        stop = budget.run(until)
        return None if stop.reason == "limit" and budget.used >= at.when else stop
    guest = budget.guest
    try:
        point = guest.break_(at.when, ignore=max(0, at.count - 1))
    except GuestdbgError as error:
        raise DoesNotFit(f"{at!s:.120}: {error}") from error
    try:
        stop = budget.run(None)
        return None if any(hit.point is point for hit in stop.hits) else stop
    finally:
        point.delete()


class _Budget:
    """What a case has left."""

    def __init__(self, guest: Guest, limits: Limits) -> None:
        self.guest = guest
        self._limits = limits
        self._start = guest.execution.retired()
        self._ticks = None if limits.guest_seconds is None else self._counter()

    @property
    def used(self) -> int:
        """Instructions since the case began."""
        return self.guest.execution.retired() - self._start

    def _counter(self) -> int:
        return self.guest.vcpus[0].vcpu.get_one_reg(_CNTVCT)

    def _time_is_over(self) -> bool:
        vcpu = self.guest.vcpus[0].vcpu
        if self._ticks is None or not isinstance(vcpu, SupportsCounterFrequency):
            return False
        assert self._limits.guest_seconds is not None
        passed = self._counter() - self._ticks
        return passed > self._limits.guest_seconds * vcpu.counter_frequency

    def run(self, most: int | None) -> Stop:
        """Run for ``most`` instructions, or as long as the case may."""
        left = self._limits.instructions - self.used
        most = left if most is None else min(most, left)
        while True:
            if most <= 0:
                return self.guest.execution.stop("limit")
            part = most if self._ticks is None else min(most, _SLICE)
            stop = self.guest.run(max_instructions=part, timeout=self._limits.seconds)
            if self._ticks is None or stop.reason != "limit" or self._time_is_over():
                return stop
            most -= part
