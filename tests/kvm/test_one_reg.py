"""KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST."""

import errno
import random

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import KvmError
from guestdbg.kvm.constants import (
    KVM_REG_ARM_PTIMER_CNT,
    KVM_REG_ARM_TIMER_CNT,
    KVM_REG_ARM_TIMER_CVAL,
)
from guestdbg.kvm.regs import (
    CORE_REGS,
    UnknownOneReg,
    core_reg,
    name_of,
    size_of,
    sys_reg,
    sys_reg_id,
)

from .support import PC, PSTATE, RAM, Guest


def test_every_core_register_holds_what_was_written() -> None:
    vcpu = Guest().vcpu
    chance = random.Random(7)
    values = {}
    for name, reg_id in CORE_REGS.items():
        value = chance.getrandbits(8 * size_of(reg_id))
        if name == "pstate":
            value = 0x600003C4
        elif name == "fpcr":
            value &= 0x07C00000
        elif name == "fpsr":
            value &= 0xF800009F
        elif name.startswith("spsr"):
            value &= 0xF03003CF
        values[reg_id] = value
        vcpu.set_one_reg(reg_id, value)
    for reg_id, value in values.items():
        assert vcpu.get_one_reg(reg_id) == value, name_of(reg_id)


def test_core_register_ids_of_the_table() -> None:
    """As on a real kernel: 0x6030000000100000 | offset/4; pc at offset 256."""
    assert core_reg("x0") == 0x6030000000100000
    assert core_reg("pc") == 0x6030000000100000 | 256 // 4
    assert core_reg("X30") == 0x6030000000100000 | 240 // 4


def test_sp_is_sp_el0() -> None:
    """regs.sp is SP_EL0 and sp_el1 SP_EL1, whichever the guest uses."""
    guest = Guest(0x910003E0, asm.b(0))  # mov x0, sp
    vcpu = guest.vcpu
    vcpu.set_one_reg(core_reg("sp"), 0x1000)
    vcpu.set_one_reg(core_reg("sp_el1"), 0x2000)
    for pstate, sp in ((0x3C5, 0x2000), (0x3C4, 0x1000), (0x3C0, 0x1000)):
        vcpu.set_one_reg(PSTATE, pstate)
        vcpu.set_one_reg(PC, RAM)
        guest.run(20)
        assert guest.x(0) == sp
        assert vcpu.get_one_reg(core_reg("sp")) == 0x1000
        assert vcpu.get_one_reg(core_reg("sp_el1")) == 0x2000


def test_reset_state() -> None:
    guest = Guest()
    guest.vcpu.init(guest.vm.preferred_target())
    assert (guest.pc, guest.pstate) == (0, 0x3C5)
    assert guest.reg("SCTLR_EL1") & 1 == 0
    assert guest.reg("MPIDR_EL1") == 0x80000000
    assert guest.reg("OSLSR_EL1") == 8


def test_list_is_readable_and_writes_back() -> None:
    """Everything that is listed can be saved and restored."""
    guest = Guest()
    ids = guest.vcpu.get_reg_list()
    assert len(ids) == len(set(ids)) > 200
    for reg_id in ids:
        guest.vcpu.set_one_reg(reg_id, guest.vcpu.get_one_reg(reg_id))
    for name in ("SCTLR_EL1", "DBGBVR15_EL1", "MDSCR_EL1", "ID_AA64DFR0_EL1", "TPIDR_EL0"):
        assert sys_reg(name) in ids
    for name in ("OSLAR_EL1", "MDRAR_EL1", "HCR_EL2"):
        assert sys_reg(name) not in ids


def test_unknown_registers_are_enoent_and_impossible_ids_einval() -> None:
    vcpu = Guest().vcpu
    cases = {
        sys_reg("HCR_EL2"): errno.ENOENT,
        sys_reg_id(0xFFFF): errno.ENOENT,
        core_reg("x0") | 0xFFFF: errno.ENOENT,
        0: errno.EINVAL,
        1 << 63: errno.EINVAL,
        core_reg("pc") + 1: errno.EINVAL,
        core_reg("fpcr") ^ 0x0010000000000000: errno.EINVAL,
    }
    for reg_id, code in cases.items():
        for call in (
            lambda reg_id=reg_id: vcpu.get_one_reg(reg_id),
            lambda reg_id=reg_id: vcpu.set_one_reg(reg_id, 0),
        ):
            with pytest.raises(KvmError) as error:
                call()
            assert error.value.errno == code, hex(reg_id)


