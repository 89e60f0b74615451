"""The run without a fault: how it ends, and its instructions."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from guestdbg.campaign import CampaignError, Case
from guestdbg.faults.site import Site
from guestdbg.faults.space import Places
from guestdbg.kvm import SupportsInstructionTrace

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.faults.selection import Selection
    from guestdbg.guest_campaign import CaseRun
    from guestdbg.guest_campaign.runner import GuestRunner
    from guestdbg.kvm import FlowTrace

__all__ = ["Compared", "Golden", "golden_run", "places_of"]

#: So many instructions are looked through, and so many executions are kept at most.
MOST_INSTRUCTIONS = 50_000_000
MOST_PLACES = 5_000_000


@dataclass(frozen=True)
class Compared:
    """What is compared at the end of a case, beside what the guest has printed.

    Attributes:
        name: of a register or a variable.
        address, length: of the variable; None: it is a register.
    """

    name: str
    address: int | None = None
    length: int = 0

    def value(self, guest: Guest) -> int | bytes:
        """What it is now."""
        if self.address is None:
            return guest.cpu.reg(self.name)
        return guest.read(self.address, self.length)


@dataclass(frozen=True)
class Golden:
    """How the run without a fault ends.

    Attributes:
        outcome: by the rules.
        reason, status: of its Stop.
        console: what it has printed.
        values: what was compared.
        instructions: how many it has retired.
        text: its end, for people.
        vectors: values of VBAR_EL1 there.
    """

    outcome: str
    reason: str
    status: int | None
    console: bytes
    values: tuple[int | bytes, ...]
    instructions: int
    text: str
    vectors: tuple[int, ...] = ()


def golden_run(runner: GuestRunner, compared: Sequence[Compared]) -> Golden:
    """Run it."""
    return _golden(_played(runner), compared)


def _played(runner: GuestRunner, begin: Recorder | None = None) -> CaseRun:
    played = runner.play(Case.of(0, 0), (), None if begin is None else begin.begin)
    if played.run is None:
        raise CampaignError(f"the run without a fault cannot be made: {played.result.detail}")
    return played.run


def _golden(run: CaseRun, compared: Sequence[Compared]) -> Golden:
    stop = run.stop
    values = tuple(each.value(run.guest) for each in compared)
    where = run.guest.locate(stop.pc)
    return Golden(
        run.outcome,
        stop.reason,
        stop.status,
        run.console,
        values,
        run.instructions,
        f"{run.outcome} at {where} after {run.instructions:,} instructions",
        tuple(sorted({cpu.reg("VBAR_EL1") for cpu in run.guest.vcpus})),
    )


def places_of(runner: GuestRunner, golden: Golden, selection: Selection) -> Places:
    """The instructions of the run that are meant, each time that they are executed.

    Raises:
        CampaignError: the provider does not record instructions; there are too many or none; the
            run is not the same again.
    """
    first = selection.instructions.start
    last = min(selection.instructions.stop, golden.instructions + 1)
    if last - first > MOST_INSTRUCTIONS:
        raise CampaignError(
            f"the run without a fault has {golden.instructions:,} instructions: more than "
            f"{MOST_INSTRUCTIONS:,} are not looked through. Let the cases begin later, end them "
            "earlier (ends), or give instructions"
        )
    recorder = Recorder(runner.guest, selection, first, last)
    try:
        run = _played(runner, recorder)
    finally:
        recorder.close()
    if (run.outcome, run.instructions) != (golden.outcome, golden.instructions):
        raise CampaignError(
            f"the run without a fault is not the same each time: {golden.text}; then {run.outcome} "
            f"after {run.instructions:,} instructions"
        )
    if recorder.error is not None:
        raise recorder.error
    if not recorder.when:
        raise CampaignError(f"the run without a fault executes nothing of {selection}")
    return Places(recorder.sites, recorder.when, recorder.which, recorder.vcpus)


#: A record of ``SupportsInstructionTrace``, up to the address.
_HEAD = Struct("<HBBBBBBIQQ")
_RETIRED, _NO_INSTRUCTION = 1, 4 | 8


class Recorder:
    """Keeps the instructions that are meant while the guest runs."""

    def __init__(self, guest: Guest, selection: Selection, first: int, last: int) -> None:
        machine = guest.board.vm
        if not isinstance(machine, SupportsInstructionTrace):
            raise CampaignError(
                "this provider does not record its instructions: faults need the software "
                'provider (provider="soft")'
            )
        self._machine = machine
        self._guest = guest
        self._selection = selection
        self._first, self._last = first, last
        self._base = 0
        self._trace: FlowTrace | None = None
        self._rest = b""
        self._known: dict[tuple[int, int], int] = {}
        self.sites: list[Site] = []
        self.when, self.which, self.vcpus = array("Q"), array("L"), array("B")
        self.error: CampaignError | None = None

    def begin(self) -> None:
        """The guest is where it begins."""
        self._base = self._guest.execution.retired()
        self._trace = self._machine.start_instruction_trace(
            self._add, start=self._base + self._first, stop=self._base + self._last
        )

    def _add(self, data: bytes) -> None:
        """The provider has records."""
        data = self._rest + data
        at, end = 0, len(data)
        known, base, head = self._known, self._base, _HEAD.unpack_from
        while at + _HEAD.size <= end:
            size, what, vcpu, _, _, _, _, raw, time, pc = head(data, at)
            if at + size > end:
                break
            at += size
            if what & _NO_INSTRUCTION:
                continue
            site = known.get((pc, raw))
            if site is None:
                site = known[pc, raw] = self._site(pc, raw)
            if site >= 0:
                self.when.append(time - base - (what & _RETIRED))
                self.which.append(site)
                self.vcpus.append(vcpu)
        self._rest = data[at:]
        if len(self.when) > MOST_PLACES and self.error is None:
            self.error = CampaignError(
                f"the instructions that are meant are executed more than {MOST_PLACES:,} times: "
                "give fewer (function, lines, addresses, instructions)"
            )
            self._guest.interrupt()

    def _site(self, pc: int, raw: int) -> int:
        """The number of an instruction; -1: it is not meant."""
        location = self._guest.locate(pc)
        if not self._selection.has(pc, location):
            return -1
        self.sites.append(Site.of(pc, raw, location))
        return len(self.sites) - 1

    def close(self) -> None:
        """Record nothing any more."""
        if self._trace is not None:
            self._trace.close()
            self._trace = None
