"""A small machine of the host provider, and the register of the cases."""

from __future__ import annotations

import contextlib
import mmap
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from guestdbg.check import assembler as asm
from guestdbg.kvm import Exit, Kvm, KvmError, Vcpu, open_kvm
from guestdbg.kvm.constants import KVM_ARM_VCPU_POWER_OFF, KVM_ARM_VCPU_PSCI_0_2
from guestdbg.kvm.host.vcpu import HostVcpu
from guestdbg.kvm.regs import core_reg

RAM = 0x40000000
SIZE = 1 << 20
#: No memory is here.
NOWHERE = 0x09000000

#: What an access to it comes to: a program's last act.
DONE = (*asm.mov(9, NOWHERE), asm.str_(9, 9))
SPIN = 0x14000000  # b .

Case = Callable[[], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Make a function one of the cases."""
    assert function.__name__ not in CASES, function.__name__
    CASES[function.__name__] = function
    return function


class Rig:
    """A megabyte of memory with ``words`` at its start, and vCPUs there, all but the first off."""

    def __init__(self, *words: int, vcpus: int = 1, features: tuple[int, ...] = ()) -> None:
        self.kvm: Kvm = open_kvm("host")
        self.vm = self.kvm.create_vm()
        self.memory = mmap.mmap(-1, SIZE)
        self.memory[: 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
        self.vm.set_user_memory_region(0, RAM, self.memory)
        self.vcpus = [self.vm.create_vcpu(n) for n in range(vcpus)]
        self.vcpu = self.vcpus[0]
        self.init = self.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2, *features)

    def __enter__(self) -> Rig:
        for vcpu in self.vcpus:
            first = vcpu is self.vcpu
            vcpu.init(self.init if first else self.init.with_feature(KVM_ARM_VCPU_POWER_OFF))
            vcpu.set_one_reg(core_reg("pc"), RAM)
        return self

    def __exit__(self, *unused: object) -> None:
        self.vm.close()
        self.kvm.close()
        self.memory.close()

    def get(self, name: str) -> int:
        return self.vcpu.get_one_reg(core_reg(name))

    def set(self, name: str, value: int) -> None:
        self.vcpu.set_one_reg(core_reg(name), value)

    def word(self, address: int) -> int:
        """Eight bytes of memory."""
        return int.from_bytes(self.memory[address - RAM : address - RAM + 8], "little")


class Runner(threading.Thread):
    """A thread that runs a vCPU once."""

    def __init__(self, vcpu: Vcpu, prepare: Callable[[], object] = lambda: None) -> None:
        super().__init__(daemon=True)
        self.vcpu = vcpu
        self.prepare = prepare
        self.exit: Exit | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.prepare()
            self.exit = self.vcpu.run()
        except BaseException as error:
            self.error = error

    def wait_until_inside(self) -> None:
        """Until run() is under way."""
        assert isinstance(self.vcpu, HostVcpu)
        while self.is_alive() and not self.vcpu.running:
            time.sleep(0.001)

    def result(self) -> Exit:
        self.join(30)
        assert not self.is_alive(), "run() does not come back"
        if self.error is not None:
            raise self.error
        assert self.exit is not None
        return self.exit


@contextlib.contextmanager
def refused(number: int, text: str) -> Iterator[None]:
    """The body must raise KvmError with this errno and these words."""
    try:
        yield
    except KvmError as error:
        assert error.errno == number, error
        assert text in str(error), error
    else:
        raise AssertionError(f"not refused, and it should have been: {text}")


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(f"{entry.name} {entry.readlink()}")
    return sorted(found)
