"""An optional interface: what each instruction of a machine's vCPUs did, recorded as they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from guestdbg.kvm.tracing import FlowTrace

__all__ = ["SupportsInstructionTrace"]


@runtime_checkable
class SupportsInstructionTrace(Protocol):
    """A machine that records its instructions, with the registers and the memory that they changed.

    Records are in the order of time, of all vCPUs together; little-endian, without padding:

    - uint16: bytes of the record, these included; a later version may have more at its end;
    - uint8: a set. 1: an instruction that has retired; with 2: the provider has emulated it. 4: no
      instruction, but an exception to EL1. 8: no instruction, but registers that were written from
      outside, by the provider (the results of a hypervisor call) or by its user, before the vCPU
      ran on. 0: an instruction that has raised an exception; it has no registers and no accesses;
    - uint8: id of the vCPU; uint8: its exception level before the instruction or exception;
    - uint8: registers that follow; uint8: accesses that follow these;
    - uint8: of an exception 0 synchronous, 1 IRQ, 2 FIQ, 3 SError;
    - uint32: the encoding; of an exception ESR_EL1, 0 of an interrupt;
    - uint64: instructions that all vCPUs together had retired, its own included where it retires;
    - uint64: the address of the instruction; of an exception the preferred return address;
    - registers that changed: uint8 number, uint64 value. 0 to 30 are X0 to X30, 31 SP, 32 NZCV as
      in SPSR_EL1, 33 FPSR; 64 to 95 are V0 to V31, with a value of 16 bytes. SP after an exception
      is that of EL1, without a record of its own;
    - accesses in their order: uint8 size in bytes, with 128 added for a write; uint64 address; the
      value in so many bytes. Instead of a size of 0, bytes that were zeroed (DC ZVA): after the
      address is a uint16 with how many, and no value. A store-exclusive that fails makes none;
    - of an exception: uint64 address of its vector.
    """

    def start_instruction_trace(
        self,
        sink: Callable[[bytes], object],
        *,
        start: int | None = None,
        stop: int | None = None,
    ) -> FlowTrace:
        """Record from here on, by all vCPUs that there are.

        Args:
            sink: as that of ``SupportsFlowTrace.start_flow_trace``.
            start: only what has a time after this one.
            stop: only what has a time until this one.

        Raises:
            KvmError: EINVAL: a time is none; EBUSY: another trace of instructions is on, or a vCPU
                runs; ENOMEM.
        """
