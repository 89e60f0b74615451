"""Binary layouts of KVM's structures on arm64 (little-endian, LP64).

Source: ``linux/kvm.h``, ``asm/kvm.h`` and ``asm/ptrace.h`` (Linux 6.1). The tests compare the size
of each and the offset of every field with those headers, by a cross compiler.
"""

from ctypes import (
    LittleEndianStructure,
    LittleEndianUnion,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
)

from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS, KVM_NR_SPSR

_u64x16 = c_uint64 * KVM_ARM_MAX_DBG_REGS


class user_pt_regs(LittleEndianStructure):
    """X0 to X30, SP_EL0, PC and PSTATE."""

    _fields_ = (
        ("regs", c_uint64 * 31),
        ("sp", c_uint64),
        ("pc", c_uint64),
        ("pstate", c_uint64),
    )


class user_fpsimd_state(LittleEndianStructure):
    """V0 to V31 (each as two 64-bit halves, lower first; ctypes has no 128-bit integer)."""

    _fields_ = (
        ("vregs", c_uint64 * 2 * 32),
        ("fpsr", c_uint32),
        ("fpcr", c_uint32),
        ("__reserved", c_uint32 * 2),
    )


class kvm_regs(LittleEndianStructure):
    """The core registers: a core register's id has its offset in here, divided by four."""

    _fields_ = (
        ("regs", user_pt_regs),
        ("sp_el1", c_uint64),
        ("elr_el1", c_uint64),
        ("spsr", c_uint64 * KVM_NR_SPSR),
        ("_align", c_uint64),  # the 128-bit vregs are 16-byte aligned
        ("fp_regs", user_fpsimd_state),
    )


class kvm_userspace_memory_region(LittleEndianStructure):
    """Of KVM_SET_USER_MEMORY_REGION."""

    _fields_ = (
        ("slot", c_uint32),
        ("flags", c_uint32),
        ("guest_phys_addr", c_uint64),
        ("memory_size", c_uint64),
        ("userspace_addr", c_uint64),
    )


class kvm_dirty_log(LittleEndianStructure):
    """Of KVM_GET_DIRTY_LOG. ``dirty_bitmap`` is the address of the bitmap."""

    _fields_ = (("slot", c_uint32), ("padding1", c_uint32), ("dirty_bitmap", c_uint64))


class kvm_vcpu_init(LittleEndianStructure):
    """Of KVM_ARM_VCPU_INIT and KVM_ARM_PREFERRED_TARGET."""

    _fields_ = (("target", c_uint32), ("features", c_uint32 * 7))


class kvm_guest_debug_arch(LittleEndianStructure):
    """A set of debug registers, of KVM_SET_GUEST_DEBUG."""

    _fields_ = (
        ("dbg_bcr", _u64x16),
        ("dbg_bvr", _u64x16),
        ("dbg_wcr", _u64x16),
        ("dbg_wvr", _u64x16),
    )


class kvm_guest_debug(LittleEndianStructure):
    """Of KVM_SET_GUEST_DEBUG."""

    _fields_ = (("control", c_uint32), ("pad", c_uint32), ("arch", kvm_guest_debug_arch))


class kvm_debug_exit_arch(LittleEndianStructure):
    """Of KVM_EXIT_DEBUG."""

    _fields_ = (("hsr", c_uint32), ("hsr_high", c_uint32), ("far", c_uint64))


class kvm_one_reg(LittleEndianStructure):
    """Of KVM_GET_ONE_REG and KVM_SET_ONE_REG."""

    _fields_ = (("id", c_uint64), ("addr", c_uint64))


class _events_exception(LittleEndianStructure):
    _fields_ = (
        ("serror_pending", c_uint8),
        ("serror_has_esr", c_uint8),
        ("ext_dabt_pending", c_uint8),
        ("pad", c_uint8 * 5),
        ("serror_esr", c_uint64),
    )


class kvm_vcpu_events(LittleEndianStructure):
    """Of KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS."""

    _fields_ = (("exception", _events_exception), ("reserved", c_uint32 * 12))


class kvm_mp_state(LittleEndianStructure):
    """Of KVM_GET_MP_STATE and KVM_SET_MP_STATE."""

    _fields_ = (("mp_state", c_uint32),)


class kvm_irq_level(LittleEndianStructure):
    """Of KVM_IRQ_LINE."""

    _fields_ = (("irq", c_uint32), ("level", c_uint32))


class kvm_create_device(LittleEndianStructure):
    """Of KVM_CREATE_DEVICE."""

    _fields_ = (("type", c_uint32), ("fd", c_uint32), ("flags", c_uint32))


class kvm_device_attr(LittleEndianStructure):
    """Of KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR."""

    _fields_ = (
        ("flags", c_uint32),
        ("group", c_uint32),
        ("attr", c_uint64),
        ("addr", c_uint64),
    )


class kvm_enable_cap(LittleEndianStructure):
    """Of KVM_ENABLE_CAP."""

    _fields_ = (
        ("cap", c_uint32),
        ("flags", c_uint32),
        ("args", c_uint64 * 4),
        ("pad", c_uint8 * 64),
    )


class _run_hw(LittleEndianStructure):
    _fields_ = (("hardware_exit_reason", c_uint64),)


class _run_fail_entry(LittleEndianStructure):
    _fields_ = (("hardware_entry_failure_reason", c_uint64), ("cpu", c_uint32))


class _run_debug(LittleEndianStructure):
    _fields_ = (("arch", kvm_debug_exit_arch),)


class _run_mmio(LittleEndianStructure):
    _fields_ = (
        ("phys_addr", c_uint64),
        ("data", c_uint8 * 8),
        ("len", c_uint32),
        ("is_write", c_uint8),
    )


class _run_internal(LittleEndianStructure):
    _fields_ = (("suberror", c_uint32), ("ndata", c_uint32), ("data", c_uint64 * 16))


class _run_system_event(LittleEndianStructure):
    _fields_ = (("type", c_uint32), ("ndata", c_uint32), ("data", c_uint64 * 16))


class _run_arm_nisv(LittleEndianStructure):
    _fields_ = (("esr_iss", c_uint64), ("fault_ipa", c_uint64))


class _run_exit(LittleEndianUnion):
    _fields_ = (
        ("hw", _run_hw),
        ("fail_entry", _run_fail_entry),
        ("debug", _run_debug),
        ("mmio", _run_mmio),
        ("internal", _run_internal),
        ("system_event", _run_system_event),
        ("arm_nisv", _run_arm_nisv),
        ("padding", c_uint8 * 256),
    )


class kvm_sync_regs(LittleEndianStructure):
    """Shared registers: on arm64 only the interrupt line levels of devices in the kernel."""

    _fields_ = (("device_irq_level", c_uint64),)


class _run_sync(LittleEndianUnion):
    _fields_ = (("regs", kvm_sync_regs), ("padding", c_uint8 * 2048))


class kvm_run(LittleEndianStructure):
    """The page that the kernel shares; its unnamed union of exit data is named ``exit`` here."""

    _fields_ = (
        ("request_interrupt_window", c_uint8),
        ("immediate_exit", c_uint8),
        ("padding1", c_uint8 * 6),
        ("exit_reason", c_uint32),
        ("ready_for_interrupt_injection", c_uint8),
        ("if_flag", c_uint8),
        ("flags", c_uint16),
        ("cr8", c_uint64),
        ("apic_base", c_uint64),
        ("exit", _run_exit),
        ("kvm_valid_regs", c_uint64),
        ("kvm_dirty_regs", c_uint64),
        ("s", _run_sync),
    )
