"""The soft provider itself: what ``open_kvm("soft")`` returns."""

from __future__ import annotations

import errno
from typing import Literal

from guestdbg.cpu.processor import PhysicalMemory, Processor
from guestdbg.kvm.constants import KVM_API_VERSION, KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Kvm
from guestdbg.kvm.soft.registers.reset import check_extension, ipa_limit
from guestdbg.kvm.soft.vm import SoftVm

CLOCKS = ("virtual", "host")


class SoftKvm(Kvm):
    """KVM in software, over processors of our own.

    Args:
        breakpoints: breakpoint registers of each processor, 2 to 16.
        watchpoints: watchpoint registers of each processor, 2 to 16.
        context_aware: how many breakpoints, the highest numbered, can match contexts.
        lse: whether the processor has the LSE atomic instructions.
        clock: ``"virtual"``: time is counted from instructions, and every run of a guest is like
            every other; ``"host"``: time is the host's, and a guest that waits lets it sleep.
        psci_smc: PSCI answers SMC as well as HVC (the kernel's answers HVC only).

    Raises:
        KvmError: EINVAL for a number or clock that cannot be.
    """

    provider = "soft"

    def __init__(
        self,
        *,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        lse: bool = False,
        clock: Literal["virtual", "host"] = "virtual",
        psci_smc: bool = True,
    ) -> None:
        for name, count in (("breakpoints", breakpoints), ("watchpoints", watchpoints)):
            if not 2 <= count <= KVM_ARM_MAX_DBG_REGS:
                raise KvmError(
                    errno.EINVAL, "open_kvm", f"{name}={count}: a processor has 2 to 16 of them"
                )
        if not 1 <= context_aware <= breakpoints:
            raise KvmError(
                errno.EINVAL,
                "open_kvm",
                f"context_aware={context_aware}: at least one, at most all {breakpoints} "
                "breakpoints are",
            )
        if clock not in CLOCKS:
            raise KvmError(
                errno.EINVAL, "open_kvm", f"no clock {clock!r}; there are {' and '.join(CLOCKS)}"
            )
        self.clock = clock
        self.psci_smc = psci_smc
        self._shape = (breakpoints, watchpoints, context_aware, lse)
        self._closed = False
        #: A processor like every machine's, to read the identification registers from.
        self.template = self.new_processor(PhysicalMemory(), 1 << 31)
        self.ipa_limit = ipa_limit(self.template)

    def new_processor(self, memory: PhysicalMemory, mpidr: int) -> Processor:
        """A processor as this provider was asked to make them."""
        breakpoints, watchpoints, context_aware, lse = self._shape
        return Processor(
            memory,
            mpidr=mpidr,
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            lse=lse,
            clock=self.clock,
        )

    def __repr__(self) -> str:
        return f"<SoftKvm clock={self.clock}>"

    def _check(self, call: str) -> None:
        if self._closed:
            raise KvmError(errno.EBADF, call, "the provider is closed")

    def api_version(self) -> int:
        self._check("KVM_GET_API_VERSION")
        return KVM_API_VERSION

    def check_extension(self, cap: int) -> int:
        self._check("KVM_CHECK_EXTENSION")
        return check_extension(self.template, cap)

    def create_vm(self, vm_type: int = 0) -> SoftVm:
        self._check("KVM_CREATE_VM")
        return SoftVm(self, vm_type)

    def close(self) -> None:
        self._closed = True
