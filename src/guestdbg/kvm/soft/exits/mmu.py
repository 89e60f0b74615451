"""Stage 2 aborts: accesses to guest-physical addresses that no memory slot maps (mmu.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.exception_class import EC, EC_MASK, EC_SHIFT
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.exits.inject_fault import (
    inject_dabt,
    inject_pabt,
    inject_size_fault,
    skip_instr,
)
from guestdbg.kvm.soft.exits.mmio import io_mem_abort
from guestdbg.kvm.soft.register_fields import (
    FSC_ACCESS,
    FSC_PERMISSION,
    FSC_TRANSLATION,
    ISS_CM,
    ISS_FSC_TYPE,
    ISS_S1PTW,
)

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState

_IABT_LOW: Final = int(EC.IABT_LOW)


def handle_guest_abort(vcpu: VcpuState, esr: int) -> Exit | None:
    """An instruction or data abort from stage 2 (EC 0x20, 0x24)."""
    cpu = vcpu.cpu
    far = cpu.far_el2
    # HPFAR_EL2.FIPA, [39:4], holds bits [47:12] of the guest-physical address. The offset in the
    # page is that of the virtual address in FAR_EL2.
    page = (cpu.hpfar_el2 & ~0xF) << 8
    is_instruction = esr >> EC_SHIFT & EC_MASK == _IABT_LOW
    if esr & ISS_FSC_TYPE not in (FSC_TRANSLATION, FSC_ACCESS, FSC_PERMISSION):
        raise KvmError(
            errno.EFAULT, "KVM_RUN", f"stage 2 abort with an unexpected fault status: esr {esr:#x}"
        )
    if page >> vcpu.vm.ipa_bits:
        # The address has more bits than this machine's physical addresses: an external abort. With
        # more than any machine could have it is an address size fault.
        address = page | far & 0xFFF
        if page >> vcpu.vm.ipa_limit:
            inject_size_fault(vcpu, address, instruction=is_instruction)
        elif is_instruction:
            inject_pabt(vcpu, address)
        else:
            inject_dabt(vcpu, address)
        return None
    if is_instruction:
        # An instruction fetch from where there is no memory. Userspace cannot emulate that: an
        # instruction abort has no syndrome of the access. The guest takes an external abort.
        inject_pabt(vcpu, far)
        return None
    if esr & ISS_S1PTW:
        # The walk of the guest's own tables met an address without memory. The guest takes an
        # external abort, as for a table in memory that does not respond.
        inject_dabt(vcpu, far)
        return None
    if esr & ISS_CM and not vcpu.vm.has_memory(page):
        # Cache maintenance by address where there is no memory: nothing is cached, so it is done.
        skip_instr(vcpu)
        return None
    return io_mem_abort(vcpu, esr, page | far & 0xFFF)
