"""Cases: what they are called, what they promise, and where that is written."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from guestdbg.check.rig import Rig
from guestdbg.errors import GuestdbgError

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")


@dataclass(frozen=True, slots=True)
class Case:
    """One promise.

    Attributes:
        name: ``topic.what.exactly``, lower case; unique.
        promise: what is promised, in a sentence.
        source: where that is written: section of the KVM API or rule of the Arm manual.
        run: the judge. It returns for a pass; ``Failure`` and every other exception is a fail,
            ``Skipped`` a skip.
        until: the first Linux release ((6, 14)) that no longer promises this, or None.
        since: the first Linux release that promises it, or None. What is no Linux promises all.
        module: the name of the file in ``guestdbg.check.cases`` that it is written in.
    """

    name: str
    promise: str
    source: str
    run: Callable[[Rig], None]
    until: tuple[int, int] | None = None
    since: tuple[int, int] | None = None
    module: str = ""

    @property
    def topic(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]


T = TypeVar("T")

#: Every case, by name, in the order of registration.
CASES: dict[str, Case] = {}


def _register(case: Case) -> None:
    if not _NAME.fullmatch(case.name):
        raise ValueError(f"{case.name!r} is no name of a case: topic.what-exactly, lower case")
    if case.name in CASES:
        raise ValueError(f"there is a case {case.name!r} already")
    CASES[case.name] = case


def _file(function: Callable[..., None]) -> str:
    return function.__module__.rpartition(".")[2]


def case(
    name: str,
    promise: str,
    source: str,
    *,
    until: tuple[int, int] | None = None,
    since: tuple[int, int] | None = None,
) -> Callable[[Callable[[Rig], None]], Callable[[Rig], None]]:
    """Register the function below as a case."""

    def register(function: Callable[[Rig], None]) -> Callable[[Rig], None]:
        _register(Case(name, promise, source, function, until, since, _file(function)))
        return function

    return register


def case_for_each(
    name: str,
    each: Mapping[str, T],
    promise: str,
    source: str,
    *,
    until: tuple[int, int] | None = None,
    since: tuple[int, int] | None = None,
) -> Callable[[Callable[[Rig, T], None]], Callable[[Rig, T], None]]:
    """Register the function below as one case for each item of ``each``.

    The case is called ``name.key``, the function gets the value, ``{}`` in ``promise`` is the key.
    """

    def register(function: Callable[[Rig, T], None]) -> Callable[[Rig, T], None]:
        for key, value in each.items():

            def judge(rig: Rig, value: T = value) -> None:
                function(rig, value)

            words = promise.replace("{}", key.replace("-", " "))
            _register(Case(f"{name}.{key}", words, source, judge, until, since, _file(function)))
        return function

    return register


def numbered(count: int = 16) -> dict[str, int]:
    """``each`` for registers: "0" to "15"."""
    return {str(n): n for n in range(count)}


class NoSuchCase(GuestdbgError):
    """A pattern that no case's name matches."""


def select(patterns: Iterable[str] = ()) -> list[Case]:
    """The cases whose name matches one of the patterns; all of them without patterns.

    A pattern with ``*``, ``?`` or ``[`` must match the whole name; any other, a part of it.

    Raises:
        NoSuchCase: a pattern matches nothing.
    """
    wanted: set[str] = set()
    patterns = list(patterns)
    for pattern in patterns:
        whole = any(c in pattern for c in "*?[")
        glob = pattern if whole else f"*{pattern}*"
        found = {name for name in CASES if fnmatch.fnmatchcase(name, glob)}
        if not found:
            topics = ", ".join(dict.fromkeys(c.topic for c in CASES.values()))
            raise NoSuchCase(f"no case matches {pattern!r}; the topics are {topics}")
        wanted |= found
    return [c for c in CASES.values() if not patterns or c.name in wanted]
