"""Which class the outcome of a case belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from guestdbg.guest_campaign.errors import CampaignFileError

if TYPE_CHECKING:
    from guestdbg.campaign import Case
    from guestdbg.debugger import Guest, Stop
    from guestdbg.guest_campaign.changes import Variation

__all__ = ["FAILURES", "CaseRun", "Classifier", "Outcome", "Rules"]

#: Outcomes that are failures if nothing else is said.
FAILURES = frozenset(
    ("crash", "bug", "panic", "exception", "bad exit", "limit", "timeout", "error")
)
#: What the reason of a Stop is called as the outcome of a case, where it has another name.
_BAD_EXIT = "bad exit"


class Outcome(NamedTuple):
    """What a classifier may return, if the class alone does not say enough.

    Attributes:
        name: the class.
        failure: whether it is a failure; None: if its name is one of the campaign's failures.
        signature: what is the same for the same failure; "": the class and the place.
        detail: more, in one line.
    """

    name: str
    failure: bool | None = None
    signature: str = ""
    detail: str = ""


@dataclass(slots=True)
class CaseRun:
    """A case that has run, for classifiers, and for who runs it again.

    Attributes:
        case: its number and seed.
        variation: what was changed.
        guest: the guest where it stopped.
        stop: why it stopped.
        console: what it has printed, at most the last 64 KiB.
        instructions: how many it has retired, over all vCPUs.
        outcome: its class by the rules.
    """

    case: Case
    variation: Variation
    guest: Guest
    stop: Stop
    console: bytes
    instructions: int
    outcome: str = ""

    @property
    def text(self) -> str:
        """The console as text."""
        return self.console.decode("utf-8", "replace")


#: Called for each case; None: as the rules say.
Classifier: TypeAlias = Callable[[CaseRun], str | Outcome | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a case ends, and what that is called.

    A case ends when the guest stops for another reason, too. Then the outcome is named by that:
    ``"exit"`` (it powered off, or ended itself with the status 0), ``"bad exit"`` (with another
    one), ``"panic"``, ``"limit"`` (instructions or time of the guest), ``"timeout"`` (of the
    host), ``"idle"`` (all vCPUs wait for what never comes), ``"error"``.

    Attributes:
        points: locations of code, and the outcome if one is reached.
        watches: watches as ``guestdbg run --watch`` takes them, and the outcome if one is hit.
        console: regular expressions, and the outcome if one matches what was printed (the last
            4 KiB, looked at whenever a line is complete).
        exceptions: a synchronous exception that the guest takes from EL1 to EL1 ends the case with
            the outcome ``"exception"``.
        failures: the outcomes that are failures.
        classify: has the last word.
        vectors: values that VBAR_EL1 gets later, for ``exceptions``; that of the start is known.
    """

    points: Mapping[str | int, str] = field(default_factory=dict)
    watches: Mapping[str, str] = field(default_factory=dict)
    console: Mapping[str, str] = field(default_factory=dict)
    exceptions: bool = False
    failures: frozenset[str] = FAILURES
    classify: Classifier | None = None
    vectors: tuple[int, ...] = ()

    def patterns(self) -> list[tuple[re.Pattern[bytes], str]]:
        """The expressions, compiled. Raises CampaignFileError: one is none."""
        found = []
        for text, outcome in self.console.items():
            try:
                found.append((re.compile(text.encode(), re.MULTILINE), outcome))
            except re.error as error:
                raise CampaignFileError(
                    f"console: {text!r} is no regular expression: {error}"
                ) from error
        return found


def outcome_of_stop(stop: Stop) -> str:
    """The outcome of a stop that no rule has named."""
    if stop.reason == "exit" and stop.status:
        return _BAD_EXIT
    return stop.reason
