"""The suite can fail: the cases about a broken promise fail on the mutant that breaks it."""

import errno
import fnmatch
import threading
from dataclasses import replace
from typing import ClassVar

import pytest

from guestdbg.kvm import Exit, ExitDebug, ExitMmio, GuestDebug, KvmError, Vcpu, VcpuInit
from guestdbg.kvm.constants import (
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.regs import core_reg, name_of, sys_reg

from .mutants import MutantKvm, MutantVcpu, StuckAtZero, failing, with_controls, with_hsr

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

PC = core_reg("pc")
BREAKPOINT, STEP, WATCHPOINT, BRK = 0x30, 0x32, 0x34, 0x3C


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
    """A single watched byte is not watched."""

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
    """A world switch that loads too few registers."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, dbg_bcr=debug.dbg_bcr[:2], dbg_wcr=debug.dbg_wcr[:2])


class BreakpointsAndWatchpointsExchanged(MutantVcpu):
    """USE_HW must be for both breakpoints and watchpoints."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, dbg_wcr=())


class TakesEveryFlag(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, control=debug.control & 0x30003)


class RefusedButDone(MutantVcpu):
    """A refused KVM_SET_GUEST_DEBUG takes effect."""

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
    """Executes the instruction before it reports the watchpoint."""

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


class StepsTwice(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return self.inner.run() if exit_.ec == STEP else exit_


class StepsNothing(MutantVcpu):
    """Reports a step that was not made."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        if exit_.ec == STEP:
            self.inner.set_one_reg(PC, self.inner.get_one_reg(PC) - 4)
        return exit_


class NeverExclusive(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return with_hsr(exit_, STEP, clear=1 << 6)


class StepWinsOverBreakpoint(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, dbg_bcr=()) if debug.control & 2 else debug


class BrkWithoutComment(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return with_hsr(exit_, BRK, clear=0xFFFF)


class BrkSteppedOver(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        if exit_.ec == BRK:
            self.inner.set_one_reg(PC, self.inner.get_one_reg(PC) + 4)
        return exit_


class HighHalf(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr_high=1)


class HighHalfNotValid(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, flags=0)


class ShowsTheHostsSet(MutantVcpu):
    """One-reg access reads userspace's registers instead of the guest's."""

    given: GuestDebug

    def asked(self, debug: GuestDebug) -> GuestDebug:
        self.given = debug
        return debug

    def get_one_reg(self, reg_id: int) -> int:
        if reg_id == sys_reg("DBGBVR0_EL1") and self.debugged:
            return self.given.dbg_bvr[0]
        return self.inner.get_one_reg(reg_id)


class LeavesSsInPstate(MutantVcpu):
    def get_one_reg(self, reg_id: int) -> int:
        value = self.inner.get_one_reg(reg_id)
        return value | 1 << 21 if reg_id == core_reg("pstate") and self.debugged & 2 else value


class LockBindsTheHost(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        locked = self.inner.get_one_reg(sys_reg("OSLSR_EL1")) & 2
        return replace(debug, control=debug.control & KVM_GUESTDBG_ENABLE) if locked else debug


class MergesTheGuests(MutantVcpu):
    """The guest's breakpoint 0 stays in the hardware beside userspace's."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        control = self.inner.get_one_reg(sys_reg("DBGBCR0_EL1"))
        value = self.inner.get_one_reg(sys_reg("DBGBVR0_EL1"))
        return replace(
            debug,
            dbg_bcr=(*debug.dbg_bcr[:5], control),
            dbg_bvr=(*debug.dbg_bvr[:5], value),
        )


class LosesTheGuests(MutantVcpu):
    """The guest's own registers are not restored after debugging."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        if debug.control & KVM_GUESTDBG_USE_HW:
            for name in ("DBGBCR0_EL1", "DBGWCR0_EL1"):
                self.inner.set_one_reg(sys_reg(name), 0)
        return debug


class DebugsEveryVcpu(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        for vcpu in self.inner.vm.vcpus:
            vcpu.set_guest_debug(debug)
        return debug


class OneSetForAllMachines(MutantVcpu):
    """All vCPUs share one set of debug registers."""

    last: ClassVar[GuestDebug] = GuestDebug()

    def asked(self, debug: GuestDebug) -> GuestDebug:
        type(self).last = debug
        return debug

    def run(self) -> Exit:
        self.inner.set_guest_debug(type(self).last)
        return super().run()


class ResetEndsDebugging(MutantVcpu):
    def init(self, init: VcpuInit) -> None:
        self.inner.init(init)
        self.inner.set_guest_debug(GuestDebug())


class ForgetsOneReg(MutantVcpu):
    """Breakpoint values above number 7 are not kept."""

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if reg_id not in {sys_reg(f"DBGBVR{n}_EL1") for n in range(8, 16)}:
            self.inner.set_one_reg(reg_id, value)


class RunsInSpiteOfImmediateExit(MutantVcpu):
    def run(self) -> Exit:
        if not self.inner.immediate_exit:
            return super().run()
        if self.debugged & KVM_GUESTDBG_ENABLE:
            self.inner.immediate_exit = False
            self.inner.run()
            self.inner.immediate_exit = True
        return self.inner.run()


class DebugsOnlyForItsThread(MutantVcpu):
    """Debug registers belong to the thread that called the ioctl."""

    thread: int

    def asked(self, debug: GuestDebug) -> GuestDebug:
        self.thread = threading.get_ident()
        return debug

    def run(self) -> Exit:
        if self.debugged and self.thread != threading.get_ident():
            self.inner.set_guest_debug(GuestDebug())
        return super().run()


class ContextOfTheCall(MutantVcpu):
    """Compares the CONTEXTIDR_EL1 at KVM_SET_GUEST_DEBUG, not the one when the guest runs."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        context = self.inner.get_one_reg(sys_reg("CONTEXTIDR_EL1"))
        linked = [n for n, v in enumerate(debug.dbg_bcr) if v >> 20 & 15 == 3]
        if any(debug.dbg_bvr[n] != context for n in linked):
            return replace(debug, dbg_bcr=())
        return debug


class WatchesThePage(MutantVcpu):
    def asked(self, debug: GuestDebug) -> GuestDebug:
        return with_controls(debug, "wcr", clear=31 << 24, put=12 << 24 | 0xFF << 5)


class BreaksBesideToo(MutantVcpu):
    """Breaks also on the instructions beside the right one."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        if not debug.dbg_bcr[0] & 1:
            return debug
        at, control = debug.dbg_bvr[0], debug.dbg_bcr[0]
        return replace(
            debug,
            dbg_bvr=(*debug.dbg_bvr[:3], at - 4, at + 4),
            dbg_bcr=(*debug.dbg_bcr[:3], control, control),
        )


class ListsNoDebugRegisters(MutantVcpu):
    def get_reg_list(self) -> list[int]:
        return [r for r in self.inner.get_reg_list() if not name_of(r).startswith("DBG")]


class GuestStepsNothing(MutantVcpu):
    """The guest's own MDSCR_EL1.SS never gets into the hardware."""

    def __init__(self, inner: Vcpu) -> None:
        super().__init__(inner)
        inner.cpu = StuckAtZero(inner, 1, lambda v: not v.guest_debug)  # type: ignore[attr-defined]


class OwnStepWithoutIsv(MutantVcpu):
    """ESR_EL1.ISV and EX of the guest's own steps are 0."""

    def run(self) -> Exit:
        exit_ = super().run()
        if isinstance(exit_, ExitMmio) and exit_.is_write:
            esr = int.from_bytes(exit_.data, "little")
            if esr >> 26 == STEP:
                return replace(exit_, data=(esr & ~(1 << 24 | 1 << 6)).to_bytes(8, "little"))
        return exit_


class OneRegDoesNotLock(MutantVcpu):
    """One-reg writes of OSLSR_EL1 change nothing."""

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if reg_id != sys_reg("OSLSR_EL1"):
            self.inner.set_one_reg(reg_id, value)


class LosesTdcc(MutantVcpu):
    """A run with guest debugging clears the guest's MDSCR_EL1.TDCC."""

    def run(self) -> Exit:
        exit_ = super().run()
        if self.debugged:
            mdscr = self.inner.get_one_reg(sys_reg("MDSCR_EL1"))
            self.inner.set_one_reg(sys_reg("MDSCR_EL1"), mdscr & ~(1 << 12))
        return exit_


class TdccUndebuggedOnly(MutantVcpu):
    """The guest's MDSCR_EL1.TDCC is not in the hardware while userspace debugs."""

    def __init__(self, inner: Vcpu) -> None:
        super().__init__(inner)
        bit = 1 << 12
        inner.cpu = StuckAtZero(inner, bit, lambda v: v.guest_debug)  # type: ignore[attr-defined]


class EnableAloneLosesTheGuests(MutantVcpu):
    """Control ENABLE, without further flags, clears a debug register of the guest."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        if debug.control == KVM_GUESTDBG_ENABLE:
            self.inner.set_one_reg(sys_reg("DBGBVR0_EL1"), 0)
        return debug


class LosesTheGuestsLinks(MutantVcpu):
    """The guest's own context breakpoints do not get into the hardware."""

    def run(self) -> Exit:
        for n in range(16):
            name = sys_reg(f"DBGBCR{n}_EL1")
            if self.inner.get_one_reg(name) >> 20 & 15 == 3:
                self.inner.set_one_reg(name, 0)
        return super().run()


class StepsChangeARegister(MutantVcpu):
    def debug_exit(self, exit_: ExitDebug) -> Exit:
        if exit_.ec == STEP:
            self.inner.set_one_reg(core_reg("x20"), 0)
        return exit_


CAPS = {
    "breakpoints": {KVM_CAP_GUEST_DEBUG_HW_BPS: 5},
    "watchpoints": {KVM_CAP_GUEST_DEBUG_HW_WPS: 0},
    "flags": {KVM_CAP_SET_GUEST_DEBUG2: 0x10003},
    "no-flags": {KVM_CAP_SET_GUEST_DEBUG2: 0},
}

#: Patterns of cases: all that match the first must fail; none that match the second may fail.
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
        ["linked.watchpoint.*-context", "context.matches-every-instruction"],
        ["watchpoint.register.*"],
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
    (StepsTwice, ["step.over.nop-at-el?", "step.count.*", "step.into.svc-at-el?"], ["brk.exits.*"]),
    (StepsNothing, ["step.over.add-at-el?"], ["breakpoint.register.*"]),
    (NeverExclusive, ["step.over.load-exclusive*"], ["step.over.nop-*"]),
    (StepWinsOverBreakpoint, ["priority.breakpoint-while-stepping"], ["step.over.*"]),
    (BrkWithoutComment, ["brk.comment.ffff"], ["brk.comment.0000", "step.*"]),
    (BrkSteppedOver, ["brk.exits.*", "brk.again"], ["brk.undebugged.*"]),
    (HighHalf, ["hsr-high.*"], ["control.refuses-bit.*"]),
    (HighHalfNotValid, ["hsr-high.*"], ["control.refuses-bit.*"]),
    (ShowsTheHostsSet, ["guest.one-reg.use-hw"], ["guest.reads.*"]),
    (LeavesSsInPstate, ["step.leaves-no-ss-in-pstate"], ["breakpoint.register.*"]),
    (LockBindsTheHost, ["lock.not-the-hosts-*"], ["lock.masks-*", "breakpoint.register.*"]),
    (MergesTheGuests, ["guest.hidden.breakpoint"], ["breakpoint.register.0"]),
    (LosesTheGuests, ["guest.back-afterwards.*"], ["guest.breakpoint.*"]),
    (DebugsEveryVcpu, ["vcpus.only-the-one.*"], ["breakpoint.register.*"]),
    (OneSetForAllMachines, ["vcpus.machines-apart"], ["step.over.*"]),
    (ResetEndsDebugging, ["vcpus.reset"], ["breakpoint.register.*"]),
    (ForgetsOneReg, ["one-reg.keeps.dbgbvr9"], ["one-reg.keeps.dbgbvr7"]),
    (ListsNoDebugRegisters, ["one-reg.listed.dbgbvr0-el1"], ["one-reg.keeps.*"]),
    (ForgetsAfterOneStop, ["order.taking-away.*", "step.stays-in-force"], ["order.with.nothing"]),
    (
        WatchesThePage,
        ["watchpoint.neighbours.above"],
        ["watchpoint.register.*"],
    ),
    (BreaksBesideToo, ["breakpoint.not.one-*", "breakpoint.fetched-*"], ["watchpoint.*"]),
    (NothingStops, ["breakpoint.not.*", "breakpoint.fetched-not-executed"], []),
    (NothingStops, ["priority.*-fault-before-watchpoint", "priority.pc-alignment-*"], []),
    (RunsInSpiteOfImmediateExit, ["between.cut-short.*"], ["step.over.add-*"]),
    (DebugsOnlyForItsThread, ["between.another-thread"], ["between.level.*"]),
    (ContextOfTheCall, ["between.context.set"], ["linked.*.same-context"]),
    (OneSetForAllMachines, ["between.two-threads-at-once"], ["between.level.*"]),
    (AfterTheAccess, ["between.value-register", "between.memory"], ["between.level.*"]),
    (NothingStops, ["*.register.[0-3]", "access.str-8"], ["capability.*"]),
    (NothingStops, ["watchpoint.not-by-*", "watchpoint.neighbours.*", "*.disabled"], []),
    (
        GuestStepsNothing,
        ["guest.step", "guest.steps-itself-at-el1", "guest.step-isv.*", "lock.masks-*-at-el1"],
        ["step.*"],
    ),
    (OwnStepWithoutIsv, ["guest.step-isv.an-*", "guest.step-isv.a-load*"], ["guest.step"]),
    (OneRegDoesNotLock, ["lock.masks-the-guests-step-at-el1"], ["guest.steps-itself-at-el1"]),
    (LosesTdcc, ["guest.tdcc.*"], ["guest.mdscr.*"]),
    (TdccUndebuggedOnly, ["guest.tdcc-traps.use-hw"], ["guest.tdcc-traps.undebugged"]),
    (EnableAloneLosesTheGuests, ["step.enable-in-between"], ["guest.reads.use-hw"]),
    (StepsChangeARegister, ["step.enable-in-between"], ["step.count.*"]),
    (DebugsEveryVcpu, ["vcpus.added-after-a-run.*"], ["breakpoint.register.*"]),
    (
        LosesTheGuestsLinks,
        ["guest.linked-breakpoint.0", "guest.linked-watchpoint.0", "guest.*.follows-the-context"],
        ["guest.breakpoint.*", "linked.*"],
    ),
]


def test_the_wrapper_by_itself_breaks_nothing() -> None:
    assert failing(MutantKvm()) == set()


@pytest.mark.parametrize(
    ("mutant", "must_fail", "must_pass"),
    NOTICED,
    ids=[f"{m.__name__}-{f[0]}" for m, f, _ in NOTICED],
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
