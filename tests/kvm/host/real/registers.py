"""One-reg access in every size, register lists, events and states."""

import errno

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitMmio, KvmError, SupportsFinalize, VcpuEvents
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_SVE,
    KVM_CAP_ARM_INJECT_SERROR_ESR,
    KVM_CAP_ARM_SVE,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
    KVM_REG_ARM64,
    KVM_REG_ARM64_SVE,
    KVM_REG_SIZE_U32,
    KVM_REG_SIZE_U64,
    KVM_REG_SIZE_U2048,
)
from guestdbg.kvm.regs import CORE_REGS, core_reg, size_of, sys_reg

from .rig import DONE, RAM, Rig, case, refused


@case
def every_core_register_keeps_a_value_of_its_size() -> None:
    with Rig() as rig:
        vcpu = rig.vcpu
        for name, reg_id in CORE_REGS.items():
            if name == "pstate" or name.startswith(("spsr", "fp")):
                continue
            value = int.from_bytes(bytes(range(1, 17))[: size_of(reg_id)], "little")
            vcpu.set_one_reg(reg_id, value)
            assert vcpu.get_one_reg(reg_id) == value, name
        vcpu.set_one_reg(core_reg("fpcr"), 0x03C00000)
        vcpu.set_one_reg(core_reg("fpsr"), 0x0800009F)
        assert vcpu.get_one_reg(core_reg("fpcr")) == 0x03C00000
        assert vcpu.get_one_reg(core_reg("fpsr")) == 0x0800009F


@case
def the_guest_sees_what_was_set() -> None:
    with Rig(asm.add_reg(0, 0, 1), asm.fmov_to_x(2, 0), *DONE) as rig:
        rig.set("x0", 1 << 63)
        rig.set("x1", 5)
        rig.set("v0", 0x1122334455667788_99AABBCCDDEEFF00)
        rig.vcpu.set_one_reg(sys_reg("CPACR_EL1"), 3 << 20)
        assert isinstance(rig.vcpu.run(), ExitMmio)
        assert rig.get("x0") == 1 << 63 | 5
        assert rig.get("x2") == 0x99AABBCCDDEEFF00
        assert rig.get("v0") == 0x1122334455667788_99AABBCCDDEEFF00


@case
def values_and_ids_that_cannot_be() -> None:
    with Rig() as rig:
        vcpu = rig.vcpu
        with refused(errno.EINVAL, "x0 has 64 bits"):
            vcpu.set_one_reg(core_reg("x0"), 1 << 64)
        with refused(errno.EINVAL, "x0 has 64 bits"):
            vcpu.set_one_reg(core_reg("x0"), -1)
        with refused(errno.EINVAL, "fpsr has 32 bits"):
            vcpu.set_one_reg(core_reg("fpsr"), 1 << 32)
        with refused(errno.EINVAL, "v3 has 128 bits"):
            vcpu.set_one_reg(core_reg("v3"), 1 << 128)
        with refused(errno.EINVAL, "not with its size"):
            vcpu.get_one_reg(core_reg("x0") & ~KVM_REG_SIZE_U64 | KVM_REG_SIZE_U32)
        with refused(errno.EINVAL, "not the id of an arm64 register"):
            vcpu.get_one_reg(0x2030000000100000)
        with refused(errno.ENOENT, "a vCPU has no register S3_7_C15_C15_7"):
            vcpu.get_one_reg(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | 0x0013FFFF)
        with refused(errno.EINVAL, "64 bits"):
            vcpu.get_one_reg(1 << 64)
        with refused(errno.EINVAL, "the widest register has 2048"):
            vcpu.get_one_reg(0x60F0000000100000)
        with refused(errno.EINVAL, "pstate"):
            vcpu.set_one_reg(core_reg("pstate"), 0x3CD)


@case
def an_id_register_cannot_be_changed_at_will() -> None:
    with Rig() as rig:
        value = rig.vcpu.get_one_reg(sys_reg("ID_AA64DFR0_EL1"))
        # No kernel accepts a debug architecture before Armv8.0 (DebugVer 6).
        with refused(errno.EINVAL, "ID_AA64DFR0_EL1"):
            rig.vcpu.set_one_reg(sys_reg("ID_AA64DFR0_EL1"), value & ~0xF)
        assert rig.vcpu.get_one_reg(sys_reg("ID_AA64DFR0_EL1")) == value


@case
def the_register_list_migrates_a_vcpu() -> None:
    """Every register of the list can be read, and written to another vCPU, which then goes on."""
    with Rig(*asm.mov(5, 77), *DONE, *asm.mov(6, 78), *DONE) as source, Rig() as target:
        source.set("x3", 3)
        source.set("v31", 1 << 127 | 31)
        source.vcpu.set_one_reg(sys_reg("DBGBVR1_EL1"), 0x1230)
        source.vcpu.run()
        source.vcpu.immediate_exit = True  # completes the store
        source.vcpu.run()
        ids = source.vcpu.get_reg_list()
        assert len(ids) == len(set(ids)) > 200, len(ids)
        assert set(CORE_REGS.values()) <= set(ids)
        values = {reg_id: source.vcpu.get_one_reg(reg_id) for reg_id in ids}
        target.memory[:] = source.memory[:]
        for reg_id, value in values.items():
            target.vcpu.set_one_reg(reg_id, value)
        exit_ = target.vcpu.run()
        assert isinstance(exit_, ExitMmio), exit_
        names = ("x3", "x5", "x6", "v31")
        assert [target.get(name) for name in names] == [3, 77, 78, 1 << 127 | 31]
        assert target.vcpu.get_one_reg(sys_reg("DBGBVR1_EL1")) == 0x1230


