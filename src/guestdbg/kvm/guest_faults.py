"""Optional interfaces: what went wrong inside the guest, which only the software provider knows.

Ask with ``isinstance()``, as for the other optional interfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from guestdbg.arm64.exception_class import EC, exception_class
from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.kvm.interface import Vcpu

__all__ = ["FirstException", "SupportsFirstException", "SupportsUndefinedInstructions"]

#: The classes whose preferred return address is the instruction after the one that caused them
#: (DDI 0487, D1.3, "Exception return addresses").
_RETURNS_AFTER = (EC.SVC64, EC.HVC64, EC.SMC64)


@hexadecimal("esr", "far", "elr", "spsr", "vector")
@dataclass(frozen=True, slots=True)
class FirstException:
    """The first of several exceptions that a vCPU took without returning from any.

    Attributes:
        esr: the syndrome, as ESR_EL1 had it.
        far: FAR_EL1 if the exception set it, else None.
        elr: ELR_EL1, the preferred return address.
        spsr: SPSR_EL1: PSTATE when it was taken.
        vector: the address of the vector that it was taken to.
        count: how many synchronous exceptions there were since, this one included.
    """

    esr: int
    far: int | None
    elr: int
    spsr: int
    vector: int
    count: int

    @property
    def pc(self) -> int:
        """The address of the instruction that caused it."""
        return self.elr - 4 if exception_class(self.esr) in _RETURNS_AFTER else self.elr


@runtime_checkable
class SupportsFirstException(Protocol):
    """A vCPU that remembers how a chain of exceptions began.

    Each exception overwrites ELR_EL1, ESR_EL1 and FAR_EL1. Where the handler raises one itself, the
    registers describe the last one, and the instruction that began it all is not in them.
    """

    @property
    def first_exception(self) -> FirstException | None:
        """The first synchronous exception to EL1 since the last exception return; None: none.

        A handler that executes 100,000 instructions without a further exception is taken to work:
        the next exception is a first one again. So is one that is taken from EL0, and one that a
        handler for EL0 takes after its first 32 instructions. Between runs only.
        """


@runtime_checkable
class SupportsUndefinedInstructions(Protocol):
    """A machine that reports the instructions which its processors do not implement.

    Attributes:
        on_undefined: called once for each encoding with the vCPU, the encoding (32 bits) and the
            address of its first execution, by the thread that runs the vCPU, while it runs: soon
            after the execution, and at the latest when ``run()`` returns. None: they are logged.
            After 256 encodings no more are reported.
    """

    on_undefined: Callable[[Vcpu, int, int], object] | None
