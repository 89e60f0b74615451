"""KVM_SET_USER_MEMORY_REGION, and the life of machines and their memory."""

import errno
import gc
import mmap
import weakref

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitMmio, KvmError, open_kvm
from guestdbg.kvm.constants import KVM_MEM_READONLY

from .support import RAM, RAM_SIZE, Guest

PAGE = 4096


def refused(guest: Guest, *arguments: object) -> tuple[int | None, str]:
    with pytest.raises(KvmError) as error:
        guest.vm.set_user_memory_region(*arguments)  # type: ignore[arg-type]
    assert error.value.call == "KVM_SET_USER_MEMORY_REGION"
    return error.value.errno, error.value.text


@pytest.mark.parametrize(("slot", "start"), [(1, 0x123), (1, RAM), (1, 1 << 52), (0, 0)], ids=hex)
def test_a_buffer_that_was_refused_can_be_closed(slot: int, start: int) -> None:
    """Also while the error is kept, and its traceback with it."""
    guest = Guest()
    memory = mmap.mmap(-1, PAGE)
    with pytest.raises(KvmError) as error:
        guest.vm.set_user_memory_region(slot, start, memory)
    assert error.tb is not None
    memory.close()


def test_errors_of_bad_regions_say_what_would_be_right() -> None:
    guest = Guest()
    page = bytearray(PAGE)
    assert refused(guest, 1, 0x123, page)[0] == errno.EINVAL
    assert refused(guest, 1, 0, bytearray(100)) == (
        errno.EINVAL,
        "0x64 bytes at 0x0: both must be multiples of the page size, 0x1000, and there must be at "
        "least one page",
    )
    assert refused(guest, 1, 0, bytearray())[0] == errno.EINVAL
    assert refused(guest, -1, 0, page)[0] == errno.EINVAL
    assert refused(guest, 64, 0, page)[0] == errno.EINVAL
    assert refused(guest, 1, 0, memoryview(bytes(PAGE)))[0] == errno.EFAULT
    assert refused(guest, 1, 1 << 40, page)[0] == errno.EFAULT
    assert refused(guest, 1, 0, None)[0] == errno.EINVAL
    assert refused(guest, 1, 0, page, 4)[0] == errno.EINVAL
    assert refused(guest, 0, RAM, page)[0] == errno.EINVAL  # cannot change its size
    code, text = refused(guest, 1, RAM + RAM_SIZE - PAGE, bytearray(2 * PAGE))
    assert code == errno.EEXIST
    assert "slot 0" in text


@pytest.mark.parametrize("kind", ["mmap", "bytearray", "memoryview"])
def test_guest_and_caller_share_the_buffer(kind: str) -> None:
    memory = {
        "mmap": lambda: mmap.mmap(-1, PAGE),
        "bytearray": lambda: bytearray(PAGE),
        "memoryview": lambda: memoryview(bytearray(PAGE)),
    }[kind]()
    guest = Guest(asm.ldr(0, 1), asm.str_(0, 1, 8), asm.b(0))
    guest.vm.set_user_memory_region(1, 0, memory)
    memory[0:8] = (0x1122334455667788).to_bytes(8, "little")
    guest.set_x(1, 0)
    guest.run(100)
    assert bytes(memory[8:16]) == (0x1122334455667788).to_bytes(8, "little")


def test_region_is_deleted_and_moved() -> None:
    guest = Guest(asm.ldr(0, 1), asm.b(0))
    memory = bytearray(PAGE)
    memory[0] = 7
    guest.vm.set_user_memory_region(1, 0, memory)
    guest.vm.set_user_memory_region(1, 0x10000, memory)
    guest.set_x(1, 0)
    assert guest.run(100) == ExitMmio(0, bytes(8), 8, False)
    guest.vcpu.complete_mmio(bytes(8))
    guest.vcpu.immediate_exit = True
    guest.run()
    guest.vcpu.immediate_exit = False
    guest.pc = RAM
    guest.set_x(1, 0x10000)
    guest.run(100)
    assert guest.x(0) == 7
    guest.pc = RAM
    guest.vm.set_user_memory_region(1, 0, None)
    assert guest.run(100) == ExitMmio(0x10000, bytes(8), 8, False)


