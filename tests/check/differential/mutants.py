"""Mutants that random programs must find: KVMs that are wrong on purpose."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Any

from guestdbg.arm64.esr import EC
from guestdbg.kvm import Exit, ExitDebug, ExitMmio, GuestDebug, KvmError
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_VALID_MASK,
)
from guestdbg.kvm.regs import core_reg, sys_reg
from tests.check.mutants import MutantVcpu


class Far(MutantVcpu):
    """FAR of a watchpoint is below the access."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, far=exit_.far - 0x200) if exit_.far else exit_


class WnR(MutantVcpu):
    """Every watchpoint exit says that it was a read."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr=exit_.hsr & ~(1 << 6)) if exit_.ec == EC.WATCHPT_LOW else exit_


class HsrHigh(MutantVcpu):
    """hsr_high is not zero."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr_high=1)


class Stepless(MutantVcpu):
    """KVM_GUESTDBG_SINGLESTEP is accepted and ignored."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        if debug.control & ~KVM_GUESTDBG_VALID_MASK:
            return debug
        return replace(debug, control=debug.control & ~KVM_GUESTDBG_SINGLESTEP)


class Generous(MutantVcpu):
    """Control flags that do not exist are accepted."""

    def asked(self, debug: GuestDebug) -> GuestDebug:
        return replace(debug, control=debug.control & KVM_GUESTDBG_VALID_MASK)


class Behind(MutantVcpu):
    """A watchpoint exit leaves the PC after the access."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        if exit_.ec == EC.WATCHPT_LOW:
            pc = core_reg("pc")
            self.inner.set_one_reg(pc, self.inner.get_one_reg(pc) + 4)
        return exit_


class Leaking(MutantVcpu):
    """The host's breakpoint 0 appears in the guest's registers."""

    leak: int

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.leak = 0

    def set_guest_debug(self, debug: GuestDebug) -> None:
        super().set_guest_debug(debug)
        if debug.control & KVM_GUESTDBG_USE_HW:
            self.leak = debug.dbg_bvr[0]

    def get_one_reg(self, reg_id: int) -> int:
        value = self.inner.get_one_reg(reg_id)
        return value | self.leak if reg_id == sys_reg("DBGBVR0_EL1") else value


class Stuck(MutantVcpu):
    """Debugging cannot be switched off."""

    def set_guest_debug(self, debug: GuestDebug) -> None:
        if debug.control:
            super().set_guest_debug(debug)


class Garbled(MutantVcpu):
    """What the guest writes to a device arrives with its bytes reversed."""

    def run(self) -> Exit:
        exit_ = super().run()
        return replace(exit_, data=exit_.data[::-1]) if isinstance(exit_, ExitMmio) else exit_


class Flags(MutantVcpu):
    """A debug exit clears the guest's flags."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        pstate = core_reg("pstate")
        self.inner.set_one_reg(pstate, self.inner.get_one_reg(pstate) & ~(0xF << 28))
        return exit_


class Untrapped(MutantVcpu):
    """ISS.ISV of a step is always 1, as if no instruction were trapped."""

    def debug_exit(self, exit_: ExitDebug) -> Exit:
        return replace(exit_, hsr=exit_.hsr | 1 << 24) if exit_.ec == EC.SOFTSTP_LOW else exit_


class Refusing(MutantVcpu):
    """Every fifth run is refused."""

    runs: int

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.runs = 0

    def run(self) -> Exit:
        self.runs += 1
        if self.runs % 5 == 0:
            raise KvmError(errno.EFAULT, "KVM_RUN", "because")
        return super().run()


MUTANTS: tuple[type[MutantVcpu], ...] = (
    *(Far, WnR, HsrHigh, Stepless, Generous, Behind, Leaking, Stuck, Garbled, Flags, Untrapped),
    Refusing,
)
