"""``guest.fault_campaign``: a campaign whose cases are faults."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.campaign import CampaignError
from guestdbg.campaign.worker import digest_of
from guestdbg.debugger import SavedGuest
from guestdbg.errors import GuestdbgError
from guestdbg.faults.golden import Compared, golden_run, places_of
from guestdbg.faults.job import FaultJob
from guestdbg.faults.models import FaultModel, Skip
from guestdbg.faults.outcomes import DETECTED, OTHER, SUCCESS, FaultClassifier
from guestdbg.faults.results import FaultCampaign
from guestdbg.faults.selection import Selection
from guestdbg.faults.space import FaultSpace
from guestdbg.guest_campaign import GuestJob, Limits, Rules
from guestdbg.guest_campaign.job import start_of

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.faults.golden import Golden
    from guestdbg.faults.site import Place
    from guestdbg.guest_campaign.rules import Classifier
    from guestdbg.guest_campaign.runner import GuestRunner

__all__ = ["fault_campaign"]

_SKIP = Skip()
_GOLDEN_INSTRUCTIONS = 1_000_000_000
#: A case hangs if it takes so many times the instructions of the run without a fault, and so many.
_HANG_FACTOR, _HANG_MORE = 2, 20_000
_REGISTER = re.compile(r"[xw][0-9]{1,2}\Z|sp\Z|pc\Z|pstate\Z")


def fault_campaign(
    guest: Guest,
    directory: str | os.PathLike[str],
    faults: FaultModel | Sequence[FaultModel] = _SKIP,
    *,
    function: str | Sequence[str] | None = None,
    lines: str | Sequence[str] | None = None,
    addresses: tuple[int, int] | Sequence[tuple[int, int]] | None = None,
    instructions: tuple[int, int] | range | None = None,
    ends: str | Sequence[str] = (),
    success: str | Sequence[str] = (),
    detected: str | Sequence[str] = (),
    points: Mapping[str | int, str] | None = None,
    watches: Mapping[str, str] | None = None,
    console: Mapping[str, str] | None = None,
    compare: str | Sequence[str] = (),
    exceptions: bool = True,
    classify: Classifier | None = None,
    failures: Iterable[str] | None = None,
    samples: int | None = None,
    seed: int = 0,
    max_instructions: int | None = None,
    timeout: float | None = None,
    options: Mapping[str, Any] | None = None,
    title: str = "",
    worker_seconds: float | None = 60.0,
) -> FaultCampaign:
    """Make a campaign in a new directory, in which each case is one fault in a run from here.

    First the guest runs without a fault: its end is what the others are compared with, and its
    instructions are where faults can be. Each of these is executed with each fault that a model has
    for it, each time that it is executed. The guest itself is not changed.

    The outcome of a case is ``"no effect"`` (the same end, output and compared values as without a
    fault), ``"success"``, ``"detected"``, another name that you give, ``"crash"`` (an exception, a
    panic, an exit with a bad status), ``"hang"`` or ``"other output"``.

    Args:
        guest: the guest, stopped where the cases begin. Its points do not belong to the cases.
        directory: where the campaign is; it must not exist.
        faults: the fault models.
        function, lines, addresses, instructions: which instructions, as in ``Selection``: a name
            or some, ``"file.c:20-35"``, (first, end) of addresses, (first, end) of the instructions
            of the run, counted from 0. Those that fit all of these; all if none is given.
        ends: locations of code where a case is over: what comes after it does not matter.
        success: locations that must not be reached: there a case is a ``"success"`` of the attack.
        detected: locations that are reached when the guest has noticed a fault.
        points, watches, console: other outcomes, as for ``guest.campaign``.
        compare: registers and variables that are compared at the end of a case.
        exceptions: whether a synchronous exception from EL1 to EL1 is a crash.
        classify: as for ``guest.campaign``; the outcome of its ``CaseRun`` is one of those above.
        failures: the outcomes that are failures; None: ``"success"``, or ``"other output"`` if no
            success was given.
        samples: so many of the faults, chosen by chance; None: all of them.
        seed: of that chance.
        max_instructions: a case that takes more hangs; None: twice as many as without a fault, and
            20,000 more. If it is given, the run without a fault may end there, too.
        timeout, options, title, worker_seconds: as for ``guest.campaign``.

    Raises:
        CampaignError: the directory exists or cannot be written, an argument cannot be, nothing
            that is meant is executed, or the run without a fault crashes or does not end.
        BadSnapshot, Unsupported, ContainerError: the guest cannot be saved: see ``Guest.save``.
    """
    if Path(directory).exists():
        raise CampaignError(f"{directory} exists already: a campaign is made in a new directory")
    selection = Selection.of(function, lines, addresses, instructions)
    selection.check(guest)
    models = [faults] if isinstance(faults, FaultModel) else list(faults)
    if not models or not all(isinstance(model, FaultModel) for model in models):
        raise CampaignError(f"faults is {faults!r:.80}: it must be a fault model, or some of them")
    models = [model.prepared(guest) for model in models]
    by_point: dict[str | int, str] = dict.fromkeys(_texts(success), SUCCESS)
    by_point |= dict.fromkeys(_texts(detected), DETECTED)
    by_point |= points or {}
    named = {*by_point.values(), *(watches or {}).values(), *(console or {}).values()}
    by_point |= {where: f"end at {where}" for where in _texts(ends)}
    rules = Rules(by_point, dict(watches or {}), dict(console or {}), exceptions)
    compared = [_compared(guest, name) for name in _texts(compare)]
    limits = Limits(max_instructions or _GOLDEN_INSTRUCTIONS, None, timeout)
    begin = _Begin(
        guest,
        selection,
        limits,
        rules,
        dict(options or {}),
        compared,
        limited=max_instructions is not None,
    )
    golden, places = begin.golden, begin.places
    space = FaultSpace(models, places, samples, seed)
    if failures is None:
        failures = (SUCCESS,) if success else (OTHER,)
    rules = replace(
        begin.rules,
        failures=frozenset(failures),
        classify=FaultClassifier(golden, compared, frozenset(named), classify),
    )
    limit = max_instructions or _HANG_FACTOR * golden.instructions + _HANG_MORE
    job = FaultJob(
        begin.digest, space, replace(limits, instructions=limit), rules, begin.options, begin.base
    )
    chosen = "" if samples is None else f" of {space.total:,}, chosen with seed {seed}"
    about = {
        "guest": ", ".join(image.path.name for image in guest.images) or "no symbols",
        "start": str(guest.cpu.location),
        "without a fault": golden.text,
        "faults": f"{'; '.join(model.title for model in models)}; {len(space):,}{chosen}",
        "at": f"{selection}: {len(places.sites):,} instructions, executed {len(places):,} times",
    }
    return FaultCampaign.create(
        directory,
        job,
        len(space),
        seed=seed,
        files=[begin.start],
        title=title,
        about=about,
        seconds=worker_seconds,
    )


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str | int) else tuple(value)


def _compared(guest: Guest, name: str) -> Compared:
    if _REGISTER.match(name):
        guest.cpu.reg(name)
        return Compared(name)
    data = guest.resolve(name)
    if not data.length:
        raise CampaignError(f"compare: how many bytes {name!r} has is not known")
    return Compared(name, data.address, data.length)


class _Begin:
    """Where the cases begin: at the first fault, if the run is the same from there.

    Args:
        selection: the instructions that are meant.
        limited: whether the run without a fault may end at its limit.
        others: as in ``fault_campaign``.

    Attributes:
        start: the snapshot there, as the contents of a file; ``digest``: its digest.
        base: how many instructions the user's guest retires up to there.
        golden: the run without a fault, from there.
        places: the instructions that are meant, each time that they are executed.
        rules: the rules, with the vectors of exceptions that the guest sets on the way.

    Raises CampaignError: there can be no such campaign.
    """

    def __init__(
        self,
        guest: Guest,
        selection: Selection,
        limits: Limits,
        rules: Rules,
        options: dict[str, Any],
        compared: Sequence[Compared],
        *,
        limited: bool,
    ) -> None:
        self.options = options
        self.base = 0
        self._limits, self.rules, self._compared = limits, rules, compared
        self.start = start_of(guest)
        self.golden = self._run(self.start)
        before = {cpu.reg("VBAR_EL1") for cpu in guest.vcpus}
        if rules.exceptions and not before.issuperset(self.golden.vectors):
            # It sets its vectors on the way: exceptions are seen only where these are known.
            self.rules = replace(rules, vectors=self.golden.vectors)
        with self._runner(self.start, self.rules) as runner:
            if self.rules is not rules:
                self.golden = golden_run(runner, compared)
            _check(self.golden, limited=limited)
            self.places = places_of(runner, self.golden, selection)
        if self.places[0].when:
            self._begin_at(self.places[0])
            self.places = self.places.after(self.base)

    @property
    def digest(self) -> str:
        """The digest of ``start``."""
        return digest_of(self.start)

    @contextmanager
    def _runner(self, start: bytes, rules: Rules) -> Iterator[GuestRunner]:
        job = GuestJob("", lambda case: (), self._limits, rules, self.options)
        with SavedGuest(start) as loaded, job.runner(loaded) as runner:
            yield runner

    def _run(self, start: bytes) -> Golden:
        with self._runner(start, self.rules) as runner:
            return golden_run(runner, self._compared)

    def _begin_at(self, first: Place) -> None:
        """Let the cases begin at the first fault: what comes before it is the same in all."""
        with self._runner(self.start, Rules()) as runner:
            guest = runner.guest
            guest.run(max_instructions=first.when)
            if guest.ended is not None or guest.vcpus[first.vcpu].pc != first.site.pc:
                return
            try:
                start = start_of(guest)
            except GuestdbgError:
                return  # it cannot be saved there
        golden = self._run(start)
        expected = (self.golden.outcome, self.golden.instructions - first.when)
        if (golden.outcome, golden.instructions) == expected:
            self.start, self.base = start, first.when
            self.golden = replace(golden, text=self.golden.text)


def _check(golden: Golden, *, limited: bool) -> None:
    """Raises CampaignError: nothing can be compared with this run."""
    if golden.outcome == "exception":
        raise CampaignError(
            f"the run without a fault: {golden.text}. If the guest takes such exceptions on "
            "purpose, give exceptions=False"
        )
    if golden.reason in ("limit", "timeout") and not limited:
        raise CampaignError(
            f"the run without a fault does not end: {golden.text}. Give a location where it is "
            "over (ends), or max_instructions"
        )
