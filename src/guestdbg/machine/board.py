"""The board around the vCPUs: RAM, flash, devices, and a device tree that describes them.

It is compatible with QEMU's ``virt`` for bare-metal guests, U-Boot and kernels that read the device
tree. The provider implements PSCI (the host's kernel, or the software KVM), so power-off and reset
arrive as ``ExitSystemEvent``.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from guestdbg.closing import Closing
from guestdbg.kvm import (
    ExitArmNisv,
    ExitIntr,
    ExitMmio,
    KvmError,
    SupportsCodeChanged,
    SupportsDirtyPages,
    SupportsInstructionLimit,
    SupportsSnapshotFiles,
    SupportsSnapshots,
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
)
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.machine import devicetree
from guestdbg.machine.bus import Bus
from guestdbg.machine.clock import BoardClock
from guestdbg.machine.console import Console
from guestdbg.machine.construction import (
    check_arguments,
    create_vcpus,
    dma_of,
    make_room,
    map_regions,
)
from guestdbg.machine.device import (
    Device,
    SupportsDeviceTree,
)
from guestdbg.machine.devices.cfi_flash import CfiFlash, CfiFlashState
from guestdbg.machine.devices.flash import Flash, FlashFile, flash_node
from guestdbg.machine.devices.fw_cfg import FwCfg
from guestdbg.machine.devices.pl011 import Pl011
from guestdbg.machine.devices.pl031 import Pl031
from guestdbg.machine.devices.pl061 import Pl061
from guestdbg.machine.errors import MachineError
from guestdbg.machine.inputs import Inputs
from guestdbg.machine.interrupts import (
    InterruptController,
    affinity,
    choose_version,
    no_interrupt,
)
from guestdbg.machine.layout import (
    GPIO_SPI,
    MIB,
    RAM_BASE,
    RTC_SPI,
    UART_SPI,
)
from guestdbg.machine.memory import PhysicalMemory, Region
from guestdbg.machine.position import Position
from guestdbg.machine.shape import board_shape, check_shape
from guestdbg.machine.virtio.devices import connect, empty_transports, open_backends
from guestdbg.object_size import size_beside

if TYPE_CHECKING:
    from guestdbg.container import MemoryImage, PageRuns
    from guestdbg.kvm import (
        Exit,
        Kvm,
        Snapshot,
        Vcpu,
        Vm,
    )
    from guestdbg.machine.clock import RtcStart
    from guestdbg.machine.console import ConsoleState
    from guestdbg.machine.devices.mmio_device import MmioDevice
    from guestdbg.machine.interrupts import (
        GicVersion,
        SetLevel,
    )
    from guestdbg.machine.serial import SavedBoard  # files of guests: at run time for those only
    from guestdbg.machine.usernet import NetSpec
    from guestdbg.machine.virtio.backend import Backend
    from guestdbg.machine.virtio.devices import Drives

DEFAULT_MEMORY_SIZE = 128 * MIB

# PSTATE of a vCPU at its start: EL1h, with D, A, I and F set.
PSTATE_START = 0x3C5

_RAM_SLOT = 0

OnDeviceDma: TypeAlias = Callable[[Device, int, int], object]

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


@lru_cache
def _counts(kind: type[Vcpu]) -> bool:
    """Whether such vCPUs have an instruction limit: ``SupportsInstructionLimit``.

    Asked before each entry of a replay: isinstance() with a protocol costs as much as an entry.
    """
    return hasattr(kind, "max_instructions")


@dataclass(frozen=True, slots=True, eq=False)
class BoardSnapshot:
    """The state of a board at one time, from ``Board.snapshot``.

    It belongs to no board: every board of the same ``shape`` can be given this state.

    Attributes:
        shape: what the board is: see ``Board.shape``.
        vm: the provider's part, with the vCPUs, memory and the interrupt controller. It knows how
            much memory it takes.
        devices: the states of the board's devices, in the order of their addresses; None for one
            without state.
        clock: the start of the board's time of day, if it was read already.
        turn, vcpu: of the board's position.
    """

    shape: dict[str, object]
    vm: Snapshot
    devices: tuple[object, ...]
    console: ConsoleState
    clock: int | None
    turn: int
    vcpu: int

    @property
    def position(self) -> Position:
        """Where the board was."""
        return Position(self.turn, self.vcpu, self.vm.instructions[self.vcpu])

    def size_beside(self, other: BoardSnapshot | None) -> int:
        """Bytes of the host's memory that it takes, without what ``other`` holds too."""
        if other is None:
            return self.vm.size_beside(None) + size_beside((self.devices, self.console, self.shape))
        return self.vm.size_beside(other.vm) + size_beside(
            (self.devices, self.console, self.shape), (other.devices, other.console, other.shape)
        )


