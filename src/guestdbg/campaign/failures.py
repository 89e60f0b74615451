"""Failures that are the same, once each and counted."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.campaign.deaths import deaths_in
from guestdbg.campaign.job import Minimised
from guestdbg.campaign.journal import Journal, read_lines

if TYPE_CHECKING:
    from guestdbg.campaign.deaths import Death

__all__ = ["Failure", "FailureFile", "Failures"]

#: So many different ones are kept with their evidence; of the others there are the results.
MOST_KEPT = 10_000
RESERVE = 1 << 20


@dataclass(frozen=True, slots=True)
class Failure:
    """All failures with one signature.

    Attributes:
        signature: what they have in common.
        outcome: the class of the first one.
        case: the number of the first one.
        count: how many there are.
        detail: of the first one, in a line.
        evidence: of the first one, more text.
        minimised: the first one, with what it does not need left out; None: not done.
    """

    signature: str
    outcome: str
    case: int
    count: int
    detail: str
    evidence: str = ""
    minimised: Minimised | None = None


class Failures:
    """The failures of a campaign, as its results arrive.

    Args:
        known: those of results that were there before.

    Attributes:
        count: how many results are failures.
    """

    def __init__(self, known: Iterable[Failure] = ()) -> None:
        self._found = {each.signature: each for each in known}
        self.count = sum(each.count for each in self._found.values())

    def __len__(self) -> int:
        """How many differ."""
        return len(self._found)

    def add(self, case: int, outcome: str, signature: str, detail: str) -> bool:
        """Count a failure. Returns whether it is the first with its signature, by its number."""
        self.count += 1
        known = self._found.get(signature)
        if known is None:
            self._found[signature] = Failure(signature, outcome, case, 1, detail)
            return True
        if case < known.case:
            self._found[signature] = Failure(signature, outcome, case, known.count + 1, detail)
            return True
        self._found[signature] = replace(known, count=known.count + 1)
        return False

    def __iter__(self) -> Iterator[Failure]:
        """Them, the most frequent first."""
        return iter(sorted(self._found.values(), key=lambda each: (-each.count, each.case)))

    def with_notes(self, notes: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[Failure]:
        """Them, with evidence and what is minimised, of ``FailureFile.notes``."""
        found = []
        for each in self:
            note = notes.get((each.signature, each.case), {})
            found.append(
                replace(
                    each,
                    evidence=str(note.get("evidence", "")),
                    minimised=_minimised(note.get("minimised")),
                )
            )
        return found


class FailureFile:
    """``failures.jsonl`` of a campaign: the evidence of each failure's first case, and more."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Journal:
        """To add to it. Raises OSError."""
        return Journal(self._path, RESERVE)

    @staticmethod
    def evidence(signature: str, case: int, text: str) -> Mapping[str, Any]:
        """A line with evidence."""
        return {"signature": signature, "case": case, "evidence": text}

    @staticmethod
    def minimised(signature: str, case: int, result: Minimised) -> Mapping[str, Any]:
        """A line with what was minimised."""
        data = None if result.data is None else base64.b64encode(result.data).decode()
        found = {"text": result.text, "data": data, "tries": result.tries}
        return {"signature": signature, "case": case, "minimised": found}

    def deaths(self) -> list[Death]:
        """Workers that have died for which no case is to blame. Raises OSError."""
        return list(deaths_in(read_lines(self._path)))

    def notes(self) -> Mapping[tuple[str, int], Mapping[str, Any]]:
        """All that is known, by signature and case. Raises OSError."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for line in _checked(read_lines(self._path)):
            found.setdefault((line["signature"], line["case"]), {}).update(line)
        return found


def _checked(lines: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    for line in lines:
        if (
            isinstance(line, dict)
            and isinstance(line.get("signature"), str)
            and isinstance(line.get("case"), int)
        ):
            yield line


def _minimised(found: Any) -> Minimised | None:
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        return None
    data, tries = found.get("data"), found.get("tries")
    try:
        contents = None if data is None else base64.b64decode(str(data), validate=True)
    except ValueError:
        contents = None
    return Minimised(found["text"], contents, tries if isinstance(tries, int) else 0)
