"""What state a vCPU is in, in words: powered off, without code, in a loop of exceptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from guestdbg.arm64.exception_class import EC, exception_class
from guestdbg.arm64.pstate import exception_level
from guestdbg.debugger.errors import AddressError
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm import FirstException, SupportsFirstException, SupportsInstructionCount
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED
from guestdbg.kvm.regs import ELR_EL1, PC, PSTATE, SPSR_EL1, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.memory.address_space import AddressSpace
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.vcpu.exception_vectors import ExceptionVectors
    from guestdbg.debugger.vcpu.resume_state import ResumeState
    from guestdbg.kvm import Vcpu

__all__ = ["Diagnosis", "VcpuStatus", "diagnose", "syndrome_words"]

_CPACR_EL1 = sys_reg("CPACR_EL1")
_FPEN, _FPEN_ALL = 20, 0b11  # the lowest bit of the field; no trap, neither at EL0 nor at EL1
_VBAR_EL1 = sys_reg("VBAR_EL1")
_ESR_EL1 = sys_reg("ESR_EL1")
_FAR_EL1 = sys_reg("FAR_EL1")
#: The vector table at VBAR_EL1: 16 entries of 128 bytes (DDI 0487, D1.3, "Exception vectors").
_TABLE_BYTES = 16 * 128
_VECTOR_BYTES = 128
_WAITS_TEXT = "it waits for console input (semihosting)"
#: So many exceptions without a return from any are a loop: nothing that works nests them so deep.
_LOOP = 16
#: Classes with an address in FAR_EL1.
_WITH_FAR = frozenset(
    (
        *(EC.IABT_LOW, EC.IABT_CUR, EC.PC_ALIGN, EC.DABT_LOW, EC.DABT_CUR),
        *(EC.WATCHPT_LOW, EC.WATCHPT_CUR),
    )
)
#: Classes of exceptions that a program does not make on purpose.
_FAULTS = frozenset((EC.IABT_CUR, EC.DABT_CUR, EC.UNKNOWN, EC.ILL, EC.PC_ALIGN, EC.SP_ALIGN))

VcpuStatus: TypeAlias = Literal["runs", "off", "unreadable", "loop"]


class Diagnosed(Protocol):
    """A vCPU under the debugger, as far as it is needed here: see ``VcpuContext``."""

    vcpu: Vcpu
    space: AddressSpace
    vectors: ExceptionVectors
    resume_state: ResumeState

    @property
    def get(self) -> Callable[[int], int]:
        """Reads a register by its one-reg id."""

    def locate(self, address: int) -> Location:
        """What is known of an address."""


@hexadecimal("pc")
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one vCPU is doing.

    Attributes:
        vcpu: its id.
        status: ``"runs"``: it can go on; ``"off"``: it is powered off; ``"unreadable"``: the
            instruction at its PC cannot be read; ``"loop"``: it takes exceptions without end.
        pc, location: where it is.
        text: the status in words; empty for ``"runs"``, unless it waits for console input or is in
            the handler of a fault.
        first: for ``"loop"`` the exception that began it. It is the last one if the provider does
            not implement ``SupportsFirstException``; its ``count`` is 1 then. For ``"runs"`` the
            fault of code at EL1 that the vCPU has not returned from, or None.
    """

    vcpu: int
    status: VcpuStatus
    pc: int
    location: Location
    text: str = ""
    first: FirstException | None = None


def diagnose(context: Diagnosed) -> Diagnosis:
    """What the vCPU is doing. Between runs only."""
    get, vcpu = context.get, context.vcpu
    pc = get(PC)
    location = context.locate(pc)
    if vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
        never = isinstance(vcpu, SupportsInstructionCount) and vcpu.instructions == 0
        why = "never started it" if never else "CPU_OFF, or not started yet"
        return Diagnosis(vcpu.id, "off", pc, location, f"it is powered off (PSCI: {why})")
    unreadable = _unreadable(context, pc)
    first = _loop(context, pc, unreadable is not None)
    if first is not None:
        return Diagnosis(vcpu.id, "loop", pc, location, _loop_text(context, first), first)
    if unreadable is not None:
        text = f"the instruction at its PC cannot be read: {unreadable}"
        return Diagnosis(vcpu.id, "unreadable", pc, location, text)
    if context.resume_state.waits_for_input:
        return Diagnosis(vcpu.id, "runs", pc, location, _WAITS_TEXT)
    fault = _fault(context)
    text = f"it has not returned from a fault {_exception_text(context, fault)}" if fault else ""
    return Diagnosis(vcpu.id, "runs", pc, location, text, fault)