def test_values_that_do_not_fit_are_einval() -> None:
    vcpu = Guest().vcpu
    cases = {
        core_reg("x0"): 1 << 64,
        core_reg("fpcr"): 1 << 32,
        core_reg("v0"): 1 << 128,
        core_reg("pc"): -1,
        PSTATE: 0x3C9,  # EL2h
        sys_reg("SCTLR_EL1"): 1 << 64,
        sys_reg("ID_AA64DFR0_EL1"): 0,
        sys_reg("MIDR_EL1"): 1,
        sys_reg("OSLSR_EL1"): 0,
    }
    for reg_id, value in cases.items():
        before = vcpu.get_one_reg(reg_id)
        with pytest.raises(KvmError) as error:
            vcpu.set_one_reg(reg_id, value)
        assert error.value.errno == errno.EINVAL
        assert name_of(reg_id) in str(error.value) or "pstate" in str(error.value)
        assert vcpu.get_one_reg(reg_id) == before


def test_os_lock_through_one_reg() -> None:
    guest = Guest()
    guest.set_reg("OSLSR_EL1", 0xA)
    assert guest.vcpu.debug_state.os_lock
    assert guest.reg("OSLSR_EL1") == 0xA


def test_exchanged_timer_ids_are_right_by_name() -> None:
    """The ABI exchanged the ids of CVAL and CNT; by name each is the register of that name."""
    guest = Guest(asm.mrs(2, "CNTVCT_EL0"), asm.mrs(3, "CNTV_CVAL_EL0"), asm.b(0))
    assert sys_reg("CNTV_CVAL_EL0") == KVM_REG_ARM_TIMER_CVAL
    assert sys_reg("CNTVCT_EL0") == KVM_REG_ARM_TIMER_CNT
    assert name_of(KVM_REG_ARM_TIMER_CNT) == "CNTVCT_EL0"
    guest.set_reg("CNTV_CVAL_EL0", 0x123456)
    guest.set_reg("CNTVCT_EL0", 1 << 40)
    guest.run(20)
    assert 1 << 40 <= guest.x(2) < (1 << 40) + 100
    assert guest.x(3) == 0x123456
    assert guest.vcpu.get_one_reg(KVM_REG_ARM_PTIMER_CNT) < 1000


def test_names() -> None:
    assert name_of(core_reg("spsr[0]")) == "spsr[0]"
    assert name_of(sys_reg("sctlr_el1")) == "SCTLR_EL1"
    assert name_of(sys_reg_id(3 << 14 | 3 << 11 | 15 << 7)) == "S3_3_C15_C0_0"
    assert name_of(0x1234) == "0x1234"
    with pytest.raises(UnknownOneReg, match="spsr"):
        core_reg("r0")
    with pytest.raises(UnknownOneReg, match="SCTLR_EL1"):
        sys_reg("SCTLR")


def test_register_fields_equal_the_layouts() -> None:
    """The constants that every entry uses, compared with the register layouts."""
    from guestdbg.arm64.registers import by_name
    from guestdbg.kvm.soft import register_fields

    for register, prefix, names in (
        ("mdcr_el2", "MDCR", ("TPMCR", "TPM", "TDE", "TDA", "TDOSA", "TDRA")),
        ("mdscr_el1", "MDSCR", ("SS", "KDE", "MDE")),
        (
            "hcr_el2",
            "HCR",
            ("VM", "SWIO", "PTW", "FMO", "IMO", "AMO", "VF", "VI", "VSE", "FB", "TWI", "TSC")
            + ("TIDCP", "RW"),
        ),
    ):
        layout = by_name(register)
        for name in names:
            assert layout.encode(**{name: 1}) == getattr(register_fields, f"{prefix}_{name}"), name
