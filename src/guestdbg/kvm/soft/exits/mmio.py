"""Accesses outside the memory slots, which userspace completes (mmio.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import ExitArmNisv, ExitMmio
from guestdbg.kvm.soft.exits.inject_fault import skip_instr
from guestdbg.kvm.soft.register_fields import (
    ISS_CM,
    ISS_FSC,
    ISS_ISV,
    ISS_SF,
    ISS_SSE,
    ISS_WNR,
    U32,
    U64,
)
from guestdbg.kvm.soft.state import PendingMmio
from guestdbg.kvm.soft.vgic import vgic_mmio

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState

_ZEROS = tuple(bytes(n) for n in range(9))


def io_mem_abort(vcpu: VcpuState, esr: int, fault_ipa: int) -> Exit | None:
    """Turn the syndrome of a data abort at guest-physical ``fault_ipa`` into an exit.

    Returns None if the interrupt controller in the kernel has answered the access.

    Raises:
        KvmError: ENOSYS if the syndrome does not describe the access (ISV is 0: a pair,
            write-back, SIMD, an atomic), unless KVM_CAP_ARM_NISV_TO_USER was enabled.
    """
    if not esr & ISS_ISV:
        # The syndrome has no size, register or direction; decoding the instruction is left to
        # userspace, if it asked for that.
        if vcpu.vm.nisv_to_user:
            return ExitArmNisv(esr & (ISS_CM | ISS_WNR | ISS_FSC), fault_ipa)
        raise KvmError(
            errno.ENOSYS,
            "KVM_RUN",
            f"the guest accessed {fault_ipa:#x}, where there is no memory, at pc "
            f"{vcpu.cpu.pc:#x} with an instruction that the syndrome does not describe (a pair, "
            "write-back, SIMD, or atomic access); enable KVM_CAP_ARM_NISV_TO_USER to get an "
            "exit instead",
        )
    is_write = bool(esr & ISS_WNR)
    length = 1 << (esr >> 22 & 3)
    register = esr >> 16 & 31
    value = 0
    if is_write and register != 31:
        value = vcpu.cpu.get_x(register) & (1 << 8 * length) - 1
    pending = PendingMmio(is_write, length, register, bool(esr & ISS_SSE), bool(esr & ISS_SF))
    if vcpu.vm.vgic is not None:
        answer = vgic_mmio.access(vcpu, fault_ipa, length, value if is_write else None)
        if answer is not None:
            _complete(vcpu, pending, answer)
            return None
    vcpu.mmio = pending
    vcpu.mmio_data = None
    data = value.to_bytes(length, "little") if is_write else _ZEROS[length]
    return ExitMmio(fault_ipa, data, length, is_write)


def complete_mmio(vcpu: VcpuState, data: bytes) -> None:
    """Take userspace's answer to a read: exactly as many bytes as the guest reads.

    Raises:
        KvmError: EINVAL if no read is pending, or for another number of bytes.
    """
    pending = vcpu.mmio
    if pending is None or pending.is_write:
        raise KvmError(errno.EINVAL, "complete_mmio", "there is no MMIO read to answer")
    if len(data) != pending.length:
        raise KvmError(
            errno.EINVAL,
            "complete_mmio",
            f"{len(data)} bytes answer a read of {pending.length}",
        )
    vcpu.mmio_data = bytes(data)


def handle_mmio_return(vcpu: VcpuState) -> None:
    """At the next run: write a read's value to its register, and skip the instruction.

    A read that was not answered gives zero.
    """
    pending = vcpu.mmio
    if pending is None:
        return
    vcpu.mmio = None
    _complete(vcpu, pending, int.from_bytes(vcpu.mmio_data or b"", "little"))


def _complete(vcpu: VcpuState, pending: PendingMmio, value: int) -> None:
    """Write what a read gives to its register, and skip the instruction."""
    if not pending.is_write and pending.register != 31:
        if pending.sign_extend and value >> (8 * pending.length - 1):
            value |= U64 << 8 * pending.length & U64
        if not pending.sixty_four:
            value &= U32
        vcpu.cpu.set_x(pending.register, value)
    skip_instr(vcpu)
