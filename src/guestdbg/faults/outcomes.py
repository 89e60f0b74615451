"""What the outcome of a case with a fault is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign import Outcome

if TYPE_CHECKING:
    from guestdbg.faults.golden import Compared, Golden
    from guestdbg.guest_campaign import CaseRun
    from guestdbg.guest_campaign.rules import Classifier

__all__ = ["CRASH", "DETECTED", "HANG", "NO_EFFECT", "ORDER", "OTHER", "SUCCESS", "FaultClassifier"]

NO_EFFECT = "no effect"
DETECTED = "detected"
SUCCESS = "success"
CRASH = "crash"
HANG = "hang"
OTHER = "other output"
#: In the order in which they are shown.
ORDER = (SUCCESS, OTHER, CRASH, HANG, DETECTED, NO_EFFECT)

_CRASHES = frozenset(("exception", "panic", "bad exit", "error", "bug", "crash"))
_HANGS = frozenset(("limit", "timeout", "idle"))


@dataclass(frozen=True)
class FaultClassifier:
    """Compares the end of a case with that of the run without a fault.

    Attributes:
        golden: that run.
        compared: what is compared.
        named: outcomes of points, watches and the console that stay what they are.
        then: a classifier of the user, which has the last word.
    """

    golden: Golden
    compared: Sequence[Compared]
    named: frozenset[str]
    then: Classifier | None = None

    def __call__(self, run: CaseRun) -> str | Outcome | None:
        found, detail = self._class(run)
        if self.then is not None:
            run.outcome = found
            by_user = self.then(run)
            if by_user is not None:
                return by_user
        return Outcome(found, detail=detail) if detail else found

    def _class(self, run: CaseRun) -> tuple[str, str]:
        golden, name = self.golden, run.outcome
        same_end = (name, run.stop.status) == (golden.outcome, golden.status)
        differences = self._differences(run) if same_end else ()
        if same_end and not differences:
            return NO_EFFECT, ""
        if name in self.named:
            return name, ""
        if not same_end and name in _CRASHES:
            return CRASH, ""
        if not same_end and name in _HANGS:
            return HANG, name if name != "limit" else ""
        if not same_end:
            return OTHER, f"it has ended in another way: {name}"
        return OTHER, f"other {', '.join(differences)}"

    def _differences(self, run: CaseRun) -> list[str]:
        found = [] if run.console == self.golden.console else ["output"]
        for compared, expected in zip(self.compared, self.golden.values, strict=True):
            try:
                value = compared.value(run.guest)
            except GuestdbgError:  # the fault has changed what is mapped
                found.append(f"{compared.name}, which cannot be read")
                continue
            if value != expected:
                found.append(compared.name)
        return found
