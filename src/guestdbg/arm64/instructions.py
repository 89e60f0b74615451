"""What a debugger must know of an A64 instruction: memory, flow, monitors, interrupt masks.

`raw` is the 32-bit instruction word throughout; `read_reg` gives a register's value by its name:
"x0" to "x30", "sp" (the stack pointer in use) and "pc" (the instruction's own address).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from guestdbg.arm64.branches import Branch, BranchKind, branch, without_pac
from guestdbg.arm64.loadstore import PC, SP, MemoryOperand, is_prefetch, memory_operand

__all__ = [
    "Access",
    "Branch",
    "BranchKind",
    "InstructionClass",
    "MemoryOperand",
    "accesses",
    "branch",
    "brk_comment",
    "classify",
    "is_call",
    "is_exclusive",
    "is_load_exclusive",
    "is_prefetch",
    "is_return",
    "is_store_exclusive",
    "loaded_vectors",
    "memory_operand",
    "touches_interrupt_masks",
    "without_pac",
]

ReadReg = Callable[[str], int]

_64 = (1 << 64) - 1


@dataclass(frozen=True)
class Access:
    """One access to memory: `size` bytes from virtual address `address` (tag included).

    `is_read` and `is_write` are both set for atomics. `conditional` says that the write may not
    happen; `element` is the size of one datum inside the access.
    """

    address: int
    size: int
    is_write: bool
    is_read: bool
    conditional: bool = False
    element: int = 0
    unprivileged: bool = False

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + self.size

    def overlaps(self, address: int, length: int) -> bool:
        """Does this access touch any of `length` bytes at `address`?"""
        return self.address < address + length and address < self.end


class InstructionClass(Enum):
    """Classes of instructions, as far as stepping and messages need them."""

    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"
    PREFETCH = "prefetch"
    JUMP = "jump"
    CALL = "call"
    RETURN = "return"
    EXCEPTION_RETURN = "exception return"
    SUPERVISOR_CALL = "svc"
    HYPERVISOR_CALL = "hvc"
    SECURE_CALL = "smc"
    BREAKPOINT = "brk"
    HALT = "hlt"
    WAIT = "wait"
    BARRIER = "barrier"
    SYSTEM = "system"
    OTHER = "other"


def _value(read_reg: ReadReg, number: int) -> int:
    return read_reg(f"x{number}") if number != 31 else 0


def _extended(value: int, option: int) -> int:
    """An index register, extended by UXTW, LSL, SXTW or SXTX."""
    if option & 1:
        return value
    value &= 0xFFFFFFFF
    return value | 0xFFFFFFFF_00000000 if option == 6 and value >> 31 else value


def address_of(operand: MemoryOperand, read_reg: ReadReg) -> int:
    """The virtual address of a decoded operand, tag included."""
    if operand.base == PC:
        base = read_reg("pc")
    elif operand.base == SP:
        base = read_reg("sp")
    else:
        base = read_reg(f"x{operand.base}")
    if operand.authenticated:
        base = without_pac(base)
    address = base + operand.offset
    if operand.index is not None:
        index = _extended(_value(read_reg, operand.index), operand.extend)
        address += index << operand.shift
    return address & _64


def _is_zva(raw: int) -> bool:
    """DC ZVA and DC GZVA, which zero a block of data (DC GVA writes tags alone)."""
    return raw & 0xFFFFFFE0 in (0xD50B7420, 0xD50B7480)


def accesses(raw: int, read_reg: ReadReg, *, zva_size: int = 64) -> tuple[Access, ...]:
    """The memory accesses that the instruction makes with these register values, in order.

    Pairs give two, structures and exclusive pairs one that spans them. Empty for instructions
    that access no data. `zva_size` is the block of DC ZVA in bytes (4 << DCZID_EL0.BS).
    """
    if _is_zva(raw):
        address = _value(read_reg, raw & 31) & ~(zva_size - 1) & _64
        return (Access(address, zva_size, is_write=True, is_read=False, element=zva_size),)
    operand = memory_operand(raw)
    if operand is None:
        return ()
    address = address_of(operand, read_reg)
    return tuple(
        Access(
            (address + i * operand.size) & _64,
            operand.size,
            is_write=operand.writes,
            is_read=operand.reads,
            conditional=operand.conditional,
            element=operand.element or operand.size,
            unprivileged=operand.unprivileged,
        )
        for i in range(operand.count)
    )


def written_registers(raw: int) -> frozenset[int] | None:
    """The numbers of the X registers that a load or store may write, 31 for SP; None: not known."""
    if _is_zva(raw):
        return frozenset()
    operand = memory_operand(raw)
    return None if operand is None else operand.written


def loaded_vectors(raw: int) -> frozenset[int]:
    """The numbers of the V registers that a load writes."""
    operand = memory_operand(raw)
    if operand is None or not operand.simd or not operand.reads:
        return frozenset()
    return frozenset(operand.registers)


def is_exclusive(raw: int) -> bool:
    """A load-exclusive or store-exclusive, single or pair, with or without ordering."""
    operand = memory_operand(raw)
    return operand is not None and operand.exclusive


def is_load_exclusive(raw: int) -> bool:
    """A load-exclusive, which sets the monitor."""
    operand = memory_operand(raw)
    return operand is not None and operand.exclusive and operand.reads


def is_store_exclusive(raw: int) -> bool:
    """A store-exclusive, which needs the monitor to be set, and clears it."""
    operand = memory_operand(raw)
    return operand is not None and operand.exclusive and operand.writes


def is_call(raw: int) -> bool:
    """BL, BLR and the authenticating forms: stepping over one runs until it returns."""
    found = branch(raw)
    return found is not None and found.kind is BranchKind.CALL


def is_return(raw: int) -> bool:
    """RET and the authenticating forms (not ERET)."""
    found = branch(raw)
    return found is not None and found.kind is BranchKind.RETURN


def brk_comment(raw: int) -> int | None:
    """The immediate of a BRK, or None for any other instruction."""
    return raw >> 5 & 0xFFFF if raw & 0xFFE0001F == 0xD4200000 else None


_EXCEPTIONS = {
    0xD4000001: InstructionClass.SUPERVISOR_CALL,
    0xD4000002: InstructionClass.HYPERVISOR_CALL,
    0xD4000003: InstructionClass.SECURE_CALL,
    0xD4200000: InstructionClass.BREAKPOINT,
    0xD4400000: InstructionClass.HALT,
}


def classify(raw: int) -> InstructionClass:
    """The class of an instruction; OTHER only computes, or is unallocated."""
    found = branch(raw)
    if found is not None:
        return InstructionClass(found.kind.value)
    operand = memory_operand(raw)
    if operand is not None:
        if operand.reads and operand.writes:
            return InstructionClass.ATOMIC
        return InstructionClass.LOAD if operand.reads else InstructionClass.STORE
    if _is_zva(raw):
        return InstructionClass.STORE
    if is_prefetch(raw):
        return InstructionClass.PREFETCH
    exception = _EXCEPTIONS.get(raw & 0xFFE0001F)
    if exception is not None:
        return exception
    if raw in (0xD503205F, 0xD503207F) or raw & 0xFFFFFFC0 == 0xD5031000:  # WFE, WFI, WFET, WFIT
        return InstructionClass.WAIT
    if raw & 0xFFFFF01F == 0xD503301F:  # CLREX, DSB, DMB, ISB, SB
        return InstructionClass.BARRIER
    if raw & 0xFFC00000 == 0xD5000000:
        return InstructionClass.SYSTEM
    return InstructionClass.OTHER


def touches_interrupt_masks(raw: int) -> bool:
    """Does the instruction read or write PSTATE.DAIF, or save or restore it?

    If a debugger changes PSTATE.I, these instructions show or undo the change:
    MRS and MSR of DAIF, MSR DAIFSet and DAIFClr, exception generation and exception return.
    """
    if raw & 0xFFDFFFE0 == 0xD51B4220:  # MSR, MRS DAIF
        return True
    if raw & 0xFFFFF0DF == 0xD50340DF:  # MSR DAIFSet, DAIFClr
        return True
    return classify(raw) in (
        InstructionClass.EXCEPTION_RETURN,
        InstructionClass.SUPERVISOR_CALL,
        InstructionClass.HYPERVISOR_CALL,
        InstructionClass.SECURE_CALL,
        InstructionClass.BREAKPOINT,
        InstructionClass.HALT,
    )