class Board(Closing):
    """A board with RAM at 0x40000000, a PL011 at 0x09000000 and ``vcpus`` processors.

    Args:
        kvm: the provider; the caller closes it.
        memory_size: bytes of RAM, a multiple of 4 KiB. The host only allocates pages that are
            touched.
        vcpus: number of vCPUs; all but the first wait for PSCI CPU_ON.
        console: the terminal on the serial line; None drops the output.
        bootargs: the kernel command line, in the device tree.
        gic: the version of the interrupt controller, 3 or 2; ``"auto"``: 3 if the provider has it,
            otherwise 2, otherwise none; None: none. It is at the addresses of QEMU's, with 256
            shared interrupts, and in the device tree. A GICv3 allows 64 vCPUs, otherwise there are
            up to 8.
        seed: for the device tree's ``kaslr-seed`` and ``rng-seed``: the same seed gives the same
            bytes. None: the tree has neither, and a kernel stays where it is linked.
        rtc: the time at which the real-time clock starts, in seconds since 1970; ``"host"``: the
            host's time; ``"auto"``: the host's if guests have the host's time, otherwise the start
            of 2025, so that every run is the same. From then on it follows the guest's time.
        unmapped: the result of an access at which neither this board nor QEMU's has a device:
            ``"abort"`` (an external abort, as in QEMU) or ``"zero"`` (it reads as zero).
        flash_file: what is in the second bank of flash (at 0x04000000), if a firmware is loaded: a
            path. What the guest writes to flash is lost at the end, if ``flash_save`` is not set:
            then it is in the file.
        regions: more memory, at other addresses than RAM. It is not in the device tree.
        devices: devices of your own. They, and ``regions``, take the place of the board's own
            devices at the same addresses.
        drives: disks (virtio-blk), in this order from the first transport on: the path of a raw
            image, ``"FILE[,readonly][,overlay]"``, or a ``DriveSpec``.
        net: a network device (virtio-net) at a user-mode network, which reaches 127.0.0.1 of the
            host only: ``"user"``, ``"user,forward=tcp:HOSTPORT:GUESTPORT"``, or a ``NetSpec``.
        entropy: an entropy device (virtio-rng); its bytes are computed from ``seed``, or from 0.
        virtio_console: a terminal at a console device (virtio-console), beside the serial line.
        ram_buffer: the memory for RAM, mapped privately, which the board closes; None: new memory.

    Attributes:
        vm, vcpus, memory, ram, uart, bus, console: the parts. ``flash`` is None until
            ``map_flash``. ``bus.devices`` has all devices.
        gic: the interrupt controller, or None.
        inputs: the way in for everything that comes from outside.
        clock: the board's time of day.
        semihosting: where the results of semihosting calls come in, which a debugger performs.
        rtc, gpio, fw_cfg: the PL031, the PL061 with the power button, and fw_cfg.
        virtio: the virtio devices, each at a transport of its own.
        on_turn: called with the position at which a turn ends, when the next one begins; None:
            nobody is.
        before_dma, on_dma: called with (device, address, length) before and after a device writes
            guest memory.

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
        gic: GicVersion = "auto",
        seed: int | None = None,
        rtc: RtcStart = "auto",
        unmapped: Literal["abort", "zero"] = "abort",
        flash_file: str | os.PathLike[str] | None = None,
        flash_save: bool = False,
        regions: Sequence[Region] = (),
        devices: Sequence[MmioDevice] = (),
        drives: Drives = (),
        net: str | NetSpec | None = None,
        entropy: bool = False,
        virtio_console: Console | None = None,
        ram_buffer: mmap.mmap | None = None,
    ) -> None:
        check_arguments(memory_size, unmapped, bootargs, seed)
        if virtio_console is not None and virtio_console is console:
            raise MachineError(
                "virtio_console is the console of the serial line: it must be a Console of its own"
            )
        entropy_seed = (seed or 0) if entropy else None
        backends = open_backends(drives, net=net, entropy=entropy_seed, console=virtio_console)
        self.kvm = kvm
        self.memory_size = memory_size
        self.bootargs = bootargs
        self.seed = seed
        self.console = Console() if console is None else console
        self.memory = PhysicalMemory()
        if flash_save and flash_file is None:
            raise MachineError("flash_save: there is no flash_file to write to")
        self._flash: Flash | None = None
        self._flash_file = None if flash_file is None else FlashFile(flash_file, save=flash_save)
        self.flash: Region | None = None
        self.ram = Region("RAM", RAM_BASE, memory_size, buffer=ram_buffer)
        self.memory.add(self.ram)
        self.on_dma: OnDeviceDma | None = None
        self.on_turn: Callable[[Position], object] | None = None
        self.vm: Vm = kvm.create_vm()
        try:
            self.vm.set_user_memory_region(_RAM_SLOT, RAM_BASE, self.ram.buffer)
            map_regions(self.vm, self.memory, regions)
            version = choose_version(self.vm, gic)
            self.vcpus: tuple[Vcpu, ...] = create_vcpus(self.vm, vcpus, version)
            self._turn = 0
            self._turn_vcpu = self.vcpus[0]
            self.gic = None if version is None else InterruptController(self.vm, version)
            self._create_devices(unmapped, backends, rtc)
            self._add_own(devices)
        except BaseException:
            self.vm.close()
            for backend in backends:
                backend.close()
            if self._flash_file is not None:
                self._flash_file.close()
            raise
        if isinstance(self.vm, SupportsDirtyPages):
            self.vm.reports_writes = True
            self.memory.on_write = self.vm.memory_written
        self._before_dma: OnDeviceDma | None = None
        self._started = False
        #: The shape of the snapshot that was restored last, and the board's parts at that time.
        self._checked_shape: dict[str, object] | None = None
        self._checked_parts: tuple[tuple[Device, ...], int] = ((), 0)
        # isinstance() with a protocol costs as much as a restore.
        self._with_snapshots = self.vm if isinstance(self.vm, SupportsSnapshots) else None
        self._code_changed = (
            self.vm.code_changed if isinstance(self.vm, SupportsCodeChanged) else None
        )

    def _create_devices(self, unmapped: str, backends: Sequence[Backend], rtc: RtcStart) -> None:
        injects = bool(self.vm.check_extension(KVM_CAP_ARM_INJECT_EXT_DABT))
        if injects and self.vm.check_extension(KVM_CAP_ARM_NISV_TO_USER):
            self.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
        self._input_came = threading.Event()
        self.inputs = Inputs(lambda: self.position, self._wake)
        # What was typed before there was a board comes in like everything else.
        typed = self.console.take(self.console.received)
        self.console.port = self.inputs.connect("console", self._typed)
        self.console.feed(typed)
        self.uart = Pl011(self.console, on_interrupt=self.interrupt(UART_SPI))
        self._rtc_port = self.inputs.connect("rtc", lambda data: self.rtc.poll())
        self.clock = BoardClock(rtc, lambda: self._turn_vcpu, self._rtc_port)
        self.rtc = Pl031(self.clock, set_level=self.interrupt(RTC_SPI))
        self.semihosting = self.inputs.connect("semihosting", lambda data: None)
        self._power_port = self.inputs.connect("power", lambda data: self.gpio.press())
        self.gpio = Pl061(set_level=self.interrupt(GPIO_SPI))
        self.fw_cfg = FwCfg(self.memory, ram_size=self.memory_size, vcpus=len(self.vcpus))
        self.virtio = connect(backends, self.memory, self.interrupt)
        for transport in self.virtio:
            transport.backend.connect_inputs(self.inputs)
        devices: list[Device] = [self.uart, self.rtc, self.gpio, self.fw_cfg]
        devices += [*self.virtio, *empty_transports(len(self.virtio))]
        self.bus = Bus(devices, aborts=injects and unmapped == "abort")

    def _add_own(self, own: Sequence[MmioDevice]) -> None:
        make_room(self.bus, self.memory, () if self.gic is None else self.gic.frames, own)
        for device in own:
            self.bus.add(device)
            device.connect(self.memory, self.inputs, self.interrupt)
        for present in self.bus.devices:
            if (dma := dma_of(present)) is not None:
                dma.on_dma = partial(self.dma_written, present)

    def interrupt(self, spi: int) -> SetLevel:
        """The line of a shared peripheral interrupt, for a device: a callable that sets its level.

        SPI 0 is interrupt id 32. Without an interrupt controller it does nothing. It belongs to the
        thread that runs the vCPUs.

        Raises:
            MachineError: there is no such interrupt.
        """
        return no_interrupt if self.gic is None else self.gic.spi(spi)

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
        for device in self.bus.with_state:
            if device is not None:
                device.reset()
        # The controller has its reset values when it is created, and writing them takes time.
        if self.gic is not None and self._started:
            self.gic.reset(self.vcpus)
        self._started = True
        boot = self.vcpus[0]
        for number in range(1, 31):
            boot.set_one_reg(core_reg(f"x{number}"), 0)
        boot.set_one_reg(core_reg("x0"), x0)
        boot.set_one_reg(core_reg("pstate"), PSTATE_START)
        boot.set_one_reg(core_reg("pc"), entry)

    def map_flash(self, *, writable: bool = False) -> Region:
        """Map both banks of flash at 0: memory that the guest reads and executes.

        It programs and erases it with flash commands. If ``writable`` is set, or the provider has
        no read-only memory (KVM_CAP_READONLY_MEM), it writes it as it does RAM.
        """
        if self.flash is None:
            self._flash = Flash(self.vm, writable=writable, file=self._flash_file)
            self.flash = self._flash.region
            self.memory.add(self.flash)
            for bank in self._flash.banks:
                self.bus.add(bank)
        return self.flash

    def device_tree(self, *, initrd: tuple[int, int] | None = None, flash: bool = False) -> bytes:
        """The flattened device tree of this board.

        ``flash``: it has the flash, also if that is not mapped yet.
        ``initrd``: the guest-physical address of an initial RAM disk, and the one after its end.
        """
        gic = self.gic
        return devicetree.build(
            devicetree.Contents(
                memory=((RAM_BASE, self.memory_size),),
                affinities=tuple(affinity(vcpu.id) for vcpu in self.vcpus),
                gic=None if gic is None else devicetree.GicFrames(gic.version, gic.frames),
                nodes=tuple(
                    node
                    for device in self.bus.devices
                    if isinstance(device, SupportsDeviceTree)
                    for node in device.device_tree_nodes()
                )
                + ((flash_node(),) if flash or (self._flash and self._flash.banks) else ()),
                bootargs=self.bootargs,
                initrd=initrd,
                seed=self.seed,
            )
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

    @property
    def before_dma(self) -> OnDeviceDma | None:
        """See the class."""
        return self._before_dma

    @before_dma.setter
    def before_dma(self, function: OnDeviceDma | None) -> None:
        self._before_dma = function
        for device in self.bus.devices:
            if (dma := dma_of(device)) is not None:
                dma.before_dma = None if function is None else partial(function, device)

    def dma_written(self, device: Device, address: int, length: int) -> None:
        """``device`` has written ``length`` bytes of memory at guest-physical ``address``.

        Devices that access memory themselves call it after each write, so that decoded instructions
        and watches follow.
        """
        if self._code_changed is not None and length:
            self._code_changed(address, length)
        if self.memory.on_write is not None:
            self.memory.on_write(address, length)
        if self.on_dma is not None:
            self.on_dma(device, address, length)

    @property
    def position(self) -> Position:
        """Where the board is. The vCPUs run one at a time; see ``Position`` for what a turn is."""
        vcpu = self._turn_vcpu
        return Position(self._turn, vcpu.id, getattr(vcpu, "instructions", 0))

    @property
    def turn_vcpu(self) -> Vcpu:
        """The vCPU that has the turn: ``run`` of another one begins the next."""
        return self._turn_vcpu

    @property
    def turn(self) -> int:
        """The number of the turn, as in ``position``."""
        return self._turn

    def _typed(self, data: bytes) -> None:
        """Typed bytes are delivered."""
        self.console.receive(data)
        if data:
            self.uart.poll()

    def press_power_button(self) -> None:
        """Press the power button, as an input: a guest with a driver for it shuts down.

        Any thread may call it.
        """
        self._power_port.post(b"")

    def _wake(self) -> None:
        """Make the vCPU that runs return, so that inputs are delivered. From any thread."""
        self._input_came.set()
        with contextlib.suppress(KvmError):  # closed meanwhile
            self._turn_vcpu.kick()

    def run(self, vcpu: Vcpu) -> Exit:
        """Run ``vcpu`` until an exit that the board does not handle.

        Accesses to the board's devices are handled here. Console output is flushed before return.
        An input that another thread posts makes it return ``ExitIntr``, and is delivered by the
        next call.

        Raises:
            KvmError: an error of the provider; the text says where the vCPU is.
            ReplayError: inputs are replayed, and the run is not the recorded one.
        """
        if vcpu is not self._turn_vcpu:
            if self.on_turn is not None:
                self.on_turn(self.position)
            self._turn_vcpu = vcpu
            self._turn += 1
        inputs = self.inputs
        inputs.entered_by_this_thread()
        if self.rtc.armed and self.rtc.due:
            self._rtc_port.post(b"")
        if inputs.pending:
            inputs.deliver()
        if inputs.replaying:
            return self._run_replayed(vcpu)
        return self.carry_on(vcpu, None)

    def wait_for_input(self, seconds: float) -> bool:
        """All vCPUs wait: wait for a network, too, ``seconds`` at most.

        Returns False at once if nothing can come from one.
        """
        if not any(device.backend.waits() for device in self.virtio) or self.inputs.replaying:
            return False
        self._input_came.wait(seconds)
        self._input_came.clear()
        return True

    def deliver_inputs(self) -> None:
        """Deliver the inputs that are due now. For the thread that runs the vCPUs.

        ``run`` does it. A debugger that answers for a device itself (semihosting) does it before.
        """
        self.inputs.deliver()
        while self.inputs.deliver_recorded():
            pass

    def _run_replayed(self, vcpu: Vcpu) -> Exit:
        """The same while inputs are replayed: stop where they were delivered, and go on."""
        if not _counts(type(vcpu)):
            raise MachineError("inputs can only be replayed on a provider that counts instructions")
        limited = cast(SupportsInstructionLimit, vcpu)
        inputs = self.inputs
        while True:
            self.deliver_inputs()
            position, own = inputs.next_position(), limited.max_instructions
            if position is None or position[:2] != (self._turn, vcpu.id):
                return self.carry_on(vcpu, None)
            limit = position.instructions
            if position <= self.position:  # what is sampled here comes first
                return self.carry_on(vcpu, None)
            if own is not None and own <= limit:
                return self.carry_on(vcpu, None)
            limited.max_instructions = limit
            try:
                exit_ = self.carry_on(vcpu, None)
            finally:
                limited.max_instructions = own
            if type(exit_) is not ExitIntr or exit_.idle or self.position < position:
                return exit_

    def carry_on(self, vcpu: Vcpu, exit_: Exit | None) -> Exit:
        """As ``run``, starting with an exit that is not handled yet (None: there is none).

        For callers that run a vCPU themselves and leave only some exits to the board.
        """
        inputs = self.inputs
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
                exit_ = self._deliver_after_access(vcpu) if inputs.pending else None
        except KvmError as error:
            raise self.explained(vcpu, error) from error
        finally:
            self.console.flush()

    def _deliver_after_access(self, vcpu: Vcpu) -> Exit | None:
        """Complete the instruction that accesses a device, and deliver what was posted meanwhile.

        Returns an exit that is not handled yet. Without this, a guest that prints a prompt and
        waits (WFI) would not get the answer that the prompt has triggered.
        """
        before = vcpu.immediate_exit
        vcpu.immediate_exit = True
        try:
            exit_ = vcpu.run()
        finally:
            vcpu.immediate_exit = before
        self.inputs.deliver()
        return None if type(exit_) is ExitIntr and not before else exit_

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

        Inputs that were posted are delivered first.

        Raises:
            MachineError: the provider has no snapshots, or the guest writes the file of a drive
                or of flash.
            KvmError: EBUSY while a vCPU runs.
        """
        vm = self._snapshots()
        if self._flash_file is not None and self._flash_file.save:
            raise MachineError(
                f"the guest writes {self._flash_file.path} (flash_save), which a restore does not "
                "take back: leave flash_save out for snapshots"
            )
        self.deliver_inputs()
        devices = tuple(
            None if device is None else device.snapshot() for device in self.bus.with_state
        )
        shape = self.shape()
        if shape == self._checked_shape:
            shape = self._checked_shape  # one object for all, which need not be compared
        return BoardSnapshot(
            shape,
            vm.snapshot(),
            devices,
            self.console.snapshot(),
            self.clock.base,
            self._turn,
            self.vcpus.index(self._turn_vcpu),
        )

    def restore(self, snapshot: BoardSnapshot) -> None:
        """Return to the state of ``snapshot``. Console output since then is not taken back.

        The snapshot may be of another board of the same ``shape``. The files of its drives must
        have the same contents. Inputs that were posted and not delivered are dropped, and a replay
        ends.

        Raises:
            MachineError: a snapshot of a board that is not like this one (the text says what
                differs), a provider without snapshots, or a drive's file that another program has
                changed. The board is as before.
            KvmError: EBUSY while a vCPU runs; EINVAL if the machines differ (their processors,
                their memory slots).
        """
        vm = self._snapshots()
        self._check_shape(snapshot.shape)
        for over_files in self.bus.with_files:
            over_files.check_files()
        self.console.flush()
        if self._flash is not None:
            # Whether a bank is memory now must be as it was before the memory is restored.
            for bank, state in zip(self.bus.devices, snapshot.devices, strict=True):
                if isinstance(bank, CfiFlash) and isinstance(state, CfiFlashState):
                    bank.restore(state)
        vm.restore(snapshot.vm)
        self.inputs.stop_replay()
        self.inputs.discard()
        self._turn, self._turn_vcpu = snapshot.turn, self.vcpus[snapshot.vcpu]
        for device, state in zip(self.bus.with_state, snapshot.devices, strict=True):
            if device is not None:
                device.restore(state)
        self.console.restore(snapshot.console)
        self.clock.base = snapshot.clock
        self._started = True

    def _check_shape(self, shape: dict[str, object]) -> None:
        """Raise MachineError if it is not the shape of this board."""
        parts = self._checked_parts
        if (
            shape is self._checked_shape
            and parts == (self.bus.devices, len(self.memory))
            and not self.bus.has_own_devices
        ):
            return
        check_shape(shape, self.shape())
        self._checked_shape = shape
        self._checked_parts = self.bus.devices, len(self.memory)

    def shape(self) -> dict[str, object]:
        """What the board is, as numbers and text: a snapshot can be restored on boards like it."""
        return board_shape(self.memory, self.bus, self.gic, len(self.vcpus), self.clock.start)

    def save_snapshot(
        self, snapshot: BoardSnapshot, before: BoardSnapshot | None = None
    ) -> SavedBoard:
        """A snapshot as it is written to a file; ``before`` is an earlier one that it has too.

        Raises:
            MachineError: the provider cannot, or a device of the user's has state that is not of
                plain values.
        """
        from guestdbg.machine.serial import SavedBoard, encode_devices

        if not isinstance(self.vm, SupportsSnapshotFiles):
            raise MachineError(NO_SNAPSHOTS)
        return SavedBoard(
            encode_devices(
                snapshot.shape,
                [device.name for device in self.bus.devices],
                snapshot.devices,
                (snapshot.console, snapshot.clock, snapshot.turn, snapshot.vcpu),
            ),
            self.vm.save_snapshot(snapshot.vm, None if before is None else before.vm),
        )

    def load_snapshot(
        self, devices: bytes, state: bytes, image: MemoryImage, *, ram_is_mapped: bool
    ) -> BoardSnapshot:
        """A snapshot from ``save_snapshot``, for ``restore`` on this board.

        ``image`` has its memory; ``ram_is_mapped``: the board's ``ram_buffer`` is from there.

        Raises:
            MachineError: it is damaged, or of a board that differs from this one.
        """
        mapped = (_RAM_SLOT,) if ram_is_mapped else ()
        return self._load_snapshot(devices, lambda vm: vm.load_snapshot(state, image, mapped))

    def load_changed_snapshot(
        self, devices: bytes, state: bytes, before: BoardSnapshot, changed: Iterable[PageRuns]
    ) -> BoardSnapshot:
        """The same for one that was saved with ``before``, and has these pages. Raises the same."""
        return self._load_snapshot(
            devices, lambda vm: vm.load_changed_snapshot(state, before.vm, changed)
        )

    def _load_snapshot(
        self, devices: bytes, load: Callable[[SupportsSnapshotFiles], Snapshot]
    ) -> BoardSnapshot:
        from guestdbg.machine.serial import decode_devices

        if not isinstance(self.vm, SupportsSnapshotFiles):
            raise MachineError(NO_SNAPSHOTS)
        now = [None if device is None else device.snapshot() for device in self.bus.with_state]
        try:
            shape, states, rest = decode_devices(devices, now, self.shape())
            vm = load(self.vm)
        except (KvmError, ValueError) as error:
            text = error.text if isinstance(error, KvmError) else str(error)
            raise MachineError(f"the snapshot cannot be used: {text}") from error
        console, clock, turn, vcpu = rest
        if not 0 <= vcpu < len(self.vcpus):
            raise MachineError(f"the snapshot cannot be used: it has no vCPU {vcpu}")
        return BoardSnapshot(shape, vm, states, console, clock, turn, vcpu)

    def _snapshots(self) -> SupportsSnapshots:
        if self._with_snapshots is None:
            raise MachineError(NO_SNAPSHOTS)
        return self._with_snapshots

    def close(self) -> None:
        """Close the VM and unmap its memory. Closing twice does nothing."""
        self.console.flush()
        if self.gic is not None:
            self.gic.close()
        for device in self.virtio:
            device.close()
        self.vm.close()
        if self._flash is not None:
            self._flash.close()
        if self._flash_file is not None:
            self._flash_file.close()
        self.memory.close()
