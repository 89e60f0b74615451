"""Regions that overlap, descriptors that run out, a device that is taken away."""

import errno
import mmap
import os
import resource

from guestdbg.kvm import GuestDebug, KvmError, open_kvm
from guestdbg.kvm.constants import KVM_CAP_ARM_VM_IPA_SIZE, KVM_CAP_NR_MEMSLOTS
from guestdbg.kvm.host.vm import HostVm
from guestdbg.kvm.regs import core_reg

from .rig import RAM, SPIN, Rig, case, descriptors, refused


@case
def regions() -> None:
    with Rig(SPIN) as rig:
        vm = rig.vm
        small, large = mmap.mmap(-1, 0x1000), mmap.mmap(-1, 0x4000)
        with refused(errno.EEXIST, "overlap slot 0, 0x100000 bytes at 0x40000000"):
            vm.set_user_memory_region(1, RAM + 0xFF000, large)
        with refused(errno.EINVAL, "multiples"):
            vm.set_user_memory_region(1, 0x50000800, small)
        with refused(errno.EINVAL, "slot 1 is not in use"):
            vm.set_user_memory_region(1, 0x50000000, None)
        with refused(errno.EINVAL, "KVM_CAP_NR_MEMSLOTS"):
            vm.set_user_memory_region(vm.check_extension(KVM_CAP_NR_MEMSLOTS), 0x50000000, small)
        with refused(errno.EINVAL, "flags"):
            vm.set_user_memory_region(1, 0x50000000, small, 1 << 20)
        with refused(errno.EFAULT, "beyond the machine's physical addresses"):
            vm.set_user_memory_region(1, 1 << 40, small)
        vm.set_user_memory_region(1, 0x50000000, small)
        with refused(errno.EINVAL, "is 0x1000 bytes and cannot become 0x4000"):
            vm.set_user_memory_region(1, 0x50000000, large)
        vm.set_user_memory_region(1, 0x60000000, small)  # it moves
        vm.set_user_memory_region(2, 0x50000000, large)
        vm.set_user_memory_region(1, 0, None)
        vm.set_user_memory_region(2, 0, None)
        small.close()
        large.close()


@case
def machine_types() -> None:
    with open_kvm("host") as kvm:
        limit = kvm.check_extension(KVM_CAP_ARM_VM_IPA_SIZE)
        kvm.create_vm(limit).close()
        kvm.create_vm(32).close()
        for wrong in (limit + 1, 31, 1 << 20):
            with refused(errno.EINVAL, f"32 to {limit}"):
                kvm.create_vm(wrong)
        with refused(errno.EINVAL, "unknown machine type"):
            kvm.create_vm(-1)


@case
def vcpus_that_cannot_be() -> None:
    with Rig() as rig:
        with refused(errno.EEXIST, "there is a vCPU 0 already"):
            rig.vm.create_vcpu(0)
        with refused(errno.EINVAL, "KVM_CAP_MAX_VCPUS"):
            rig.vm.create_vcpu(5000)
        assert [vcpu.id for vcpu in rig.vm.vcpus] == [0]


@case
def control_flags() -> None:
    with Rig() as rig:
        with refused(errno.EINVAL, "it knows 0x30003"):
            rig.vcpu.set_guest_debug(GuestDebug(1 | 4))
        # More registers than the processor has are taken, and the rest has no effect.
        rig.vcpu.set_guest_debug(GuestDebug(1 | 1 << 17, (0x1E7,) * 16, (RAM,) * 16))
        with refused(errno.EINVAL, "17 registers; the structure holds 16"):
            GuestDebug(1 | 1 << 17, (0,) * 17)


@case
def capabilities_and_lines_that_are_not_there() -> None:
    with Rig() as rig:
        assert rig.kvm.check_extension(99999) == 0
        assert rig.kvm.check_extension(-1) == 0
        with refused(errno.EINVAL, "cannot be enabled"):
            rig.vm.enable_cap(99999)
        with refused(errno.EINVAL, "no such vCPU or number"):
            rig.vm.irq_line(9 << 16, 1)
        with refused(errno.ENXIO, "need one"):
            rig.vm.irq_line(1 << 24 | 32, 1)
        with refused(errno.ENODEV, "no device of type 99"):
            rig.vm.create_device(99)
        try:
            rig.vm.get_device_attr(7, 7, 8)
        except KvmError as error:
            # EINVAL from kernels whose machines have no attributes at all.
            assert error.errno in (errno.ENXIO, errno.EINVAL), error
            assert "the machine has no attribute 0x7 in group 7" in str(error), error
        else:
            raise AssertionError("an unknown attribute was read")
        assert not rig.vm.has_device_attr(7, 7)
        assert not rig.vcpu.has_device_attr(77, 0)
        with refused(errno.ENXIO, "vCPU 0 has no attribute 0x0 in group 77"):
            rig.vcpu.set_device_attr(77, 0, b"")


@case
def descriptors_run_out() -> None:
    """Whichever call it is that gets none: the error says so, and what was opened is closed."""
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    explained = 0
    for room in range(7):
        highest = max(int(entry.split()[0]) for entry in before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + room, hard))
        try:
            with Rig(vcpus=2) as rig:
                rig.vcpu.get_one_reg(core_reg("x0"))
        except KvmError as error:
            assert error.errno in (errno.EMFILE, errno.ENFILE), error
            assert "ulimit -n" in str(error), error
            explained += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        import gc

        gc.collect()
    assert explained > 3, explained


@case
def the_device_is_taken_away() -> None:
    """Its descriptor becomes something else's: every call says so, nothing hangs or crashes."""
    with Rig(SPIN) as rig:
        vm = rig.vm
        assert isinstance(vm, HostVm)
        other = os.open("/dev/null", os.O_RDWR)
        vcpu_fd, vm_fd = rig.vcpu._fd, vm._fd  # type: ignore[attr-defined]
        os.dup2(other, vcpu_fd)
        os.dup2(other, vm_fd)
        os.close(other)
        for call in (
            rig.vcpu.run,
            rig.vcpu.get_reg_list,
            lambda: rig.get("pc"),
            lambda: rig.set("pc", 0),
            lambda: rig.vcpu.set_guest_debug(GuestDebug(1)),
            lambda: vm.create_vcpu(1),
            lambda: vm.set_user_memory_region(0, 0, None),
        ):
            with refused(errno.ENOTTY, "does not know the call"):
                call()
