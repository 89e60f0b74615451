"""The guest's trapped accesses to system registers (sys_regs.c: kvm_handle_sys_reg).

Most system registers are in the processor and are never trapped. These are: the debug registers and
the OS Lock, which EL2 keeps itself, and those whose accesses EL2 must see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.regs import name_of, sys_reg_id
from guestdbg.kvm.soft.debug.debug_regs import DEBUG_TRAPS, wi
from guestdbg.kvm.soft.exits.inject_fault import inject_undef, skip_instr
from guestdbg.kvm.soft.register_fields import HCR_TVM, SCTLR_C, SCTLR_M
from guestdbg.kvm.soft.registers.sys_regs import ID_REGISTERS, encodings, get_sys_reg
from guestdbg.kvm.soft.vgic import vgic, vgic_mmio_v3

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.debug.debug_regs import Read, Write
    from guestdbg.kvm.soft.state import VcpuState

#: MSR (register); with bit 21 set MRS. The register's encoding is in bits 20 to 5.
_MSR: Final = 0xD500_0000
_MMU_AND_CACHES: Final = SCTLR_M | SCTLR_C


_SCTLR: Final = SYSREGS["SCTLR_EL1"].encoding

#: Registers whose writes HCR_EL2.TVM traps.
_MEMORY_CONTROLS: Final = encodings(
    (
        "SCTLR_EL1",
        "TTBR0_EL1",
        "TTBR1_EL1",
        "TCR_EL1",
        "ESR_EL1",
        "FAR_EL1",
        "AFSR0_EL1",
        "AFSR1_EL1",
        "MAIR_EL1",
        "AMAIR_EL1",
        "CONTEXTIDR_EL1",
    )
)
#: Those of them that a trace records, with their numbers in its records.
_CONTEXTS: Final = {
    SYSREGS["CONTEXTIDR_EL1"].encoding: 0,
    SYSREGS["TTBR0_EL1"].encoding: 1,
}
#: DC ISW, CSW and CISW, which HCR_EL2.TSW traps.
_BY_SET_AND_WAY: Final = frozenset(encode16(1, 0, 7, crm, 2) for crm in (6, 10, 14))

#: Registers of RAS that HCR_EL2.TERR traps, and that can be written.
_ERROR_RECORDS: Final = encodings(
    (
        "ERRSELR_EL1",
        "ERXCTLR_EL1",
        "ERXSTATUS_EL1",
        "ERXADDR_EL1",
        "ERXMISC0_EL1",
        "ERXMISC1_EL1",
    )
)


def _caches_on(vcpu: VcpuState) -> bool:
    return vcpu.cpu.get_sysreg(_SCTLR) & _MMU_AND_CACHES == _MMU_AND_CACHES


def _write_memory_control(encoding: int) -> Write:
    """A write that HCR_EL2.TVM traps, to a register that controls translation.

    The kernel must know when the guest turns its caches on, to clean what was written to memory
    without them. After that the trap is not needed, and the guest writes the registers itself.
    """
    context = _CONTEXTS.get(encoding)

    def write(vcpu: VcpuState, value: int) -> None:
        cpu = vcpu.cpu
        if context is not None and vcpu.vm.flow_buffer is not None:
            cpu.context_written(context, value)
        cpu.set_sysreg(encoding, value)
        if _caches_on(vcpu):
            cpu.hcr_el2 &= ~HCR_TVM

    return write


def _clean_by_set_and_way(vcpu: VcpuState, value: int) -> None:
    # A guest that does this is about to turn its caches off or on, so TVM traps again to notice it.
    # Nothing must be cleaned here: the processor has no caches.
    hcr = vcpu.cpu.hcr_el2
    if not hcr & HCR_TVM:
        vcpu.cpu.hcr_el2 = hcr | HCR_TVM


def _read_zero(vcpu: VcpuState) -> int:
    return 0


def _read_processor(encoding: int) -> Read:
    return lambda vcpu: vcpu.cpu.get_sysreg(encoding)


def _read_id_register(encoding: int) -> Read:
    return lambda vcpu: get_sys_reg(vcpu, encoding)


def _send_sgi(vcpu: VcpuState, value: int) -> None:
    """ICC_SGI1R_EL1: SGIs of either group."""
    vgic_mmio_v3.dispatch_sgi(vcpu, value, allow_group1=True)


def _send_group0_sgi(vcpu: VcpuState, value: int) -> None:
    """ICC_SGI0R_EL1, and ICC_ASGI1R_EL1, because there is one Security state."""
    vgic_mmio_v3.dispatch_sgi(vcpu, value, allow_group1=False)


#: Trapped accesses: encoding -> (read, write); None: the access is UNDEFINED.
TRAPS: Final[dict[int, tuple[Read | None, Write | None]]] = {
    **DEBUG_TRAPS,
    # HCR_EL2.TVM, TSW, TACR, TID3.
    **{encoding: (None, _write_memory_control(encoding)) for encoding in _MEMORY_CONTROLS},
    **dict.fromkeys(_BY_SET_AND_WAY, (None, _clean_by_set_and_way)),
    SYSREGS["ACTLR_EL1"].encoding: (_read_processor(SYSREGS["ACTLR_EL1"].encoding), wi),
    **{encoding: (_read_id_register(encoding), None) for encoding in ID_REGISTERS},
    # HCR_EL2.TERR: the guest sees no error records (trap_raz_wi).
    **dict.fromkeys(_ERROR_RECORDS, (_read_zero, wi)),
    SYSREGS["ERRIDR_EL1"].encoding: (_read_zero, None),
    SYSREGS["ERXFR_EL1"].encoding: (_read_zero, None),
    # Trapped of a machine with a GICv3: ICC_SGI1R_EL1, ASGI1R, SGI0R; ICC_DIR_EL1.
    encode16(3, 0, 12, 11, 5): (None, _send_sgi),
    encode16(3, 0, 12, 11, 6): (None, _send_group0_sgi),
    encode16(3, 0, 12, 11, 7): (None, _send_group0_sgi),
    encode16(3, 0, 12, 11, 1): (None, vgic.deactivate_irq),
}


def handle_sys_reg(vcpu: VcpuState, esr: int) -> Exit | None:
    """A trapped MRS, MSR or SYS (EC 0x18): emulated, or UNDEFINED to the guest."""
    # ISS: Op0 [21:20], Op2 [19:17], Op1 [16:14], CRn [13:10], Rt [9:5], CRm [4:1], read [0].
    encoding = (
        (esr >> 20 & 3) << 14
        | (esr >> 14 & 7) << 11
        | (esr >> 10 & 15) << 7
        | (esr >> 1 & 15) << 3
        | (esr >> 17 & 7)
    )
    rt = esr >> 5 & 31
    is_read = esr & 1
    read, write = TRAPS.get(encoding, (None, None))
    if is_read and read is not None:
        value = read(vcpu)
        if rt != 31:
            vcpu.cpu.set_x(rt, value)
    elif not is_read and write is not None:
        write(vcpu, vcpu.cpu.get_x(rt) if rt != 31 else 0)
    else:
        what = "read" if is_read else "write"
        name = name_of(sys_reg_id(encoding))
        instruction = _MSR | is_read << 21 | encoding << 5 | rt
        vcpu.vm.undefined(vcpu, instruction, vcpu.cpu.pc, f"a {what} of {name}")
        inject_undef(vcpu)
        return None
    skip_instr(vcpu)
    return None
