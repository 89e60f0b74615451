"""An optional interface: HLT instructions that exit to userspace.

HLT enters Debug state where an external debugger may halt the processor (DDI 0487, C6.2, "HLT").
KVM never allows that, so HLT is UNDEFINED to its guests. Semihosting uses HLT #0xF000 to call a
debugger. A provider with this interface tells userspace of it, without an exception in the guest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm.constants import KVM_EXIT_DEBUG
from guestdbg.kvm.exits import Exit

__all__ = ["ExitHlt", "SupportsHltExit"]


@hexadecimal("immediate")
@dataclass(frozen=True, slots=True)
class ExitHlt(Exit):
    """The guest has come to an HLT. It has not been executed, and the PC is its address.

    Attributes:
        immediate: the HLT's immediate, 16 bits.
    """

    reason: ClassVar[int] = KVM_EXIT_DEBUG
    immediate: int


@runtime_checkable
class SupportsHltExit(Protocol):
    """A vCPU whose HLT instructions can exit to userspace."""

    def set_hlt_exit(self, immediate: int | None) -> None:
        """Let HLT with this immediate at EL1 exit as ``ExitHlt``; None: it is UNDEFINED.

        Userspace emulates the HLT and sets the PC past it, or turns the exit off and runs the vCPU
        again, which takes the UNDEFINED exception then.

        Raises:
            KvmError: EINVAL for an immediate of more than 16 bits.
        """