def _fault(context: Diagnosed) -> FirstException | None:
    """The fault of code at EL1 in whose handler the vCPU is; None: none that is known.

    A firmware that cannot handle it often ends there, in a loop of its handler. Faults of EL0 and
    system calls are everyday work of a kernel.
    """
    if not isinstance(context.vcpu, SupportsFirstException):
        return None
    first = context.vcpu.first_exception
    if first is None or exception_level(first.spsr) == 0:
        return None
    return first if exception_class(first.esr) in _FAULTS else None


def _unreadable(context: Diagnosed, pc: int) -> str | None:
    """Why the instruction at ``pc`` cannot be read; None if it can."""
    if pc & 3:
        return f"{pc:#x} is not a multiple of 4"
    try:
        context.space.read(pc, 4)
    except AddressError as error:
        return str(error)
    return None


def _loop(context: Diagnosed, pc: int, unreadable: bool) -> FirstException | None:
    """How the loop of exceptions began that the vCPU is in; None if it is in none."""
    get, vcpu = context.get, context.vcpu
    if exception_level(get(PSTATE)) == 0:
        return None
    offset = pc - get(_VBAR_EL1)
    in_table = 0 <= offset < _TABLE_BYTES
    no_code = in_table and (unreadable or not any(context.space.read(pc, 4)))
    if isinstance(vcpu, SupportsFirstException):
        first = vcpu.first_exception
        return first if first is not None and (first.count >= _LOOP or no_code) else None
    # ELR_EL1, ESR_EL1 and FAR_EL1 describe the last exception. It is one of a loop if the vector
    # has no code, or raised it itself.
    elr = get(ELR_EL1)
    if no_code or (in_table and offset // _VECTOR_BYTES == (elr - get(_VBAR_EL1)) // _VECTOR_BYTES):
        esr = get(_ESR_EL1)
        far = get(_FAR_EL1) if exception_class(esr) in _WITH_FAR else None
        return FirstException(esr, far, elr, get(SPSR_EL1), pc & -_VECTOR_BYTES, 1)
    return None


def _loop_text(context: Diagnosed, first: FirstException) -> str:
    get = context.get
    elr, base = get(ELR_EL1), get(_VBAR_EL1)
    if first.count > 1:
        began = f"took {first.count:,} exceptions without returning from any; the first"
    else:
        began = "takes exceptions without end; the last that is known"
    text = f"it {began} was {_exception_text(context, first)}"
    if first.count > 1 and elr != first.elr and not base <= elr < base + _TABLE_BYTES:
        # Not the vector itself: what the handler does further on.
        esr = get(_ESR_EL1)
        far = get(_FAR_EL1) if exception_class(esr) in _WITH_FAR else None
        last = FirstException(esr, far, elr, get(SPSR_EL1), 0, 1)
        text += f"; the last was {_exception_text(context, last)}"
    return f"{text}; {_vector_text(context)}"


def _exception_text(context: Diagnosed, exception: FirstException) -> str:
    esr, pc = exception.esr, exception.pc
    location = str(context.locate(pc))
    where = location if f"{pc:#x}" in location else f"{location}, pc {pc:#x}"
    text = f"at {where}: {syndrome_words(esr)} (ESR_EL1 {esr:#x}"
    if exception.far is not None:
        text += f", FAR_EL1 {exception.far:#x}"
    text += ")"
    fpen = context.get(_CPACR_EL1) >> _FPEN & 3
    if exception_class(esr) == EC.FP_ASIMD and fpen != _FPEN_ALL:
        text += f", because CPACR_EL1.FPEN is {fpen:#04b} (0b11 enables these registers)"
    return text


def _vector_text(context: Diagnosed) -> str:
    """What is at the vectors that the exceptions are taken to."""
    base = context.get(_VBAR_EL1)
    vector = context.vectors.addresses()[1]  # synchronous, from the present Exception level
    table = f"its exception vectors (VBAR_EL1 {base:#x})"
    try:
        code = context.space.read(vector, 4)
    except AddressError:
        return f"{table} are not in memory"
    if not any(code):
        return f"there is no code at {table}"
    return f"the code at {table} raises an exception itself"


def syndrome_words(esr: int) -> str:
    """A syndrome in one sentence."""
    # The classes of all syndromes take a while to import, and most guests need no diagnosis.
    from guestdbg.arm64.esr import ESR_EL1

    assert ESR_EL1.summary is not None
    return ESR_EL1.summary(esr)
