"""The board around the vCPUs: RAM, flash, a UART, and a device tree that describes them.

It is compatible with QEMU's ``virt`` for bare-metal guests, U-Boot and kernels that read the device
tree. The provider implements PSCI (the host's kernel, or the software KVM), so power-off and reset
arrive as ``ExitSystemEvent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestdbg.closing import Closing
from guestdbg.kvm import (
    Exit,
    ExitArmNisv,
    ExitMmio,
    Kvm,
    KvmError,
    Snapshot,
    SupportsCodeChanged,
    SupportsSnapshots,
    Vcpu,
    Vm,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    KVM_ARM_VCPU_PTRAUTH_GENERIC,
    KVM_CAP_ARM_INJECT_EXT_DABT,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_CAP_ARM_PTRAUTH_ADDRESS,
    KVM_CAP_ARM_PTRAUTH_GENERIC,
    KVM_CAP_MAX_VCPUS,
    KVM_CAP_READONLY_MEM,
    KVM_MEM_READONLY,
)
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.machine import devicetree
from guestdbg.machine.bus import Bus
from guestdbg.machine.console import Console, ConsoleState
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import (
    FLASH_BASE,
    FLASH_SIZE,
    MIB,
    PAGE_SIZE,
    RAM_BASE,
    RAM_MAX,
    RAM_MIN,
)
from guestdbg.machine.memory import PhysicalMemory, Region
from guestdbg.machine.pl011 import Pl011, Pl011State
from guestdbg.machine.sizes import format_size

DEFAULT_MEMORY_SIZE = 128 * MIB
MAX_VCPUS = 8  # as QEMU's board with a GICv2

# PSTATE of a vCPU at its start: EL1h, with D, A, I and F set.
PSTATE_START = 0x3C5

NO_SNAPSHOTS = (
    "this provider has no snapshots: its VMs do not have vm.snapshot() and vm.restore() (the "
    "extension SupportsSnapshots); those of the soft provider do"
)

_DESCRIBED = (
    ("pc", core_reg("pc")),
    ("pstate", core_reg("pstate")),
    ("x30", core_reg("x30")),
    ("SP_EL0", core_reg("sp")),
    ("SP_EL1", core_reg("sp_el1")),
    ("ESR_EL1", sys_reg("ESR_EL1")),
    ("ELR_EL1", core_reg("elr_el1")),
    ("FAR_EL1", sys_reg("FAR_EL1")),
    ("VBAR_EL1", sys_reg("VBAR_EL1")),
    ("SCTLR_EL1", sys_reg("SCTLR_EL1")),
)


@dataclass(frozen=True, slots=True, eq=False)
class BoardSnapshot:
    """The state of a board at one time, from ``Board.snapshot``.

    Attributes:
        vm: the provider's part, with the vCPUs and memory. It knows how much memory it takes.
    """

    board: Board
    vm: Snapshot
    uart: Pl011State
    console: ConsoleState


class Board(Closing):
    """A board with RAM at 0x40000000, a PL011 at 0x09000000 and ``vcpus`` processors.

    Args:
        kvm: the provider; the caller closes it.
        memory_size: bytes of RAM, a multiple of 4 KiB. The host only allocates pages that are
            touched.
        vcpus: number of vCPUs; all but the first wait for PSCI CPU_ON.
        console: the terminal on the serial line; None drops the output.
        bootargs: the kernel command line, in the device tree.
        unmapped: the result of an access at which neither this board nor QEMU's has a device:
            ``"abort"`` (an external abort, as in QEMU) or ``"zero"`` (it reads as zero).

    Attributes:
        vm, vcpus, memory, ram, uart, bus, console: the parts. ``flash`` is None until
            ``map_flash``.

    Raises:
        MachineError: a wrong argument, or memory that the host cannot map.
        KvmError: an error of the provider.
    """

    def __init__(
        self,
        kvm: Kvm,
        *,
        memory_size: int = DEFAULT_MEMORY_SIZE,
        vcpus: int = 1,
        console: Console | None = None,
        bootargs: str = "",
        unmapped: Literal["abort", "zero"] = "abort",
    ) -> None:
        _check(memory_size, vcpus, unmapped)
        if not isinstance(bootargs, str) or "\0" in bootargs:
            raise MachineError(f"bootargs={bootargs!r}: it must be a str without NUL characters")
        try:
            bootargs.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise MachineError(f"bootargs={bootargs!r}: it is not text ({error.reason})") from error
        self.kvm = kvm
        self.memory_size = memory_size
        self.bootargs = bootargs
        self.console = Console() if console is None else console
        self.uart = Pl011(self.console)
        self.memory = PhysicalMemory()
        self.flash: Region | None = None
        self.ram = Region("RAM", RAM_BASE, memory_size)
        self.memory.add(self.ram)
        self.vm: Vm = kvm.create_vm()
        self.vm.set_user_memory_region(0, RAM_BASE, self.ram.buffer)
        self.vcpus: tuple[Vcpu, ...] = self._create_vcpus(vcpus)
        injects = bool(self.vm.check_extension(KVM_CAP_ARM_INJECT_EXT_DABT))
        if injects and self.vm.check_extension(KVM_CAP_ARM_NISV_TO_USER):
            self.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
        self.bus = Bus([self.uart], aborts=injects and unmapped == "abort")
        self._code_changed = (
            self.vm.code_changed if isinstance(self.vm, SupportsCodeChanged) else None
        )

    def _create_vcpus(self, count: int) -> tuple[Vcpu, ...]:
        limit = self.vm.check_extension(KVM_CAP_MAX_VCPUS)
        if limit and count > limit:
            raise MachineError(f"{count} vCPUs, but the maximum of this provider is {limit}")
        return tuple(self.vm.create_vcpu(number) for number in range(count))

    def start(self, entry: int, x0: int = 0) -> None:
        """Reset everything except memory. The first vCPU will start at ``entry``, X0 = ``x0``.

        It starts at EL1 with the MMU off and all exceptions masked. All other vCPUs are off.
        """
        init = self.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2)
        both = (KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC)
        if all(self.vm.check_extension(cap) for cap in both):
            init = init.with_feature(KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_ARM_VCPU_PTRAUTH_GENERIC)
        for number, vcpu in enumerate(self.vcpus):
            vcpu.init(init if number == 0 else init.with_feature(KVM_ARM_VCPU_POWER_OFF))
        self.uart.reset()
        boot = self.vcpus[0]
        for number in range(1, 31):
            boot.set_one_reg(core_reg(f"x{number}"), 0)
        boot.set_one_reg(core_reg("x0"), x0)
        boot.set_one_reg(core_reg("pstate"), PSTATE_START)
        boot.set_one_reg(core_reg("pc"), entry)

    def map_flash(self, *, writable: bool = False) -> Region:
        """Map both banks of flash at 0: memory that the guest can read and execute, but not write.

        The guest can write it if ``writable`` is set, or the provider has no read-only memory
        (KVM_CAP_READONLY_MEM).
        """
        if self.flash is None:
            can = bool(self.vm.check_extension(KVM_CAP_READONLY_MEM))
            read_only = can and not writable
            flash = Region("flash", FLASH_BASE, 2 * FLASH_SIZE, read_only=read_only)
            self.memory.add(flash)
            flags = KVM_MEM_READONLY if read_only else 0
            self.vm.set_user_memory_region(1, FLASH_BASE, flash.buffer, flags)
            self.flash = flash
        return self.flash

    def device_tree(self, *, initrd: tuple[int, int] | None = None) -> bytes:
        """The flattened device tree of this board.

        ``initrd``: the first address of the initial RAM file system, and the first one after it.
        """
        return devicetree.build(
            self.memory_size, len(self.vcpus), bootargs=self.bootargs, initrd=initrd
        )

    def read_phys(self, address: int, length: int) -> bytes:
        """``length`` bytes of memory at guest-physical ``address``.

        Raises:
            PhysicalAddressError: some of them are not memory.
        """
        return self.memory.read(address, length)

    def write_phys(self, address: int, data: bytes | memoryview) -> None:
        """Write memory at guest-physical ``address``, also read-only memory and instructions.

        Raises:
            PhysicalAddressError: some of it is not memory.
        """
        self.memory.write(address, data)
        if self._code_changed is not None and data:
            self._code_changed(address, len(data))

    def run(self, vcpu: Vcpu) -> Exit:
        """Run ``vcpu`` until an exit that the board does not handle.

        Accesses to the board's devices are handled here. Console output is flushed before return.

        Raises:
            KvmError: an error of the provider; the text says where the vCPU is.
        """
        if self.console.pending_input:
            self.uart.poll()
        return self.carry_on(vcpu, None)

    def carry_on(self, vcpu: Vcpu, exit_: Exit | None) -> Exit:
        """As ``run``, starting with an exit that is not handled yet (None: there is none).

        For callers that run a vCPU themselves and leave only some exits to the board.
        """
        try:
            while True:
                if exit_ is None:
                    exit_ = vcpu.run()
                if isinstance(exit_, ExitMmio):
                    self.bus.access(vcpu, exit_)
                elif isinstance(exit_, ExitArmNisv):
                    self.bus.undescribed(vcpu, exit_)
                else:
                    return exit_
                exit_ = None
        except KvmError as error:
            raise self.explained(vcpu, error) from error
        finally:
            self.console.flush()

    def explained(self, vcpu: Vcpu, error: KvmError) -> KvmError:
        """An error of running ``vcpu``, with a text that says where it is."""
        where = f"{error.text}; the vCPU is at {self.describe(vcpu)}"
        return KvmError(error.errno or 0, error.call, where)

    def describe(self, vcpu: Vcpu) -> str:
        """One line about a vCPU: the registers that help most when a guest has failed."""
        parts = []
        for name, reg_id in _DESCRIBED:
            try:
                parts.append(f"{name} {vcpu.get_one_reg(reg_id):#x}")
            except KvmError:  # not initialised, or this provider does not have the register
                continue
        return f"vCPU {vcpu.id}: " + (", ".join(parts) or "no registers yet")

    def snapshot(self) -> BoardSnapshot:
        """The state of the whole board: vCPUs, memory, devices, and typed input not taken yet.

        Raises:
            MachineError: the provider has no snapshots.
            KvmError: EBUSY while a vCPU runs.
        """
        vm = self._snapshots()
        return BoardSnapshot(self, vm.snapshot(), self.uart.snapshot(), self.console.snapshot())

    def restore(self, snapshot: BoardSnapshot) -> None:
        """Return to the state of ``snapshot``. Console output since then is not taken back.

        Raises:
            MachineError: a snapshot of another board, or a provider without snapshots.
            KvmError: EBUSY while a vCPU runs; EINVAL if memory was mapped after the snapshot.
        """
        vm = self._snapshots()
        if snapshot.board is not self:
            raise MachineError(
                "the snapshot is of another board: it can only be restored on that one"
            )
        self.console.flush()
        vm.restore(snapshot.vm)
        self.uart.restore(snapshot.uart)
        self.console.restore(snapshot.console)

    def _snapshots(self) -> SupportsSnapshots:
        if not isinstance(self.vm, SupportsSnapshots):
            raise MachineError(NO_SNAPSHOTS)
        return self.vm

    def close(self) -> None:
        """Close the VM and unmap its memory. Closing twice does nothing."""
        self.console.flush()
        self.vm.close()
        self.memory.close()


def _check(memory_size: int, vcpus: int, unmapped: str) -> None:
    if memory_size % PAGE_SIZE or not RAM_MIN <= memory_size <= RAM_MAX:
        raise MachineError(
            f"memory of {format_size(memory_size)}: a board has {format_size(RAM_MIN)} to "
            f"{format_size(RAM_MAX)}, in multiples of {format_size(PAGE_SIZE)}"
        )
    if not isinstance(vcpus, int) or not 1 <= vcpus <= MAX_VCPUS:
        raise MachineError(f"{vcpus!r} vCPUs: a board has 1 to {MAX_VCPUS}")
    if unmapped not in ("abort", "zero"):
        raise MachineError(f"unmapped={unmapped!r}: it must be 'abort' or 'zero'")
