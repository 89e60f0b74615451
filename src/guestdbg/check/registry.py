"""Cases: their names, what they promise, and the source of the promise."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")


@dataclass(frozen=True, slots=True)
class Case:
    """One promise.

    Attributes:
        name: ``topic.what.exactly``, lower case; unique.
        promise: what is promised, in one sentence.
        source: the section of the KVM API or of the Arm manual that promises it.
        run: judges it. If it returns, the case passes; ``Skipped`` is a skip; ``Failure`` and
            every other exception is a fail.
        until: the first Linux release, such as (6, 14), that no longer promises this, or None.
        since: the first Linux release that promises it, or None.
        module: the name of its file in ``guestdbg.check.cases``.
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
        raise ValueError(f"{case.name!r} is not a name like topic.what-exactly, in lower case")
    if case.name in CASES:
        raise ValueError(f"a case {case.name!r} exists already")
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

    The case is called ``name.key``; the function gets the value; ``{}`` in ``promise`` is replaced
    by the key.
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
    """``each`` for ``case_for_each``, with the numbers of registers: "0" to "15"."""
    return {str(n): n for n in range(count)}


class NoSuchCase(GuestdbgError):
    """No case's name matches a pattern."""


def select(patterns: Iterable[str] = ()) -> list[Case]:
    """The cases whose name matches one of the patterns; without patterns, all cases.

    A pattern with ``*``, ``?`` or ``[`` must match the whole name; any other must be a part of it.

    Raises:
        NoSuchCase: a pattern matches nothing.
    """
    names: set[str] = set()
    patterns = list(patterns)
    for pattern in patterns:
        whole = any(c in pattern for c in "*?[")
        glob = pattern if whole else f"*{pattern}*"
        found = {name for name in CASES if fnmatch.fnmatchcase(name, glob)}
        if not found:
            topics = ", ".join(dict.fromkeys(c.topic for c in CASES.values()))
            raise NoSuchCase(f"no case matches {pattern!r}; the topics are {topics}")
        names |= found
    return [c for c in CASES.values() if not patterns or c.name in names]
