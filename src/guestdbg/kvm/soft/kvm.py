"""The soft provider: what ``open_kvm("soft")`` returns."""

from __future__ import annotations

import errno
from typing import Final

from guestdbg.kvm.constants import KVM_API_VERSION, KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Kvm
from guestdbg.kvm.soft.capabilities import check_extension
from guestdbg.kvm.soft.processor_model import Clock, ProcessorModel
from guestdbg.kvm.soft.vm import SoftVm

CLOCKS: Final = ("virtual", "host")


class SoftKvm(Kvm):
    """KVM in software, over the compiled processor (``guestdbg.cpu``).

    Args:
        breakpoints: breakpoint registers of each processor, 2 to 16.
        watchpoints: watchpoint registers of each processor, 2 to 16.
        context_aware: how many of the breakpoints, the highest-numbered, match contexts; 1 or more.
        lse: whether the processor has the LSE atomic instructions (FEAT_LSE).
        clock: ``"virtual"``: time is counted in instructions, so that every run of a guest is the
            same; ``"host"``: time is the host's, and a guest that waits does not use the host's
            processor.
        psci_smc: PSCI answers SMC as well as HVC (the kernel's PSCI answers HVC only).

    Raises:
        KvmError: EINVAL for a number out of range, or an unknown clock.
    """

    provider = "soft"

    def __init__(
        self,
        *,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        lse: bool = False,
        clock: Clock = "virtual",
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
                f"context_aware={context_aware}: 1 to {breakpoints} of the {breakpoints} "
                "breakpoints can be",
            )
        if clock not in CLOCKS:
            raise KvmError(
                errno.EINVAL, "open_kvm", f"no clock {clock!r}; there are {' and '.join(CLOCKS)}"
            )
        self._psci_smc = psci_smc
        self._closed = False
        self._model = ProcessorModel(
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            lse=lse,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"<SoftKvm clock={self._model.clock}>"

    def _check(self, call: str) -> None:
        if self._closed:
            raise KvmError(errno.EBADF, call, "the provider is closed")

    def api_version(self) -> int:
        self._check("KVM_GET_API_VERSION")
        return KVM_API_VERSION

    def check_extension(self, cap: int) -> int:
        self._check("KVM_CHECK_EXTENSION")
        return check_extension(self._model.template, cap)

    def create_vm(self, vm_type: int = 0) -> SoftVm:
        self._check("KVM_CREATE_VM")
        return SoftVm(self._model, vm_type, psci_smc=self._psci_smc)

    def close(self) -> None:
        self._closed = True
