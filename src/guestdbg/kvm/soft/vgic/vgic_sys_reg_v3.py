"""The GICv3's CPU interface, as userspace accesses it (vgic-sys-reg-v3.c).

The attribute's number has the encoding of an ICC_*_EL1 register, as in one-reg ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.soft.state import VcpuState
from guestdbg.kvm.soft.vgic import vgic_v3

Get = Callable[[VcpuState], int]
#: Returns whether the value is accepted.
Set = Callable[[VcpuState, int], bool]

_ICH_VTR: Final = SYSREGS["ICH_VTR_EL2"].encoding
_SEIS_A3V: Final = 3 << 14
_SRE: Final = 7  # DIB, DFB, SRE: system registers only, no bypass


def _seis_a3v(vcpu: VcpuState) -> int:
    """SEIS and A3V of ICC_CTLR_EL1, which are the processor's (ICH_VTR_EL2)."""
    vtr = vcpu.cpu.get_sysreg(_ICH_VTR)
    return (vtr >> 22 & 1) << 14 | (vtr >> 21 & 1) << 15


def _get_ctlr(vcpu: VcpuState) -> int:
    gic = vcpu.vgic_cpu
    assert gic is not None
    vmcr = vgic_v3.get_vmcr(vcpu)
    bits = gic.num_pri_bits - 1 << 8 | gic.num_id_bits << 11
    return vmcr.cbpr | vmcr.eoim << 1 | bits | _seis_a3v(vcpu)


def _set_ctlr(vcpu: VcpuState, value: int) -> bool:
    """Userspace may lower the numbers of bits, which a machine that is migrated had elsewhere."""
    gic = vcpu.vgic_cpu
    assert gic is not None
    pri_bits = (value >> 8 & 7) + 1
    id_bits = value >> 11 & 7
    if pri_bits > gic.num_pri_bits or id_bits > gic.num_id_bits:
        return False
    if value & _SEIS_A3V != _seis_a3v(vcpu):
        return False
    gic.num_pri_bits = pri_bits
    gic.num_id_bits = id_bits
    vmcr = vgic_v3.get_vmcr(vcpu)
    vgic_v3.set_vmcr(vcpu, vmcr._replace(cbpr=value & 1, eoim=value >> 1 & 1))
    return True


def _get_bpr1(vcpu: VcpuState) -> int:
    vmcr = vgic_v3.get_vmcr(vcpu)
    return min(vmcr.bpr + 1, 7) if vmcr.cbpr else vmcr.abpr


def _set_bpr1(vcpu: VcpuState, value: int) -> bool:
    vmcr = vgic_v3.get_vmcr(vcpu)
    if not vmcr.cbpr:
        vgic_v3.set_vmcr(vcpu, vmcr._replace(abpr=value & 7))
    return True


def _field(name: str, mask: int) -> tuple[Get, Set]:
    """A register that is one field of ICH_VMCR_EL2."""

    def get(vcpu: VcpuState) -> int:
        value: int = getattr(vgic_v3.get_vmcr(vcpu), name)
        return value

    def set_(vcpu: VcpuState, value: int) -> bool:
        vgic_v3.set_vmcr(vcpu, vgic_v3.get_vmcr(vcpu)._replace(**{name: value & mask}))
        return True

    return get, set_


def _apr(encoding: int) -> tuple[Get, Set]:
    def get(vcpu: VcpuState) -> int:
        return vcpu.cpu.get_sysreg(encoding)

    def set_(vcpu: VcpuState, value: int) -> bool:
        vcpu.cpu.set_sysreg(encoding, value & 0xFFFF_FFFF)
        return True

    return get, set_


def _missing_apr() -> tuple[Get, Set]:
    """ICC_AP<m>R1 to 3: with 5 bits of priority there are none."""

    def get(vcpu: VcpuState) -> int:
        raise ValueError("not implemented")

    return get, lambda vcpu, value: False


#: Encoding -> (get, set). A ``get`` that raises ValueError: the register exists, but not here.
ICC_REGS: Final[dict[int, tuple[Get, Set]]] = {
    encode16(3, 0, 4, 6, 0): _field("pmr", 0xFF),  # ICC_PMR_EL1
    encode16(3, 0, 12, 8, 3): _field("bpr", 7),  # ICC_BPR0_EL1
    encode16(3, 0, 12, 8, 4): _apr(vgic_v3.ICH_AP0R0),
    **{encode16(3, 0, 12, 8, 4 + n): _missing_apr() for n in (1, 2, 3)},
    encode16(3, 0, 12, 9, 0): _apr(vgic_v3.ICH_AP1R0),
    **{encode16(3, 0, 12, 9, n): _missing_apr() for n in (1, 2, 3)},
    encode16(3, 0, 12, 12, 3): (_get_bpr1, _set_bpr1),  # ICC_BPR1_EL1
    encode16(3, 0, 12, 12, 4): (_get_ctlr, _set_ctlr),  # ICC_CTLR_EL1
    encode16(3, 0, 12, 12, 5): (lambda vcpu: _SRE, lambda vcpu, value: bool(value & 1)),
    encode16(3, 0, 12, 12, 6): _field("grpen0", 1),  # ICC_IGRPEN0_EL1
    encode16(3, 0, 12, 12, 7): _field("grpen1", 1),  # ICC_IGRPEN1_EL1
}
