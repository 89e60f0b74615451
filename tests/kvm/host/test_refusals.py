"""What a kernel in trouble answers: errors with their errno, and every descriptor given back."""

import errno
import itertools
import mmap
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitFailEntry,
    ExitInternalError,
    ExitIntr,
    ExitMmio,
    ExitShutdown,
    ExitSystemEvent,
    ExitUnknown,
    GuestDebug,
    Kvm,
    KvmError,
    VcpuEvents,
    VcpuInit,
)
from guestdbg.kvm.constants import KVM_CAP_SET_GUEST_DEBUG
from guestdbg.kvm.host import HostKvm, kick
from guestdbg.kvm.regs import core_reg

from .fake_kernel import FakeKernel, descriptors, install


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeKernel:
    return install(monkeypatch, tmp_path)


def everything(kvm: Kvm) -> None:
    """Each call of the interface once, but for those that need a real kernel's answer."""
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    with kvm.create_vm() as vm:
        vm.check_extension(1)
        vm.enable_cap(177)
        vm.set_user_memory_region(0, 0, memory)
        vm.preferred_target()
        with vm.create_device(7) as device:
            device.set_attr(0, 2, bytes(8))
            device.get_attr(0, 2, 8)
            device.has_attr(0, 2)
        vm.irq_line(1 << 24 | 32, 1)
        vm.has_device_attr(0, 0)
        vcpu = vm.create_vcpu(0)
        vm.create_vcpu(1)
        vcpu.init(VcpuInit(5))
        vcpu.get_one_reg(core_reg("pc"))
        vcpu.set_one_reg(core_reg("v0"), 1)
        vcpu.get_reg_list()
        vcpu.set_vcpu_events(VcpuEvents())
        vcpu.get_vcpu_events()
        vcpu.set_mp_state(vcpu.get_mp_state())
        vcpu.set_guest_debug(GuestDebug(1))
        vcpu.run()
        vm.set_user_memory_region(0, 0, None)


REFUSABLE = [
    "KVM_GET_VCPU_MMAP_SIZE",
    "KVM_CREATE_VM",
    "KVM_CHECK_EXTENSION",
    "KVM_ENABLE_CAP",
    "KVM_RUN",
    "KVM_SET_USER_MEMORY_REGION",
    "KVM_ARM_PREFERRED_TARGET",
    "KVM_CREATE_DEVICE",
    "KVM_SET_DEVICE_ATTR",
    "KVM_GET_DEVICE_ATTR",
    "KVM_IRQ_LINE",
    "KVM_CREATE_VCPU",
    "KVM_ARM_VCPU_INIT",
    "KVM_GET_ONE_REG",
    "KVM_SET_ONE_REG",
    "KVM_GET_REG_LIST",
    "KVM_SET_VCPU_EVENTS",
    "KVM_GET_VCPU_EVENTS",
    "KVM_GET_MP_STATE",
    "KVM_SET_MP_STATE",
    "KVM_SET_GUEST_DEBUG",
]


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EIO, errno.ENOMEM, errno.EINVAL, 999])
@pytest.mark.parametrize("name", REFUSABLE)
def test_every_call_may_fail(name: str, number: int, kernel: FakeKernel) -> None:
    """As when the device is taken away: the errno, a text, and no descriptor left."""
    before = descriptors()
    with HostKvm(str(kernel.device)) as kvm:
        everything(kvm)  # every one is called
    assert name in kernel.calls
    assert not descriptors() - before
    kernel.refuse[name] = number
    with pytest.raises(KvmError) as error, HostKvm(str(kernel.device)) as kvm:
        everything(kvm)
    assert error.value.errno == number
    assert len(error.value.text) > 8
    assert not descriptors() - before


