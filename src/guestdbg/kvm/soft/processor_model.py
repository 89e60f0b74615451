"""The processor that a provider makes for every vCPU: features, debug registers, clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor
from guestdbg.kvm.soft.capabilities import ipa_limit, target

if TYPE_CHECKING:
    from guestdbg.arm64.cpu_models import CpuModel

Clock = Literal["virtual", "host"]

#: Bit 31 of MPIDR_EL1, RES1.
MPIDR_RES1: Final = 1 << 31


class ProcessorModel:
    """Makes processors that are all alike.

    Attributes:
        cpu: its identification and features.
        clock: what the counters of the processors follow: retired instructions, or the host's time.
        template: a processor of this kind in no machine, to read the identification registers and
            the host's counter from.
        ipa_limit: width in bits of the widest physical address that it can put out.
        target: its target for KVM_ARM_VCPU_INIT.
    """

    def __init__(
        self,
        cpu: CpuModel,
        *,
        breakpoints: int,
        watchpoints: int,
        context_aware: int,
        clock: Clock,
    ) -> None:
        self.cpu = cpu
        self._identification = identification(cpu)
        self._breakpoints = breakpoints
        self._watchpoints = watchpoints
        self._context_aware = context_aware
        self.clock: Clock = clock
        self.template = self.new_processor(PhysicalMemory(), MPIDR_RES1)
        self.ipa_limit = ipa_limit(self.template)
        self.target = target(self.template)

    @property
    def debug_registers(self) -> tuple[int, int, int]:
        """How many breakpoints, context-aware ones among them, and watchpoints they have."""
        return self._breakpoints, self._context_aware, self._watchpoints

    def new_processor(self, memory: PhysicalMemory, mpidr: int) -> Processor:
        """A processor on ``memory`` whose MPIDR_EL1 reads ``mpidr``."""
        return Processor(
            memory,
            mpidr=mpidr,
            breakpoints=self._breakpoints,
            watchpoints=self._watchpoints,
            context_aware=self._context_aware,
            identification=self._identification,
            clock=self.clock,
        )
