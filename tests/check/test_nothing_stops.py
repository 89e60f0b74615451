"""Positive controls: on a KVM on which nothing stops, no case that arms something passes.

A case about what must not stop the guest passes on such a KVM, unless it shows with the same set-up
that something does stop. Two mutants have no debug exceptions of breakpoints and watchpoints. What
a case arms is recorded, so that the lists below cannot become out of date.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest

from guestdbg.check import run_cases, select
from guestdbg.kvm import Exit, GuestDebug, Vcpu
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_USE_HW

from .mutants import MutantKvm, MutantVcpu, StuckAtZero

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

MDE = 1 << 15
USE_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW


class Recording(MutantVcpu):
    """Records whether a breakpoint or a watchpoint was armed, by userspace or by the guest."""

    armed_by_userspace: ClassVar[bool] = False
    armed_by_guest: ClassVar[bool] = False

    def set_guest_debug(self, debug: GuestDebug) -> None:
        super().set_guest_debug(debug)
        enabled = any(control & 1 for control in (*debug.dbg_bcr, *debug.dbg_wcr))
        Recording.armed_by_userspace |= debug.control & USE_HW == USE_HW and enabled

    def run(self) -> Exit:
        # Before the run what one-reg access armed, after it what the guest armed itself.
        self._look()
        exit_ = super().run()
        self._look()
        return exit_

    def _look(self) -> None:
        registers = self.inner.debug_state.guest  # type: ignore[attr-defined]
        Recording.armed_by_guest |= any(v & 1 for v in (*registers.bcr, *registers.wcr))


class UserspacesMdeNeverSet(Recording):
    """KVM forgets MDSCR_EL1.MDE with USE_HW: userspace's registers never match."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(
            debug,
            dbg_bcr=tuple(v & ~1 for v in debug.dbg_bcr),
            dbg_wcr=tuple(v & ~1 for v in debug.dbg_wcr),
        )


class NobodysMdeIsSet(Recording):
    """Breakpoints and watchpoints never match, neither userspace's nor the guest's own."""

    def __init__(self, inner: Vcpu) -> None:
        super().__init__(inner)
        inner.cpu = StuckAtZero(inner, MDE)  # type: ignore[attr-defined]


def by_userspace() -> bool:
    return Recording.armed_by_userspace


def by_anybody() -> bool:
    return Recording.armed_by_userspace or Recording.armed_by_guest


def verdicts_of_what_arms(
    mutant: type[Recording], armed: Callable[[], bool], *patterns: str
) -> dict[str, str]:
    """The cases that arm something, and their verdicts on this mutant."""
    found = {}
    results = run_cases(select(patterns), MutantKvm(mutant), seconds=1.0)  # type: ignore[arg-type]
    while True:
        Recording.armed_by_userspace = Recording.armed_by_guest = False
        result = next(results, None)
        if result is None:
            return found
        if armed():
            found[result.case.name] = result.verdict


#: Patterns of cases that arm something, and whose verdict rests on something else: why. There are
#: none: a case that belongs here arms something for no purpose.
RESTS_ON_SOMETHING_ELSE: dict[str, str] = {}


def test_what_is_armed_is_recorded() -> None:
    names = ("breakpoint.register.0", "watchpoint.register.0", "guest.arms-itself", "one-reg.takes")
    others = ("step.count.1", "control.accepts", "one-reg.keeps", "brk.exits")
    seen = verdicts_of_what_arms(Recording, by_userspace, *names, *others)
    assert seen == {"breakpoint.register.0": "pass", "watchpoint.register.0": "pass"}
    seen = verdicts_of_what_arms(Recording, by_anybody, *names, *others)
    assert set(seen) == {*names[:3], "one-reg.takes-effect"}


@pytest.mark.parametrize(
    ("mutant", "armed"),
    [(UserspacesMdeNeverSet, by_userspace), (NobodysMdeIsSet, by_anybody)],
    ids=["userspace", "anybody"],
)
def test_what_arms_something_fails_if_nothing_stops(
    mutant: type[Recording], armed: Callable[[], bool]
) -> None:
    verdicts = verdicts_of_what_arms(mutant, armed)
    assert len(verdicts) > 700
    # A skip is no better than a pass: that nothing stops is no evidence of what is missing.
    passing = {name for name, verdict in verdicts.items() if verdict != "fail"}
    listed = {n for n in passing for p in RESTS_ON_SOMETHING_ELSE if fnmatch.fnmatchcase(n, p)}
    assert passing == listed, "no positive control (Rig.positive_control)"
    for pattern in RESTS_ON_SOMETHING_ELSE:
        assert fnmatch.filter(passing, pattern), f"{pattern} arms nothing, or fails"
