"""The suite can fail: each wrong KVM is noticed, by the cases that are about what it breaks."""

import errno
import fnmatch
from dataclasses import replace

import pytest

from guestdbg.kvm import Exit, ExitDebug, GuestDebug, KvmError
from guestdbg.kvm.constants import (
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.regs import core_reg

from .mutants import MutantKvm, MutantVcpu, failing, with_controls, with_hsr

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

PC = core_reg("pc")
BREAKPOINT, STEP, WATCHPOINT = 0x30, 0x32, 0x34


class FarOneBelow(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return exit_ if exit_.far is None else replace(exit_, far=exit_.far - 1)


class FarOfTheNextDoubleword(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return exit_ if exit_.far is None else replace(exit_, far=(exit_.far | 7) + 1)


class FarIsStale(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return exit_ if exit_.far is None else replace(exit_, far=0)


class NoWnR(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return with_hsr(exit_, WATCHPOINT, clear=1 << 6)


class AlwaysWnR(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return with_hsr(exit_, WATCHPOINT, put=1 << 6)


class NoIL(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr=exit_.hsr & ~(1 << 25))


class NoStatusCode(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr=exit_.hsr & ~0x3F)


class StepForBreakpoint(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return with_hsr(exit_, BREAKPOINT, clear=0x3F << 26, put=STEP << 26)


class IgnoresBas(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "wcr", put=0xFF << 5)


class OnlyWholeDoublewords(MutantVcpu):
    """A byte that is watched alone is not watched."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        values = tuple(v if v >> 5 & 0xFF == 0xFF else 0 for v in debug.dbg_wcr)
        return replace(debug, dbg_wcr=values)


class IgnoresMask(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "wcr", clear=31 << 24)


class MaskOneMore(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        values = tuple(v + (1 << 24) if v >> 24 & 31 not in (0, 31) else v for v in debug.dbg_wcr)
        return replace(debug, dbg_wcr=values)


class EveryAccess(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "wcr", put=3 << 3)


class EveryLevelForBreakpoints(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "bcr", put=3 << 1)


class EveryLevelForWatchpoints(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "wcr", put=3 << 1)


class IgnoresHmcAndSsc(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        cleared = with_controls(debug, "bcr", clear=7 << 13, put=3 << 1)
        return with_controls(cleared, "wcr", clear=7 << 13, put=3 << 1)


class IgnoresDisabled(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(
            debug,
            dbg_bcr=tuple(v and v | 1 for v in debug.dbg_bcr),
            dbg_wcr=tuple(v and v | 1 for v in debug.dbg_wcr),
        )


class IgnoresLinks(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        unlinked = tuple(v & ~(1 << 20) if v >> 20 & 15 == 1 else v for v in debug.dbg_bcr)
        return with_controls(replace(debug, dbg_bcr=unlinked), "wcr", clear=1 << 20)


class LosesTheContext(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        kept = tuple(0 if v >> 20 & 15 in (2, 3) else v for v in debug.dbg_bcr)
        return replace(debug, dbg_bcr=kept)


class OnlyTheFirstRegisters(MutantVcpu):
    """A world switch that loads too few."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, dbg_bcr=debug.dbg_bcr[:2], dbg_wcr=debug.dbg_wcr[:2])


class BreakpointsAndWatchpointsExchanged(MutantVcpu):
    """The question a reviewer asked: USE_HW is for both kinds."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, dbg_wcr=())


class TakesEveryFlag(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, control=debug.control & 0x30003)


class RefusedButDone(MutantVcpu):
    """Takes over what it refuses."""

    def set_guest_debug(self, debug: GuestDebug) -> None:
        self.inner.set_guest_debug(replace(debug, control=debug.control & 0x30003))
        if debug.control & ~0x30003:
            raise KvmError(errno.EINVAL, "KVM_SET_GUEST_DEBUG", "unknown flags")


class RefusesWithAnotherErrno(MutantVcpu):
    def set_guest_debug(self, debug: GuestDebug) -> None:
        if debug.control & ~0x30003:
            raise KvmError(errno.ENOTTY, "KVM_SET_GUEST_DEBUG", "unknown flags")
        super().set_guest_debug(debug)


class NeverDisarms(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        if debug.control & KVM_GUESTDBG_USE_HW:
            return debug
        return replace(debug, control=debug.control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW)


class AlwaysEnabled(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, control=debug.control and debug.control | KVM_GUESTDBG_ENABLE)


class ForgetsAfterOneStop(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        self.inner.set_guest_debug(GuestDebug())
        return exit_


class AfterTheAccess(MutantVcpu):
    """Executes the instruction before it tells of the watchpoint."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        if exit_.ec == WATCHPOINT:
            self.inner.set_guest_debug(GuestDebug(3))
            self.inner.run()
            self.inner.set_guest_debug(GuestDebug())
        return exit_


class PcBehindTheInstruction(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        self.inner.set_one_reg(PC, self.inner.get_one_reg(PC) + 4)
        return exit_


class NothingStops(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, control=debug.control & KVM_GUESTDBG_ENABLE)


CAPS = {
    "breakpoints": {KVM_CAP_GUEST_DEBUG_HW_BPS: 5},
    "watchpoints": {KVM_CAP_GUEST_DEBUG_HW_WPS: 0},
    "flags": {KVM_CAP_SET_GUEST_DEBUG2: 0x10003},
}

#: What each must make fail (all that match), and what it must leave alone (nothing that matches).
NOTICED: list[tuple[type[MutantVcpu], list[str], list[str]]] = [
    (FarOneBelow, ["watchpoint.bas.byte-?", "access.str-64", "access.ldp"], ["breakpoint.*"]),
    (FarOfTheNextDoubleword, ["watchpoint.bas.byte-?", "access.str-64"], ["breakpoint.*"]),
    (FarIsStale, ["watchpoint.register.0", "access.stxr-32", "linked.several-to-one"], []),
    (NoWnR, ["access.str-*", "access.st4"], ["access.ldr-*"]),
    (AlwaysWnR, ["access.ldr-*", "access.ldxr-*"], ["access.str-*"]),
    (NoIL, ["breakpoint.register.0", "watchpoint.register.0"], ["control.refuses-bit.*"]),
    (NoStatusCode, ["breakpoint.register.0", "watchpoint.register.0"], []),
    (StepForBreakpoint, ["breakpoint.register.0"], ["watchpoint.register.*"]),
    (IgnoresBas, ["watchpoint.bas.byte-?", "watchpoint.bas.bytes-1-to-6"], ["watchpoint.mask.*"]),
    (OnlyWholeDoublewords, ["watchpoint.bas.byte-?"], ["watchpoint.register.*"]),
    (IgnoresMask, ["watchpoint.mask.[4-9]", "watchpoint.mask.31"], ["watchpoint.bas.*"]),
    (MaskOneMore, ["watchpoint.mask.[3-9]"], ["watchpoint.bas.*"]),
    (EveryAccess, ["watchpoint.lsc.write-of-a-load", "access.other-direction.ldr-64"], []),
    (EveryLevelForBreakpoints, ["breakpoint.el.el0-at-el1"], ["watchpoint.el.*"]),
    (
        EveryLevelForWatchpoints,
        ["watchpoint.el.el0-at-el1", "watchpoint.unprivileged-access.el1-*"],
        ["breakpoint.el.*"],
    ),
    (IgnoresHmcAndSsc, ["*.levels.hmc-1-ssc-3-el2-alone-at-el?"], ["*.register.*"]),
    (IgnoresDisabled, ["breakpoint.disabled", "watchpoint.disabled"], ["*.register.*"]),
    (
        IgnoresLinks,
        ["linked.breakpoint.other-context", "linked.watchpoint.other-context", "linked.to-a-*"],
        ["linked.breakpoint.same-context"],
    ),
    (
        LosesTheContext,
        ["linked.watchpoint.same-context", "context.matches-every-instruction"],
        ["linked.watchpoint.other-context"],
    ),
    (
        OnlyTheFirstRegisters,
        ["*.register.[23]", "*.all-at-once", "linked.breakpoint.same-context"],
        ["*.register.[01]"],
    ),
    (BreakpointsAndWatchpointsExchanged, ["watchpoint.register.0"], ["breakpoint.*"]),
    (TakesEveryFlag, ["control.refuses-bit.*"], ["control.accepts.*"]),
    (RefusedButDone, ["control.refused-changes-nothing"], ["control.refuses-bit.*"]),
    (RefusesWithAnotherErrno, ["control.refuses-bit.*"], ["control.accepts.*"]),
    (NeverDisarms, ["control.off-ends-everything"], ["control.accepts.*"]),
    (AlwaysEnabled, ["control.flags-without-enable"], ["control.accepts.*"]),
    (ForgetsAfterOneStop, ["control.stays-in-force"], ["watchpoint.disabled"]),
    (AfterTheAccess, ["access.str-64", "access.ldr-64"], []),
    (PcBehindTheInstruction, ["breakpoint.register.0", "watchpoint.register.0"], []),
    (NothingStops, ["*.register.[0-3]", "access.str-8"], ["watchpoint.disabled"]),
]


def test_the_wrapper_by_itself_breaks_nothing() -> None:
    assert failing(MutantKvm()) == set()


@pytest.mark.parametrize(
    ("mutant", "must_fail", "must_pass"), NOTICED, ids=[m.__name__ for m, _, _ in NOTICED]
)
def test_is_noticed(mutant: type[MutantVcpu], must_fail: list[str], must_pass: list[str]) -> None:
    failed = failing(MutantKvm(mutant), *must_fail, *must_pass)
    for pattern in must_fail:
        assert fnmatch.filter(failed, pattern), f"nothing of {pattern} fails"
    for pattern in must_pass:
        assert not fnmatch.filter(failed, pattern)


@pytest.mark.parametrize("name", CAPS)
def test_wrong_capabilities_are_noticed(name: str) -> None:
    assert failing(MutantKvm(caps=CAPS[name]), "capability")