def test_read_only_region_is_read_and_its_writes_come_to_userspace() -> None:
    guest = Guest(asm.ldr(0, 1), asm.str_(0, 1, 8), asm.b(0))
    memory = bytearray(PAGE)
    memory[0] = 7
    guest.vm.set_user_memory_region(1, 0, memory, KVM_MEM_READONLY)
    guest.set_x(1, 0)
    assert guest.run() == ExitMmio(8, (7).to_bytes(8, "little"), 8, True)
    assert not any(memory[8:])


def test_code_changed_has_new_instructions_run() -> None:
    guest = Guest(asm.add(0, 0, 1), asm.b(0))
    guest.run(100)
    guest.place(RAM, asm.add(0, 0, 2))
    guest.pc = RAM
    guest.run(100)
    assert guest.x(0) == 3


def test_machines_are_collected_whatever_the_order() -> None:
    """A machine and its vCPUs refer to each other: the collector takes them as a cycle."""
    seen = []
    for _ in range(20):
        guest = Guest(asm.b(0), vcpus=3)
        guest.run(10)
        seen.append(weakref.ref(guest.vm))
    del guest
    gc.collect()
    assert not any(ref() for ref in seen)


def test_calls_on_closed_objects_are_ebadf() -> None:
    guest = Guest(asm.b(0))
    with guest.kvm, guest.vm:
        pass
    for call in (
        lambda: guest.vcpu.run(),
        lambda: guest.pc,
        lambda: guest.vm.create_vcpu(1),
        lambda: guest.vm.set_user_memory_region(1, 0, bytearray(PAGE)),
        lambda: guest.kvm.create_vm(),
        lambda: guest.kvm.check_extension(23),
    ):
        with pytest.raises(KvmError) as error:
            call()
        assert error.value.errno == errno.EBADF
    guest.vm.close()


def test_machine_types_are_widths_of_physical_addresses() -> None:
    kvm = open_kvm("soft")
    limit = kvm.check_extension(165)
    assert limit >= 40
    vm = kvm.create_vm(32)
    vm.set_user_memory_region(0, (1 << 32) - PAGE, bytearray(PAGE))
    with pytest.raises(KvmError):
        vm.set_user_memory_region(1, 1 << 32, bytearray(PAGE))
    for bad in (31, limit + 1, 0x100, -1):
        with pytest.raises(KvmError) as error:
            kvm.create_vm(bad)
        assert error.value.errno == errno.EINVAL


def test_vcpu_ids() -> None:
    guest = Guest()
    for bad, code in ((0, errno.EEXIST), (-1, errno.EINVAL), (64, errno.EINVAL)):
        with pytest.raises(KvmError) as error:
            guest.vm.create_vcpu(bad)
        assert error.value.errno == code
    vcpu = guest.vm.create_vcpu(17)
    vcpu.init(guest.vm.preferred_target())
    guest.vcpu = vcpu
    assert guest.reg("MPIDR_EL1") == 0x80000101
    assert [v.id for v in guest.vm.vcpus] == [0, 17]


def test_attributes_that_do_not_exist() -> None:
    guest = Guest()
    for call in (
        lambda: guest.vm.set_device_attr(0, 0, b""),
        lambda: guest.vm.get_device_attr(0, 0, 8),
        lambda: guest.vcpu.get_device_attr(9, 9, 4),
        lambda: guest.vm.irq_line(1 << 24 | 33, 1),
    ):
        with pytest.raises(KvmError) as error:
            call()
        assert error.value.errno == errno.ENXIO
    assert not guest.vm.has_device_attr(0, 0)
    assert guest.vcpu.has_device_attr(1, 0)
    assert guest.vcpu.get_device_attr(1, 0, 4) == bytes([27, 0, 0, 0])
