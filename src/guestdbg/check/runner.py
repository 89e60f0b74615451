"""Runs cases, each on a machine of its own. Every case gets a verdict, whatever happens."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from guestdbg.check.rig import Machine, Rig
from guestdbg.check.situation import situation_of
from guestdbg.check.verdict import Failure, Skipped
from guestdbg.check.watchdog import Watchdog
from guestdbg.kvm.linux_release import dotted, version_of

if TYPE_CHECKING:
    from guestdbg.check.registry import Case
    from guestdbg.kvm import Kvm

Verdict = Literal["pass", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a case.

    Attributes:
        reason: why it is not a pass; empty for a pass.
        expected, seen: what was expected and what was seen, for a broken promise.
        seconds: how long the case took.
        traceback: for an unexpected exception.
        situation: the state when it failed; see ``guestdbg.check.situation``.
    """

    case: Case
    verdict: Verdict
    reason: str = ""
    expected: str | None = None
    seen: str | None = None
    seconds: float = 0.0
    traceback: str | None = None
    situation: dict[str, Any] | None = None


def _not_promised(case: Case, release: str) -> str | None:
    version = version_of(release)
    if case.since is not None and version < case.since:
        return f"Linux {dotted(case.since)} and later promise this (this is {release})"
    if case.until is not None and version >= case.until:
        return f"Linux {dotted(case.until)} and later promise otherwise (this is {release})"
    return None


def run_case(case: Case, kvm: Kvm, watchdog: Watchdog) -> Result:
    """Run one case on a machine of its own."""
    started = time.monotonic()

    def result(verdict: Verdict, reason: str = "", **more: str | None) -> Result:
        how = _situation(rig) if verdict == "fail" and rig is not None else None
        taken = time.monotonic() - started
        return Result(case, verdict, reason, seconds=taken, situation=how, **more)

    machine: Machine | None = None
    rig: Rig | None = None
    no_promise = _not_promised(case, kvm.linux)
    if no_promise:
        return result("skip", no_promise)
    try:
        machine = Machine(kvm, watchdog)
        rig = Rig(machine)
        case.run(rig)
    except Skipped as skipped:
        return result("skip", str(skipped))
    except Failure as failure:
        return result("fail", str(failure), expected=failure.expected, seen=failure.seen)
    except Exception as error:
        number = getattr(error, "errno", None)
        name = f" [{errno.errorcode.get(number, number)}]" if number is not None else ""
        return result(
            "fail",
            f"{type(error).__name__}{name}: {error}",
            traceback="".join(traceback.format_exception(error)),
        )
    finally:
        if rig is not None:
            rig.close()
        elif machine is not None:
            machine.close()
    return result("pass")


def _situation(rig: Rig) -> dict[str, Any] | None:
    try:
        return situation_of(rig.family[-1])
    except Exception:
        # On a KVM that is this broken, the verdict must be enough.
        return None


def run_cases(cases: Iterable[Case], kvm: Kvm, *, seconds: float = 5.0) -> Iterator[Result]:
    """Run cases in turn. ``seconds``: how long a guest may stay in KVM_RUN before it is kicked."""
    watchdog = Watchdog(seconds)
    try:
        for case in cases:
            yield run_case(case, kvm, watchdog)
    finally:
        watchdog.close()
