"""What KVM_GET_DIRTY_LOG says of a guest's stores. The argument is the provider."""

import mmap
import struct
import sys

from guestdbg.kvm import ExitMmio, KvmError, open_kvm
from guestdbg.kvm.constants import KVM_MEM_LOG_DIRTY_PAGES
from guestdbg.kvm.regs import core_reg

RAM, PAGES, NOWHERE = 0x40000000, 130, 0x09000000
# str x0, [x1]; str x0, [x3]; ldr x4, [x5]; str x0, [x2] (ends the run); twice
CODE = (0xF9000020, 0xF9000060, 0xF94000A4, 0xF9000040) * 2


def pages(log: bytes) -> list[int]:
    bits = int.from_bytes(log, "little")
    return [n for n in range(bits.bit_length()) if bits >> n & 1]


with open_kvm(sys.argv[1]) as kvm, kvm.create_vm() as vm:
    memory = mmap.mmap(-1, PAGES * mmap.PAGESIZE)
    memory[: 4 * len(CODE)] = struct.pack(f"<{len(CODE)}I", *CODE)
    vm.set_user_memory_region(0, RAM, memory, KVM_MEM_LOG_DIRTY_PAGES)
    other = mmap.mmap(-1, mmap.PAGESIZE)
    vm.set_user_memory_region(1, 0x80000000, other)
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    for register, page in ((1, 3), (3, 129), (5, 70)):
        vcpu.set_one_reg(core_reg(f"x{register}"), RAM + page * mmap.PAGESIZE + 8)
    vcpu.set_one_reg(core_reg("x2"), NOWHERE)
    vcpu.set_one_reg(core_reg("pc"), RAM)
    print("bytes", len(vm.get_dirty_log(0)))
    memory[50 * mmap.PAGESIZE] = 1  # userspace's own writes do not count
    for _ in range(2):
        assert isinstance(vcpu.run(), ExitMmio)
        print("stored to", pages(vm.get_dirty_log(0)))
    print("since then", pages(vm.get_dirty_log(0)))
    vm.set_user_memory_region(0, RAM, memory)
    for slot in (0, 1, 2):
        try:
            vm.get_dirty_log(slot)
        except KvmError as error:
            print("slot", slot, "errno", error.errno)