def test_the_second_vcpu_fails(kernel: FakeKernel) -> None:
    before = descriptors()
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vm.create_vcpu(0)
        kernel.refuse["KVM_CREATE_VCPU"] = errno.ENOMEM
        with pytest.raises(KvmError, match="no memory"):
            vm.create_vcpu(1)
        assert len(vm.vcpus) == 1
    assert not descriptors() - before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_the_page_cannot_be_mapped(
    number: int, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's mmap keeps a descriptor of its own: with too many open it fails there."""

    def fail(fd: int, length: int) -> mmap.mmap:
        raise OSError(number, "no")

    before = descriptors()
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        with monkeypatch.context() as patch:
            patch.setattr(mmap, "mmap", fail)
            with pytest.raises(KvmError) as error:
                vm.create_vcpu()
        assert error.value.errno == number
        assert not vm.vcpus
    assert not descriptors() - before


def test_dropped_without_closing(kernel: FakeKernel) -> None:
    """Objects that are not closed release their descriptors when they are deleted."""
    import gc

    before = descriptors()
    kvm = HostKvm(str(kernel.device))
    vm = kvm.create_vm()
    vm.create_vcpu().run()
    vm.create_device(7)
    del kvm, vm
    gc.collect()
    assert not descriptors() - before


def test_calls_on_what_is_closed(kernel: FakeKernel) -> None:
    kvm = HostKvm(str(kernel.device))
    vm = kvm.create_vm()
    vcpu = vm.create_vcpu()
    device = vm.create_device(7)
    for closing in (kvm, vm, vcpu, device):
        closing.close()
        closing.close()
    calls: list[Callable[[], object]] = [
        kvm.create_vm,
        kvm.api_version,
        vm.create_vcpu,
        lambda: vm.set_user_memory_region(0, 0, mmap.mmap(-1, mmap.PAGESIZE)),
        vcpu.run,
        lambda: vcpu.get_one_reg(core_reg("x0")),
        lambda: vcpu.set_one_reg(core_reg("x0"), 0),
        vcpu.get_reg_list,
        vcpu.get_mp_state,
        lambda: vcpu.set_guest_debug(GuestDebug()),
        lambda: vcpu.complete_mmio(b"\0"),
        lambda: device.set_attr(0, 0, b""),
    ]
    for call in calls:
        with pytest.raises(KvmError) as error:
            call()
        assert error.value.errno == errno.EBADF, error.value
    vcpu.kick()  # from any thread, at any time


def test_a_kick_that_meets_a_close(kernel: FakeKernel) -> None:
    """One thread has seen that the vCPU is open when another closes it."""
    with HostKvm() as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        vcpu._page.bytes.release()  # as close() does, after the other thread has looked
        vcpu.kick()


# -- signals ------------------------------------------------------------------------------------


def test_a_storm_of_signals(kernel: FakeKernel) -> None:
    """Calls that are interrupted are made again; run() comes back, and goes on when called."""
    left = 1000

    def interrupted() -> int:
        nonlocal left
        left -= 1
        return errno.EINTR if left % 10 else 0

    for name in REFUSABLE:
        if name != "KVM_RUN":
            kernel.refuse[name] = interrupted
    with HostKvm(str(kernel.device)) as kvm:
        everything(kvm)
    kernel.refuse.clear()
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        kernel.refuse["KVM_RUN"] = interrupted
        kernel.run = lambda fd: kernel.exit(fd, 24, struct.pack("=II", 1, 0))
        exits = [vcpu.run() for _ in range(20)]
    assert exits.count(ExitIntr()) == 18
    assert exits.count(ExitSystemEvent(1)) == 2


def test_kick_before_run_and_immediate_exit(kernel: FakeKernel) -> None:
    """The kernel's side of it: EINTR while the flag is set."""
    import os

    def run(fd: int) -> int:
        if os.pread(fd, 1, 1) != b"\0":
            raise InterruptedError(errno.EINTR, "")
        return kernel.exit(fd, 24, struct.pack("=II", 1, 0))

    kernel.run = run
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        off = ExitSystemEvent(1)
        vcpu.kick()
        vcpu.kick()
        assert [vcpu.run(), vcpu.run()] == [ExitIntr(), off]
        vcpu.immediate_exit = True
        assert [vcpu.run(), vcpu.run()] == [ExitIntr(), ExitIntr()]
        vcpu.kick()
        assert vcpu.run() == ExitIntr()
        vcpu.immediate_exit = False
        assert [vcpu.run(), vcpu.run()] == [ExitIntr(), off], "the kick was still to come"


def test_the_thread_that_is_inside_is_kicked(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads take turns, and some end: their numbers go to those that come after them."""
    sent: list[int] = []
    inside: list[int] = []
    monkeypatch.setattr(kick, "send", sent.append)
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpus = [vm.create_vcpu(n) for n in range(2)]

        def run(fd: int) -> int:
            inside.append(threading.get_native_id())
            next(vcpu for vcpu in vcpus if vcpu.running).kick()
            raise InterruptedError(errno.EINTR, "")

        kernel.run = run
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            for vcpu in vcpus * 3:
                for thread in (one, other, other, one):
                    assert thread.submit(vcpu.run).result(10) == ExitIntr()
                assert vcpu.run() == ExitIntr()
        numbers = set()
        for _ in range(20):
            for vcpu in vcpus:
                last = threading.Thread(target=vcpu.run)
                last.start()
                numbers.add(last.ident)
                last.join(10)
    assert len(numbers) < 40, "no number came twice: this has tried less than it means to"
    assert len(inside) == 2 * 3 * 5 + 40
    assert sent == inside


def test_run_is_refused_when_it_was_taken_from_a_vcpu_that_is_closed(kernel: FakeKernel) -> None:
    """Another file may have the descriptor's number by then."""
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        run = vcpu.run
        run()
        vcpu.close()
        vm.create_vcpu(1)
        made = len(kernel.calls)
        with pytest.raises(KvmError) as error:
            run()
        assert error.value.errno == errno.EBADF
        assert len(kernel.calls) == made


# -- exits --------------------------------------------------------------------------------------

WATCHPOINT, STEP, BRK = 0xD2000062, 0xCB000022, 0xF2000123

EXITS = [
    (4, struct.pack("=IIQ", WATCHPOINT, 0, 0x1234), 1, ExitDebug(WATCHPOINT, 0, 0x1234)),
    (4, struct.pack("=IIQ", STEP, 7, 0x1234), 1, ExitDebug(STEP, 7, None)),
    (4, struct.pack("=IIQ", STEP, 7, 0x1234), 0, ExitDebug(STEP, 0, None, flags=0)),
    (4, struct.pack("=IIQ", BRK, 0, 0x1234), 1, ExitDebug(BRK)),
    (6, struct.pack("=Q8sIB", 9 << 24, b"abcdefgh", 4, 1), 0, ExitMmio(9 << 24, b"abcd", 4, True)),
    (6, struct.pack("=Q8sIB", 9, b"abcdefgh", 2, 0), 0, ExitMmio(9, b"\0\0", 2, False)),
    (24, struct.pack("=IIQQ", 2, 1, 5, 6), 0, ExitSystemEvent(2, (5,))),
    (24, struct.pack("=II16Q", 2, 99, *range(16)), 0, ExitSystemEvent(2, tuple(range(16)))),
    (28, struct.pack("=QQ", 0x1FFFFFF, 0x9000010), 0, ExitArmNisv(0x1FFFFFF, 0x9000010)),
    (9, struct.pack("=QI", 1, 3), 0, ExitFailEntry(1, 3)),
    (8, b"", 0, ExitShutdown()),
    (10, b"", 0, ExitIntr()),
    (77, b"", 0, ExitUnknown(77)),
]


@pytest.mark.parametrize(("reason", "data", "flags", "expected"), EXITS)
def test_exits_are_read_from_the_page(
    reason: int, data: bytes, flags: int, expected: object, kernel: FakeKernel
) -> None:
    kernel.run = lambda fd: kernel.exit(fd, reason, data, flags)
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        assert vcpu.run() == expected
        again = vcpu.run()
    assert again == expected, "it outlives the machine"


def test_exits_that_follow_each_other_on_one_vcpu(kernel: FakeKernel) -> None:
    """Each after each: alike in all but one field, too, is not the same."""
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        for before, after in itertools.product(EXITS, repeat=2):
            for reason, data, flags, expected in (before, after):
                kernel.run = partial(kernel.exit, reason=reason, data=data, flags=flags)
                assert vcpu.run() == expected, (before, after)


def test_an_internal_error_has_a_text(kernel: FakeKernel) -> None:
    kernel.run = lambda fd: kernel.exit(fd, 17, struct.pack("=IIQQ", 3, 2, 8, 9))
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        exit_ = vm.create_vcpu().run()
    assert isinstance(exit_, ExitInternalError)
    assert (exit_.suberror, exit_.data) == (3, (8, 9))
    assert exit_.text


def test_exits_are_told_apart(kernel: FakeKernel) -> None:
    """What an exit was is remembered for the next that is alike, and only for that."""
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        for immediate in range(1000):
            hsr = 0xF2000000 | immediate

            def run(fd: int, hsr: int = hsr) -> int:
                return kernel.exit(fd, 4, struct.pack("=IIQ", hsr, 0, 0), 1)

            kernel.run = run
            assert vcpu.run() == ExitDebug(hsr)


def test_reads_are_answered_once_and_with_their_length(kernel: FakeKernel) -> None:
    read = struct.pack("=Q8sIB", 9, bytes(8), 2, 0)
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        with pytest.raises(KvmError, match="no MMIO read"):
            vcpu.complete_mmio(b"ab")
        kernel.run = lambda fd: kernel.exit(fd, 6, read)
        vcpu.run()
        with pytest.raises(KvmError, match="3 bytes answer a read of 2"):
            vcpu.complete_mmio(b"abc")
        vcpu.complete_mmio(b"ab")
        kernel.refuse["KVM_RUN"] = errno.EINTR
        vcpu.run()
        with pytest.raises(KvmError, match="no MMIO read"):
            vcpu.complete_mmio(b"ab")


# -- words --------------------------------------------------------------------------------------


def test_a_kernel_without_guest_debug(kernel: FakeKernel) -> None:
    kernel.caps[KVM_CAP_SET_GUEST_DEBUG] = 0
    kernel.refuse["KVM_SET_GUEST_DEBUG"] = errno.EINVAL
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        with pytest.raises(KvmError, match="cannot debug guests"):
            vcpu.set_guest_debug(GuestDebug(1))


def test_a_control_that_the_kernel_does_not_know(kernel: FakeKernel) -> None:
    kernel.caps[195] = 0x10003
    kernel.refuse["KVM_SET_GUEST_DEBUG"] = errno.EINVAL
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vcpu = vm.create_vcpu()
        with pytest.raises(KvmError, match=r"0x20001 \(ENABLE \| USE_HW\).*knows 0x10003"):
            vcpu.set_guest_debug(GuestDebug(0x20001))


@pytest.mark.parametrize(
    ("start", "size", "number", "text"),
    [
        (0x1000, 0x2000, errno.EEXIST, "overlap slot 0, 0x2000 bytes at 0x0"),
        (0x8000000, 0x1000, errno.EFAULT, "beyond the machine's physical addresses"),
        (0x8000000, 0x1000, errno.EINVAL, "KVM_CAP_NR_MEMSLOTS"),
    ],
)
def test_the_kernel_refuses_a_region(
    start: int, size: int, number: int, text: str, kernel: FakeKernel
) -> None:
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vm.set_user_memory_region(0, 0, mmap.mmap(-1, 0x2000))
        kernel.refuse["KVM_SET_USER_MEMORY_REGION"] = number
        with pytest.raises(KvmError) as error:
            vm.set_user_memory_region(1, start, mmap.mmap(-1, size))
        assert error.value.errno == number
        assert text in str(error.value)


def test_buffers_that_cannot_be_a_guests(kernel: FakeKernel) -> None:
    aligned = mmap.mmap(-1, 0x4000)
    view = memoryview(aligned)
    bad = [
        (memoryview(bytes(0x1000)), errno.EFAULT, "read-only"),
        (view[0:0x2000:2], errno.EFAULT, "not contiguous"),
        (view[0x800:0x1800], errno.EINVAL, "not a multiple of the page"),
        (view[:0x800], errno.EINVAL, "multiples of the host's page size"),
        (view[:0], errno.EINVAL, "at least one page"),
    ]
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        for memory, number, text in bad:
            with pytest.raises(KvmError, match=text) as error:
                vm.set_user_memory_region(0, 0, memory)
            assert error.value.errno == number
        assert "KVM_SET_USER_MEMORY_REGION" not in kernel.calls
        vm.set_user_memory_region(0, 0, view[0x1000:0x3000])


@pytest.mark.parametrize(
    ("start", "refusal"), [(0x800, None), (0, errno.EEXIST), (0, errno.EINVAL), (0, errno.EFAULT)]
)
def test_a_buffer_that_was_refused_can_be_closed(
    start: int, refusal: int | None, kernel: FakeKernel
) -> None:
    """Also while the error is kept, and its traceback with it."""
    memory = mmap.mmap(-1, 0x1000)
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        if refusal is not None:
            kernel.refuse["KVM_SET_USER_MEMORY_REGION"] = refusal
        with pytest.raises(KvmError) as error:
            vm.set_user_memory_region(0, start, memory)
        assert error.tb is not None
        memory.close()


def test_a_buffer_stays_as_long_as_its_slot(kernel: FakeKernel) -> None:
    """The kernel has its address, so closing it would give the guest other memory."""
    memory = mmap.mmap(-1, 0x1000)
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        vm.set_user_memory_region(0, 0, memory)
        with pytest.raises(BufferError):
            memory.close()
        vm.set_user_memory_region(0, 0, None)
        memory.close()
        other = mmap.mmap(-1, 0x1000)
        vm.set_user_memory_region(0, 0, other)
    other.close()


def test_the_register_list_grows_in_between(kernel: FakeKernel) -> None:
    sizes = iter([0, 0, 7, 9])

    def too_small() -> int:
        return errno.E2BIG if next(sizes) < 9 else 0

    kernel.refuse["KVM_GET_REG_LIST"] = too_small
    with HostKvm(str(kernel.device)) as kvm, kvm.create_vm() as vm:
        assert len(vm.create_vcpu().get_reg_list()) == 2048
        kernel.refuse["KVM_GET_REG_LIST"] = errno.E2BIG
        with pytest.raises(KvmError, match="more than") as error:
            vm.create_vcpu(1).get_reg_list()
    assert error.value.errno == errno.E2BIG
