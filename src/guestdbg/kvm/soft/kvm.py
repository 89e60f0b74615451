"""The soft provider: what ``open_kvm("soft")`` returns."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.cpu_models import DEFAULT_CPU, cpu_model
from guestdbg.cpu.tier import status
from guestdbg.kvm.constants import KVM_API_VERSION, KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Kvm
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS
from guestdbg.kvm.soft.capabilities import check_extension
from guestdbg.kvm.soft.linux_versions import LINUX_VERSIONS
from guestdbg.kvm.soft.processor_model import ProcessorModel
from guestdbg.kvm.soft.vm import SoftVm

if TYPE_CHECKING:
    from guestdbg.arm64.cpu_models import CpuModel
    from guestdbg.kvm.soft.processor_model import Clock

CLOCKS: Final = ("virtual", "host")
DEFAULT_LINUX: Final = SOFTWARE_VERSIONS[-1]


def _instead_of_lse(lse: bool, cpu: str | Iterable[str]) -> str:
    """What ``cpu=`` is for the former option ``lse=``."""
    if cpu != DEFAULT_CPU:
        raise KvmError(errno.EINVAL, "open_kvm", "lse= and cpu=: lse= is the former name; use cpu=")
    instead = "cortex-a57,lse" if lse else "cortex-a57"
    warnings.warn(
        f"lse={lse} is now cpu={instead!r}; the next version will not have lse=",
        DeprecationWarning,
        stacklevel=5,
    )
    return instead


class SoftKvm(Kvm):
    """KVM in software, over the compiled processor (``guestdbg.cpu``).

    Args:
        cpu: what the processor is: ``"cortex-a57"``, ``"cortex-a72"``, ``"armv8.2"``, ``"max"``
            (all that is implemented); or features, ``"armv8.2,sha3,sha512"``, ``["FEAT_LSE"]``. A
            feature is added to the model that is named, and without a model to Armv8.0-A. See
            ``guestdbg.arm64.cpu_models``.
        breakpoints: breakpoint registers of each processor, 2 to 16.
        watchpoints: watchpoint registers of each processor, 2 to 16.
        context_aware: how many of the breakpoints, the highest-numbered, match contexts; 1 or more.
        clock: ``"virtual"``: time is counted in instructions, so that every run of a guest is the
            same; ``"host"``: time is the host's, and a guest that waits does not use the host's
            processor.
        linux: the kernel version that it answers as: ``"6.14"``, or ``"6.1"`` for Linux 6.1 to
            6.13. They differ in who owns the debug registers, and when (docs/kvm-api.md).
        psci_smc: whether PSCI answers SMC #0 as well as HVC: firmware may be built to use either.
            None: as the kernel version does, which is True for 6.14 and False for 6.1.
        lse: deprecated. True is ``cpu="cortex-a57,lse"``, False is ``cpu="cortex-a57"``.

    Attributes:
        cpu: the processor's model (the extension SupportsCpuModel).

    Raises:
        ArchitectureError: a ValueError: there is no such model or feature, or no processor can have
            these features alone.
        KvmError: EINVAL for a number out of range, an unknown clock or kernel version.
    """

    provider = "soft"

    def __init__(
        self,
        *,
        cpu: str | Iterable[str] = DEFAULT_CPU,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        clock: Clock = "virtual",
        linux: str = DEFAULT_LINUX,
        psci_smc: bool | None = True,
        lse: bool | None = None,
    ) -> None:
        if lse is not None:
            cpu = _instead_of_lse(lse, cpu)
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
        self.cpu: CpuModel = cpu_model(cpu)
        self._model = ProcessorModel(
            self.cpu,
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            clock=clock,
        )

    @property
    def options(self) -> dict[str, str | int | bool]:
        """The extension SupportsOptions."""
        breakpoints, context_aware, watchpoints = self._model.debug_registers
        return {
            "cpu": str(self.cpu),
            "breakpoints": breakpoints,
            "watchpoints": watchpoints,
            "context_aware": context_aware,
            "clock": self._model.clock,
            "linux": self.linux,
            "psci_smc": self._smc_calls,
        }

    @property
    def tier(self) -> str:
        """The extension SupportsTier."""
        return status()

    def __repr__(self) -> str:
        return f"<SoftKvm cpu={self.cpu} linux={self.linux} clock={self._model.clock}>"

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
