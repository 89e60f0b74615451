"""Positive controls: on a KVM on which nothing stops, no case that arms something passes.

A case about what must not stop the guest passes on such a KVM, unless it shows with the same set-up
that something does stop. On two mutants, breakpoints and watchpoints never match; on a third,
userspace debugs nothing at all. What a case arms is recorded, so that the list below cannot become
out of date.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest

from guestdbg.check import run_cases, select
from guestdbg.kvm import Exit, GuestDebug, Vcpu
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_VALID_MASK,
)

from .mutants import MutantKvm, MutantVcpu, StuckAtZero

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

MDE = 1 << 15
USE_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW


class Recording(MutantVcpu):
    """Records whether a breakpoint or a watchpoint was armed, by userspace or by the guest."""

    debugged_by_userspace: ClassVar[bool] = False
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


class DebugsNothing(Recording):
    """KVM_SET_GUEST_DEBUG accepts what it must accept, and does nothing."""

    def set_guest_debug(self, debug: GuestDebug) -> None:
        super().set_guest_debug(debug)
        Recording.debugged_by_userspace |= bool(debug.control & KVM_GUESTDBG_ENABLE)

    def asked(self, debug: GuestDebug) -> GuestDebug:
        unknown = debug.control & ~KVM_GUESTDBG_VALID_MASK
        return debug if unknown else replace(debug, control=0)


class NobodysMdeIsSet(Recording):
    """Breakpoints and watchpoints never match, neither userspace's nor the guest's own."""

    def __init__(self, inner: Vcpu) -> None:
        super().__init__(inner)
        inner.cpu = StuckAtZero(inner, MDE)  # type: ignore[attr-defined]


def by_userspace() -> bool:
    return Recording.armed_by_userspace


def by_anybody() -> bool:
    return Recording.armed_by_userspace or Recording.armed_by_guest


def debugging_at_all() -> bool:
    return Recording.debugged_by_userspace


def verdicts_of_what_arms(
    mutant: type[Recording], armed: Callable[[], bool], *patterns: str, **shape: int
) -> dict[str, str]:
    """The cases for which ``armed()`` is true afterwards, and their verdicts on this mutant."""
    found = {}
    kvm = MutantKvm(mutant, **shape)
    results = run_cases(select(patterns), kvm, seconds=1.0)  # type: ignore[arg-type]
    while True:
        Recording.debugged_by_userspace = False
        Recording.armed_by_userspace = Recording.armed_by_guest = False
        result = next(results, None)
        if result is None:
            return found
        if armed():
            found[result.case.name] = result.verdict


#: For each mutant, patterns of the cases that pass on it although they arm something: why.
RESTS_ON_SOMETHING_ELSE: dict[type[Recording], dict[str, str]] = {
    UserspacesMdeNeverSet: {},
    NobodysMdeIsSet: {},
    DebugsNothing: {"control.accepts.*": "promises that the call succeeds, not what it does"},
}


def test_what_is_armed_is_recorded() -> None:
    names = ("breakpoint.register.0", "watchpoint.register.0", "guest.arms-itself", "one-reg.takes")
    others = ("step.count.1", "control.accepts", "one-reg.keeps", "brk.exits")
    seen = verdicts_of_what_arms(Recording, by_userspace, *names, *others)
    assert seen == {"breakpoint.register.0": "pass", "watchpoint.register.0": "pass"}
    seen = verdicts_of_what_arms(Recording, by_anybody, *names, *others)
    assert set(seen) == {*names[:3], "one-reg.takes-effect"}


@pytest.mark.parametrize(
    "shape",
    [{}, {"breakpoints": 16, "watchpoints": 16, "context_aware": 16, "cpu": "max"}],
    ids=["default", "the-most"],
)
@pytest.mark.parametrize(
    ("mutant", "armed"),
    [
        (UserspacesMdeNeverSet, by_userspace),
        (NobodysMdeIsSet, by_anybody),
        (DebugsNothing, debugging_at_all),
    ],
)
def test_what_arms_something_fails_if_nothing_stops(
    mutant: type[Recording], armed: Callable[[], bool], shape: dict[str, int]
) -> None:
    verdicts = verdicts_of_what_arms(mutant, armed, **shape)
    assert len(verdicts) > 700
    # A skip is no better than a pass: that nothing stops is no evidence of what is missing.
    passing = {name for name, verdict in verdicts.items() if verdict != "fail"}
    patterns = RESTS_ON_SOMETHING_ELSE[mutant]
    listed = {name for name in verdicts for p in patterns if fnmatch.fnmatchcase(name, p)}
    assert passing == listed, "no positive control (Rig.positive_control), or listed and failing"
    for pattern in patterns:
        assert fnmatch.filter(passing, pattern), f"{pattern} arms nothing, or fails"
