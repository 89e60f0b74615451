"""Runs the cases of a guest: puts it back, changes it, runs it, and classifies what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from guestdbg.arm64.exception_class import EC, exception_class
from guestdbg.campaign import Result, Runner
from guestdbg.debugger.breakpoints.spec_parser import parse_break, parse_watch
from guestdbg.debugger.vcpu.diagnosis import syndrome_words
from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign.changes import At, apply_all, changes_of
from guestdbg.guest_campaign.errors import DoesNotFit, VariationError
from guestdbg.guest_campaign.limits import run_case
from guestdbg.guest_campaign.minimising import minimised
from guestdbg.guest_campaign.rules import CaseRun, Outcome, outcome_of_stop
from guestdbg.quiet import quiet

if TYPE_CHECKING:
    from guestdbg.campaign import Case, Minimised
    from guestdbg.debugger import Guest, Hit, Location, Stop
    from guestdbg.guest_campaign.changes import Change, Variation
    from guestdbg.guest_campaign.console import CaseConsole
    from guestdbg.guest_campaign.limits import Limits
    from guestdbg.guest_campaign.rules import Rules

__all__ = ["CLASSIFIER_ERROR", "DOES_NOT_FIT", "VARIATION_ERROR", "GuestRunner", "Played"]

#: Outcomes of cases that were not run, or not classified; all of them are failures.
CLASSIFIER_ERROR = "classifier error"
VARIATION_ERROR = "variation error"
DOES_NOT_FIT = "does not fit"

_EXCEPTION = "exception"
#: From VBAR_EL1 to the vectors of synchronous exceptions from EL1: with SP_EL0, with SP_ELx.
_VECTORS = (0, 0x200)
#: Frames that the signature of a failure has.
_FRAMES = 4
_KNOWN_LOCATIONS = 4096
_CONSOLE_SHOWN = 4096


class Vary(Protocol):
    """What differs in a case: a function, or anything like it."""

    def __call__(self, case: Case, /) -> Variation: ...


class Played(NamedTuple):
    """A case that was run, with the guest where it stopped; None: it could not be run."""

    run: CaseRun | None
    result: Result


class GuestRunner(Runner):
    """Runs cases on one guest, from one snapshot.

    Args:
        guest: the guest where the cases begin; the runner closes it.
        console: where the guest prints.
    """

    def __init__(
        self,
        guest: Guest,
        console: CaseConsole,
        vary: Vary,
        limits: Limits,
        rules: Rules,
    ) -> None:
        self.guest = guest
        self._console = console
        self._vary = vary
        self._limits = limits
        self._rules = rules
        self._start = guest.snapshot()
        self._before = guest.execution.retired()
        self._locations: dict[int, Location] = {}
        self._outcomes: dict[object, str] = {}
        # Thousands of cases may each have something to say of the same.
        guest.messages.listener = lambda message, text: None
        console.on_match = lambda: guest.execution.request_stop("until", "the console")
        for text, outcome in rules.points.items():
            self._add_break(text, outcome)
        for text, outcome in rules.watches.items():
            watch = parse_watch(text, "watches")
            point = guest.watch(watch.where, watch.length, watch.access, when=watch.condition)
            self._outcomes[point] = outcome
        if rules.exceptions:
            self._catch_exceptions()
        self._points = len(guest.points)

    def _add_break(self, text: str | int, outcome: str) -> None:
        if isinstance(text, int):
            self._outcomes[self.guest.break_(text)] = outcome
        else:
            spec = parse_break(text, "points")
            self._outcomes[self.guest.break_(spec.where, when=spec.condition)] = outcome

    def _catch_exceptions(self) -> None:
        bases = {cpu.reg("VBAR_EL1") for cpu in self.guest.vcpus}
        # Without vectors it takes exceptions without end, which is seen at the limit.
        for base in sorted({*bases, *self._rules.vectors} - {0}):
            for offset in _VECTORS:
                point = self.guest.break_(base + offset, when=_is_fault)
                self._outcomes[point] = _EXCEPTION

    # ---- a case ------------------------------------------------------------------------------

    def run(self, case: Case) -> Result:
        with quiet():
            return self.play(case).result

    def play(
        self,
        case: Case,
        variation: Variation | None = None,
        begin: Callable[[], None] | None = None,
    ) -> Played:
        """Run a case and leave the guest where it stopped.

        ``variation``: in place of its own. ``begin`` is called when the guest is put back.
        """
        self._put_back()
        if begin is not None:
            begin()
        if variation is None:
            try:
                variation = self._vary(case)
            except Exception as error:
                return Played(None, self._raised(VARIATION_ERROR, error))
        return self._play(case, variation)

    def _put_back(self) -> None:
        self.guest.restore(self._start)
        self._console.begin()
        if len(self.guest.points) != self._points:  # a classifier has made some
            for point in [p for p in self.guest.points if p not in self._outcomes]:
                point.delete()
            self._points = len(self.guest.points)

    def _play(self, case: Case, variation: Variation) -> Played:
        guest = self.guest
        try:
            changes = changes_of(variation)
            apply_all(guest, [each for each in changes if not isinstance(each, At)])
            stop = run_case(guest, self._limits, [c for c in changes if isinstance(c, At)])
        except DoesNotFit as error:
            result = Result(DOES_NOT_FIT, True, DOES_NOT_FIT, str(error), (0, 0, ""), str(error))
            return Played(None, result)
        except VariationError as error:
            cause = error.__cause__
            assert isinstance(cause, Exception)
            return Played(None, self._raised(VARIATION_ERROR, cause))
        guest.board.console.flush()
        run = CaseRun(
            case,
            variation,
            guest,
            stop,
            self._console.data,
            guest.execution.retired() - self._before,
        )
        outcome = self._by_rules(stop)
        run.outcome = outcome.name
        return Played(run, self._classified(run, outcome))

    def _by_rules(self, stop: Stop) -> Outcome:
        if stop.hits:
            name = self._outcomes.get(stop.hits[0].point)
            if name is not None:
                return Outcome(name, detail=self._fault() if name == _EXCEPTION else "")
        if self._console.outcome is not None:
            matched = self._console.matched.decode("utf-8", "backslashreplace")
            return Outcome(self._console.outcome, signature="", detail=matched)
        name = outcome_of_stop(stop)
        if name in ("limit", "timeout"):
            loop = next((d for d in self.guest.diagnose() if d.status == "loop"), None)
            if loop is not None:
                name = _EXCEPTION if self._rules.exceptions else name
                return Outcome(name, signature=f"{name}: {loop.text}", detail=loop.text)
        status = f"status {stop.status}" if stop.status else ""
        return Outcome(name, detail=stop.detail or status)

    def _fault(self) -> str:
        """The exception whose vector the guest is at."""
        cpu = self.guest.cpu
        syndrome = cpu.reg("ESR_EL1")
        return f"{syndrome_words(syndrome)} at {self._location(cpu.reg('ELR_EL1'))}"

    def _classified(self, run: CaseRun, outcome: Outcome) -> Result:
        if self._rules.classify is not None:
            try:
                found = self._rules.classify(run)
                if found is not None:
                    outcome = _as_outcome(found, outcome)
            except Exception as error:
                return self._raised(CLASSIFIER_ERROR, error, run)
        failure = outcome.failure
        if failure is None:
            failure = outcome.name in self._rules.failures
        where = str(self._location(run.stop.pc))
        signature = outcome.signature
        if failure and not signature:
            signature = self._signature(run, outcome)
        return Result(
            outcome.name,
            failure,
            signature,
            outcome.detail,
            (run.instructions, run.stop.pc, where),
            (lambda: self._evidence(run)) if failure else "",
        )

    def _signature(self, run: CaseRun, outcome: Outcome) -> str:
        """The class and where it happened: for a crash the calls that led there."""
        if self._console.outcome == outcome.name and not run.stop.hits:
            return f"{outcome.name}: {outcome.detail}"
        if outcome.name == _EXCEPTION:
            return f"{outcome.name}: {outcome.detail}"
        if run.stop.reason in ("limit", "timeout", "idle"):
            if outcome.name != run.stop.reason:
                return outcome.name  # a classifier's: it has looked at something else
            # Where it happens to be in its loop does not matter.
            return f"{outcome.name}: in {self._function(run.stop.pc)}"
        if run.stop.reason in ("exit", "panic"):
            return f"{outcome.name}: {outcome.detail}"
        try:
            frames = run.stop.cpu.backtrace(_FRAMES)
            names = [self._function(frame.location.address) for frame in frames]
        except GuestdbgError:
            names = [self._function(run.stop.pc)]
        return f"{outcome.name}: {' < '.join(names)}"

    def _evidence(self, run: CaseRun) -> str:
        text = [str(run.stop), f"{run.instructions:,} instructions"]
        text += [f"variation: {each}" for each in changes_of(run.variation)]
        try:
            text += [f"  {frame}" for frame in run.stop.cpu.backtrace(16)]
        except GuestdbgError as error:
            text.append(f"  no backtrace: {error}")
        if run.console:
            text += ["console:", run.console[-_CONSOLE_SHOWN:].decode("utf-8", "replace")]
        return "\n".join(text)

    def _raised(self, outcome: str, error: Exception, run: CaseRun | None = None) -> Result:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" in {frames[-1].name}:{frames[-1].lineno}" if frames else ""
        kind = type(error).__name__
        values: tuple[object, ...] = (0, 0, "")
        if run is not None:
            values = (run.instructions, run.stop.pc, str(self._location(run.stop.pc)))
        return Result(
            outcome,
            True,
            f"{outcome}: {kind}{where}",
            f"{kind}: {error}",
            values,
            lambda: "".join(traceback.format_exception(error)),
        )

    def _location(self, address: int) -> Location:
        location = self._locations.get(address)
        if location is None:
            if len(self._locations) >= _KNOWN_LOCATIONS:
                self._locations.clear()
            location = self._locations[address] = self.guest.locate(address)
        return location

    def _function(self, address: int) -> str:
        return self._location(address).function or f"{address:#x}"

    # ---- smaller causes ----------------------------------------------------------------------

    def minimise(self, case: Case, result: Result) -> Minimised | None:
        if result.outcome in (DOES_NOT_FIT, VARIATION_ERROR):
            return None  # the guest has not run
        try:
            changes = changes_of(self._vary(case))
        except Exception:
            return None
        spent = 0

        def fails(some: Sequence[Change]) -> bool:
            nonlocal spent
            played = self.play(case, tuple(some))
            spent += played.result.values[0]
            found = played.result
            return (found.outcome, found.signature) == (result.outcome, result.signature)

        with quiet():
            return minimised(changes, fails, lambda: spent)

    def close(self) -> None:
        """Close the guest."""
        self.guest.close()


def _is_fault(hit: Hit) -> bool:
    """Whether an exception is one that no program makes on purpose."""
    return exception_class(hit.vcpu.reg("ESR_EL1")) != EC.SVC64


def _as_outcome(found: object, by_rules: Outcome) -> Outcome:
    if isinstance(found, Outcome):
        return found
    if isinstance(found, str):
        return Outcome(found, detail=by_rules.detail)
    raise TypeError(
        f"the classifier has returned {found!r:.80}: it must be a str, an Outcome or None"
    )
