"""The device tree, which describes the board to the guest.

It has the nodes and properties of QEMU's ``virt`` for the devices that this board has. It is built
with the ``fdt`` library. Sources: the Devicetree Specification 0.4, and the bindings in Linux's
Documentation/devicetree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import fdt

from guestdbg.library_errors import raised_as
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import RAM_BASE, UART_BASE, UART_SIZE, UART_SPI

CLOCK_PHANDLE = 1
GIC_PHANDLE = 2

UART_CLOCK_HZ = 24_000_000

# Cells of an interrupt specifier (GIC binding): kind, number, flags.
GIC_SPI = 0
GIC_PPI = 1
LEVEL_HIGH = 4
PPI_LEVEL_LOW_ALL = 0x104  # level-sensitive, active low, with CPU 0 in the mask, as in QEMU

# The generic timer's private interrupts: secure and non-secure physical, virtual, hypervisor.
TIMER_PPIS = (13, 14, 11, 10)

PSCI_CPU_SUSPEND = 0xC400_0001
PSCI_CPU_OFF = 0x8400_0002
PSCI_CPU_ON = 0xC400_0003
PSCI_MIGRATE = 0xC400_0005


@dataclass(frozen=True, slots=True)
class GicFrames:
    """The register frames of an interrupt controller: (base, size) in bytes."""

    version: int  # 2 or 3
    frames: tuple[tuple[int, int], ...]


def build(
    memory_size: int,
    vcpus: int = 1,
    *,
    bootargs: str = "",
    gic: GicFrames | None = None,
    initrd: tuple[int, int] | None = None,
) -> bytes:
    """The flattened tree of a board with ``memory_size`` bytes of RAM and ``vcpus`` processors.

    ``bootargs`` becomes /chosen/bootargs if it is not empty. ``initrd``, the first address of the
    initial RAM file system and the first one after it, becomes /chosen/linux,initrd-start and
    linux,initrd-end. The timer has its interrupts, in the form of a GIC's; those of devices, and
    ``interrupt-parent``, are in the tree only if there is an interrupt controller (``gic``).

    Raises:
        MachineError: ``bootargs`` cannot be the text of a property.
    """
    if "\0" in bootargs:
        raise MachineError("bootargs has a NUL, which would end it: leave it out")
    with raised_as(MachineError, "the device tree cannot be made"):
        tree = fdt.FDT()
        tree.header.version = 17
        tree.header.last_comp_version = 16
        tree.header.boot_cpuid_phys = 0
        for path, name, value in _properties(memory_size, vcpus, bootargs, gic, initrd):
            tree.set_property(name, value, path)
        blob: bytes = tree.to_dtb()
        return blob


Value: TypeAlias = str | bytes | list[str] | int | list[int] | None


def _properties(
    memory_size: int,
    vcpus: int,
    bootargs: str,
    gic: GicFrames | None,
    initrd: tuple[int, int] | None,
) -> Iterator[tuple[str, str, Value]]:
    yield "/", "compatible", "linux,dummy-virt"
    yield "/", "model", "linux,dummy-virt"
    yield "/", "#address-cells", 2
    yield "/", "#size-cells", 2
    if gic is not None:
        yield "/", "interrupt-parent", GIC_PHANDLE

    memory = f"/memory@{RAM_BASE:x}"
    yield memory, "device_type", "memory"
    yield memory, "reg", _cells(RAM_BASE, memory_size)

    yield "/cpus", "#address-cells", 1
    yield "/cpus", "#size-cells", 0
    for number in range(vcpus):
        cpu = f"/cpus/cpu@{number:x}"
        yield cpu, "device_type", "cpu"
        yield cpu, "compatible", "arm,armv8"
        yield cpu, "reg", number
        yield cpu, "enable-method", "psci"

    yield "/psci", "compatible", ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]
    yield "/psci", "method", "hvc"
    yield "/psci", "cpu_suspend", PSCI_CPU_SUSPEND
    yield "/psci", "cpu_off", PSCI_CPU_OFF
    yield "/psci", "cpu_on", PSCI_CPU_ON
    yield "/psci", "migrate", PSCI_MIGRATE

    yield "/timer", "compatible", ["arm,armv8-timer", "arm,armv7-timer"]
    yield "/timer", "always-on", None
    # The binding requires them, also where there is no controller yet that they are wired to:
    # guests read the numbers before they look for one.
    specifiers = [(GIC_PPI, ppi, PPI_LEVEL_LOW_ALL) for ppi in TIMER_PPIS]
    yield "/timer", "interrupts", [cell for entry in specifiers for cell in entry]

    yield "/apb-pclk", "compatible", "fixed-clock"
    yield "/apb-pclk", "#clock-cells", 0
    yield "/apb-pclk", "clock-frequency", UART_CLOCK_HZ
    yield "/apb-pclk", "clock-output-names", "clk24mhz"
    yield "/apb-pclk", "phandle", CLOCK_PHANDLE

    uart = f"/pl011@{UART_BASE:x}"
    yield uart, "compatible", ["arm,pl011", "arm,primecell"]
    yield uart, "reg", _cells(UART_BASE, UART_SIZE)
    yield uart, "clocks", [CLOCK_PHANDLE, CLOCK_PHANDLE]
    yield uart, "clock-names", ["uartclk", "apb_pclk"]
    if gic is not None:
        yield uart, "interrupts", [GIC_SPI, UART_SPI, LEVEL_HIGH]
        yield from _gic_properties(gic)

    yield "/chosen", "stdout-path", uart
    if bootargs:
        # The library takes ASCII only as a string. A kernel gets the bytes of the command line.
        text = bootargs.encode("utf-8", "surrogateescape") + b"\0"
        yield "/chosen", "bootargs", bootargs if bootargs.isascii() else text
    if initrd is not None:
        yield "/chosen", "linux,initrd-start", _cells(initrd[0])
        yield "/chosen", "linux,initrd-end", _cells(initrd[1])


def _gic_properties(gic: GicFrames) -> Iterator[tuple[str, str, Value]]:
    node = f"/intc@{gic.frames[0][0]:x}"
    yield node, "compatible", "arm,gic-v3" if gic.version == 3 else "arm,cortex-a15-gic"
    yield node, "reg", _cells(*(number for frame in gic.frames for number in frame))
    yield node, "interrupt-controller", None
    yield node, "#interrupt-cells", 3
    yield node, "#address-cells", 2
    yield node, "#size-cells", 2
    yield node, "ranges", None
    yield node, "phandle", GIC_PHANDLE


def _cells(*numbers: int) -> list[int]:
    """64-bit numbers as pairs of 32-bit cells, the upper half first (#address-cells = 2)."""
    return [cell for number in numbers for cell in (number >> 32, number & 0xFFFF_FFFF)]
