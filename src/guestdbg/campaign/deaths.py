"""Workers that have died: why, and while they ran which cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["TOO_LONG", "WORKER_DIED", "Death", "Deaths", "cause_of", "deaths_in"]

#: The class of cases in which a worker dies, each time that it runs them.
WORKER_DIED = "worker died"
#: What a worker writes before it ends itself because a case takes too long.
_TOO_LONG = "a case has taken longer than"
TOO_LONG = f"guestdbg: {_TOO_LONG}"
#: What is looked for in the last output of a worker, the most telling first.
_CAUSES = (
    re.compile(r"^SUMMARY: (\w+Sanitizer: .+)$", re.MULTILINE),
    re.compile(rf"^guestdbg: ({_TOO_LONG} [0-9.]+ s)$", re.MULTILINE),
    # By a thread of faulthandler, because Python did not run any more.
    re.compile(r"^(Timeout) \(", re.MULTILINE),
    re.compile(r"^Fatal Python error: ([^\n]+)$", re.MULTILINE),
)
#: How it ended, as the parent saw it.
_END = re.compile(r"was killed by \w+|ended with the status \d+")
#: The innermost frame of the thread that got the signal, as faulthandler writes it.
_FRAME = re.compile(r'^Current thread [^\n]*\n  File "[^"\n]*", line (\d+) in (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Death:
    """A worker has died while it ran these cases, and none of them did that when it ran alone.

    Attributes:
        first, last: the numbers of the cases.
        cause: how it died.
        evidence: more: what it wrote last.
    """

    first: int
    last: int
    cause: str
    evidence: str = ""

    def __str__(self) -> str:
        return (
            f"a worker has died in the cases {self.first} to {self.last}, which all had results "
            f"when they ran again ({self.cause})"
        )

    def line(self) -> Mapping[str, Any]:
        """For ``failures.jsonl``."""
        died = {"first": self.first, "last": self.last, "cause": self.cause}
        return {"died": died | {"evidence": self.evidence}}


class Deaths:
    """The deaths of one run for which no case is to blame so far."""

    def __init__(self) -> None:
        self._open: list[tuple[Sequence[int], str, str]] = []

    def add(self, numbers: Sequence[int], cause: str, evidence: str) -> None:
        """A worker has died in one of these cases."""
        self._open.append((numbers, cause, evidence))

    def blame(self, number: int) -> None:
        """This case does it each time."""
        self._open = [each for each in self._open if number not in each[0]]

    def take(self) -> Iterable[Death]:
        """Those that are left, once."""
        left, self._open = self._open, []
        for numbers, cause, evidence in left:
            yield Death(min(numbers), max(numbers), cause, evidence)


def cause_of(error: BaseException) -> tuple[str, str]:
    """Why a worker has died, in a few words that are the same for the same cause; and all that it
    wrote last."""
    output = str(getattr(error, "output", ""))
    evidence = f"{error}\n{output}".strip()
    for pattern in _CAUSES:
        found = pattern.search(output)
        if found is not None:
            frame = _FRAME.search(output) if found[0].startswith("Fatal") else None
            return found[1] + (f" in {frame[2]}:{frame[1]}" if frame else ""), evidence
    end = _END.search(str(error))
    return end[0] if end else "", evidence


def deaths_in(lines: Iterable[Any]) -> Iterable[Death]:
    """The deaths in the lines of ``failures.jsonl``."""
    for line in lines:
        died = line.get("died") if isinstance(line, dict) else None
        if not isinstance(died, dict):
            continue
        try:
            first, last = int(died["first"]), int(died["last"])
            yield Death(first, last, str(died["cause"]), str(died["evidence"]))
        except (TypeError, ValueError, KeyError):
            continue