@case
def wide_vector_registers() -> None:
    """2048-bit ids, where the machine has SVE; where not they are no registers."""
    z0 = KVM_REG_ARM64 | KVM_REG_SIZE_U2048 | KVM_REG_ARM64_SVE
    z31 = z0 | 31 << 5
    with Rig() as rig:
        assert isinstance(rig.vcpu, SupportsFinalize)
        with refused(errno.EINVAL, "not initialised with it"):
            rig.vcpu.finalize(KVM_ARM_VCPU_SVE)
        if not rig.vm.check_extension(KVM_CAP_ARM_SVE):
            with refused(errno.ENOENT, "has no register"):
                rig.vcpu.get_one_reg(z0)
            with refused(errno.EINVAL, "has 2048 bits"):
                rig.vcpu.set_one_reg(z31, 1 << 2048)
            return
    with Rig(*DONE, features=(KVM_ARM_VCPU_SVE,)) as rig:
        vcpu = rig.vcpu
        assert isinstance(vcpu, SupportsFinalize)
        with refused(errno.EPERM, "permit"):
            vcpu.get_one_reg(z0)
        vcpu.finalize(KVM_ARM_VCPU_SVE)
        with refused(errno.EPERM, "finalized already"):
            vcpu.finalize(KVM_ARM_VCPU_SVE)
        ids = vcpu.get_reg_list()
        assert z31 in ids
        assert size_of(z31) == 256
        value = int.from_bytes(bytes(range(1, 17)), "little")  # as wide as the shortest vector
        vcpu.set_one_reg(z31, value)
        assert vcpu.get_one_reg(z31) == value
        assert isinstance(vcpu.run(), ExitMmio)


@case
def uninitialised() -> None:
    rig = Rig()
    with refused(errno.ENOEXEC, "KVM_ARM_VCPU_INIT"):
        rig.vcpu.run()
    with refused(errno.ENOEXEC, "KVM_ARM_VCPU_INIT"):
        rig.vcpu.get_one_reg(core_reg("x0"))
    with refused(errno.ENOEXEC, "KVM_ARM_VCPU_INIT"):
        rig.vcpu.get_reg_list()
    rig.__exit__()


@case
def power_states() -> None:
    with Rig(*DONE, features=(KVM_ARM_VCPU_POWER_OFF,)) as rig:
        vcpu = rig.vcpu
        assert vcpu.get_mp_state() == KVM_MP_STATE_STOPPED
        vcpu.set_mp_state(KVM_MP_STATE_RUNNABLE)
        assert vcpu.get_mp_state() == KVM_MP_STATE_RUNNABLE
        assert isinstance(vcpu.run(), ExitMmio)
        with refused(errno.EINVAL, "RUNNABLE (0) and STOPPED (5)"):
            vcpu.set_mp_state(77)


@case
def events() -> None:
    with Rig(*DONE) as rig:
        vcpu = rig.vcpu
        assert not vcpu.get_vcpu_events().serror_pending
        vcpu.set_vcpu_events(VcpuEvents(serror_pending=True))
        assert vcpu.get_vcpu_events().serror_pending
        if not rig.vm.check_extension(KVM_CAP_ARM_INJECT_SERROR_ESR):
            with refused(errno.EINVAL, "no RAS extension"):
                vcpu.set_vcpu_events(VcpuEvents(serror_pending=True, serror_has_esr=True))
        # What waits cannot be taken back: it is not there, or it is added.
        vcpu.set_vcpu_events(VcpuEvents())
        assert vcpu.get_vcpu_events().serror_pending


@case
def init_again_and_wrongly() -> None:
    with Rig(*DONE) as rig:
        vcpu = rig.vcpu
        rig.set("x7", 7)
        vcpu.init(rig.init)
        assert rig.get("pc") == 0
        with refused(errno.EINVAL, "KVM_ARM_PREFERRED_TARGET"):
            vcpu.init(type(rig.init)(rig.init.target + 1, rig.init.features))
        with refused(errno.EINVAL, "1 words instead of 7"):
            vcpu.init(type(rig.init)(rig.init.target, (0,)))
        try:
            vcpu.init(type(rig.init)(rig.init.target, (0, 0, 1, 0, 0, 0, 0)))
        except KvmError as error:
            assert error.errno in (errno.ENOENT, errno.EINVAL), error
        else:
            raise AssertionError("an unknown feature was accepted")
        vcpu.init(rig.init)
        rig.set("pc", RAM)
        assert isinstance(vcpu.run(), ExitMmio)
