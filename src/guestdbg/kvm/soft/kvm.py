"""The soft provider: what ``open_kvm("soft")`` returns."""

from __future__ import annotations

import errno
from typing import Final

from guestdbg.kvm.constants import KVM_API_VERSION, KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Kvm
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS
from guestdbg.kvm.soft.capabilities import check_extension
from guestdbg.kvm.soft.linux_versions import LINUX_VERSIONS
from guestdbg.kvm.soft.processor_model import Clock, ProcessorModel
from guestdbg.kvm.soft.vm import SoftVm

CLOCKS: Final = ("virtual", "host")
DEFAULT_LINUX: Final = SOFTWARE_VERSIONS[-1]


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
        linux: the kernel version that it answers as: ``"6.14"``, or ``"6.1"`` for Linux 6.1 to
            6.13. They differ in who owns the debug registers, and when (docs/kvm-api.md).
        psci_smc: whether PSCI answers SMC #0 as well as HVC: firmware may be built to use either.
            None: as the kernel version does, which is True for 6.14 and False for 6.1.

    Raises:
        KvmError: EINVAL for a number out of range, an unknown clock or kernel version.
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
        linux: str = DEFAULT_LINUX,
        psci_smc: bool | None = True,
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
        if linux not in LINUX_VERSIONS:
            raise KvmError(
                errno.EINVAL,
                "open_kvm",
                f"no kernel version {linux!r}; there are {' and '.join(LINUX_VERSIONS)}",
            )
        self.linux = linux
        self.linux_version = LINUX_VERSIONS[linux]
        self._smc_calls = self.linux_version.smc_calls if psci_smc is None else psci_smc
        self._closed = False
        self._model = ProcessorModel(
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            lse=lse,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"<SoftKvm linux={self.linux} clock={self._model.clock}>"

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
        return SoftVm(self._model, vm_type, self.linux_version, smc_calls=self._smc_calls)

    def close(self) -> None:
        self._closed = True
