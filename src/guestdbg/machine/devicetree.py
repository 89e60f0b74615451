"""The device tree, which describes the board to the guest.

It has the nodes and properties of QEMU's ``virt`` for the devices that this board has. It is built
with the ``fdt`` library. Sources: the Devicetree Specification 0.4, and the bindings in Linux's
Documentation/devicetree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import fdt

from guestdbg.library_errors import raised_as
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import UART_BASE

if TYPE_CHECKING:
    from guestdbg.machine.layout import Window

CLOCK_PHANDLE = 1
GIC_PHANDLE = 2
GPIO_PHANDLE = 3
_CPU_PHANDLE = 0x100  # of the first vCPU

CLOCK_HZ = 24_000_000

# Cells of an interrupt specifier (GIC binding): kind, number, flags.
GIC_SPI = 0
GIC_PPI = 1
EDGE_RISING = 1
LEVEL_HIGH = 4

# The generic timer's private interrupts: secure and non-secure physical, virtual, hypervisor.
TIMER_PPIS = (13, 14, 11, 10)

PSCI_CPU_SUSPEND = 0xC400_0001
PSCI_CPU_OFF = 0x8400_0002
PSCI_CPU_ON = 0xC400_0003
PSCI_MIGRATE = 0xC400_0005

_KASLR_SEED_BYTES = 8
_RNG_SEED_BYTES = 32

#: The value of a property; None: it has none, and its presence is what counts.
Value: TypeAlias = str | bytes | list[str] | int | list[int] | None


class Node(NamedTuple):
    """A node of the device tree, for a device.

    Attributes:
        name: with the unit address: ``"pl031@9010000"``.
        properties: by name, without ``interrupts``.
        spis: the device's shared peripheral interrupts. They become ``interrupts`` if the board
            has an interrupt controller.
        trigger: of these interrupts: ``LEVEL_HIGH`` or ``EDGE_RISING``.
        children: nodes inside this one.
        parent: the path of the node that it is in: ``""`` is the root.
    """

    name: str
    properties: Mapping[str, Value]
    spis: Sequence[int] = ()
    trigger: int = LEVEL_HIGH
    children: Sequence[Node] = ()
    parent: str = ""

    @property
    def path(self) -> str:
        return f"{self.parent}/{self.name}"


class GicFrames(NamedTuple):
    """The register frames of an interrupt controller."""

    version: int  # 2 or 3
    frames: tuple[Window, ...]


class Contents(NamedTuple):
    """What a tree describes.

    Attributes:
        memory: the ranges of RAM; the first is where guests are loaded. (base, size) in bytes.
        affinities: MPIDR_EL1.Aff3 to Aff0 of each vCPU, as the property ``reg`` has them.
        gic: the interrupt controller, if there is one.
        nodes: of the devices.
        bootargs: becomes /chosen/bootargs if it is not empty.
        initrd: first address and the address after the last of an initial RAM disk.
        seed: from which /chosen/kaslr-seed and rng-seed are computed; None: there are none.
    """

    memory: Sequence[tuple[int, int]]
    affinities: Sequence[int] = (0,)
    gic: GicFrames | None = None
    nodes: Sequence[Node] = ()
    bootargs: str = ""
    initrd: tuple[int, int] | None = None
    seed: int | None = None


def build(contents: Contents) -> bytes:
    """The flattened tree.

    The timer has its interrupts, in the form of a GIC's; those of devices, and
    ``interrupt-parent``, are in the tree only if there is an interrupt controller.

    Raises:
        MachineError: ``bootargs`` cannot be the text of a property.
    """
    if "\0" in contents.bootargs:
        raise MachineError("bootargs has a NUL, which would end it: leave it out")
    with raised_as(MachineError, "the device tree cannot be made"):
        tree = fdt.FDT()
        tree.header.version = 17
        tree.header.last_comp_version = 16
        tree.header.boot_cpuid_phys = 0
        for path, name, value in _properties(contents):
            tree.set_property(name, value, path)
        blob: bytes = tree.to_dtb()
        return blob


def cells(*numbers: int) -> list[int]:
    """64-bit numbers as pairs of 32-bit cells, the upper half first (#address-cells = 2)."""
    return [cell for number in numbers for cell in (number >> 32, number & 0xFFFF_FFFF)]


def primecell(name: str, kind: str, base: int, size: int, spi: int) -> Node:
    """The node of an Arm PrimeCell with one interrupt: ``kind`` is such as ``"arm,pl031"``."""
    properties: dict[str, Value] = {
        "compatible": [kind, "arm,primecell"],
        "reg": cells(base, size),
        "clocks": CLOCK_PHANDLE,
        "clock-names": "apb_pclk",
    }
    return Node(f"{name}@{base:x}", properties, (spi,))


_Properties: TypeAlias = Iterator[tuple[str, str, Value]]


def _properties(contents: Contents) -> _Properties:
    gic = contents.gic
    yield "/", "compatible", "linux,dummy-virt"
    yield "/", "model", "linux,dummy-virt"
    yield "/", "#address-cells", 2
    yield "/", "#size-cells", 2
    if gic is not None:
        yield "/", "interrupt-parent", GIC_PHANDLE

    for base, size in contents.memory:
        yield f"/memory@{base:x}", "device_type", "memory"
        yield f"/memory@{base:x}", "reg", cells(base, size)

    yield from _cpus(contents.affinities)

    yield "/psci", "compatible", ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]
    yield "/psci", "method", "hvc"
    yield "/psci", "cpu_suspend", PSCI_CPU_SUSPEND
    yield "/psci", "cpu_off", PSCI_CPU_OFF
    yield "/psci", "cpu_on", PSCI_CPU_ON
    yield "/psci", "migrate", PSCI_MIGRATE

    yield "/timer", "compatible", ["arm,armv8-timer", "arm,armv7-timer"]
    yield "/timer", "always-on", None
    # The binding requires them, also where there is no controller that they are wired to: guests
    # read the numbers before they look for one. On a GICv2 the flags have a mask of the vCPUs.
    mask = 0 if gic is not None and gic.version == 3 else ((1 << len(contents.affinities)) - 1) << 8
    specifiers = [(GIC_PPI, ppi, mask & 0xFF00 | LEVEL_HIGH) for ppi in TIMER_PPIS]
    yield "/timer", "interrupts", [cell for entry in specifiers for cell in entry]

    yield "/apb-pclk", "compatible", "fixed-clock"
    yield "/apb-pclk", "#clock-cells", 0
    yield "/apb-pclk", "clock-frequency", CLOCK_HZ
    yield "/apb-pclk", "clock-output-names", "clk24mhz"
    yield "/apb-pclk", "phandle", CLOCK_PHANDLE

    if gic is not None:
        yield from _gic(gic)
    for node in contents.nodes:
        yield from _device(node, node.path, interrupts=gic is not None)
    yield from _chosen(contents)


def _cpus(affinities: Sequence[int]) -> _Properties:
    yield "/cpus", "#address-cells", 1
    yield "/cpus", "#size-cells", 0
    for number in range(len(affinities)):
        yield f"/cpus/cpu-map/socket0/cluster0/core{number}", "cpu", _CPU_PHANDLE + number
    for number, affinity in enumerate(affinities):
        cpu = f"/cpus/cpu@{affinity:x}"
        yield cpu, "device_type", "cpu"
        yield cpu, "compatible", "arm,armv8"
        yield cpu, "reg", affinity
        yield cpu, "enable-method", "psci"
        yield cpu, "phandle", _CPU_PHANDLE + number


def _gic(gic: GicFrames) -> _Properties:
    node = f"/intc@{gic.frames[0].base:x}"
    yield node, "compatible", "arm,gic-v3" if gic.version == 3 else "arm,cortex-a15-gic"
    yield (
        node,
        "reg",
        cells(*(number for frame in gic.frames for number in (frame.base, frame.size))),
    )
    yield node, "interrupt-controller", None
    yield node, "#interrupt-cells", 3
    yield node, "#address-cells", 2
    yield node, "#size-cells", 2
    yield node, "ranges", None
    if gic.version == 3:
        yield node, "#redistributor-regions", 1
    yield node, "phandle", GIC_PHANDLE


def _device(node: Node, path: str, *, interrupts: bool) -> _Properties:
    for name, value in node.properties.items():
        yield path, name, value
    if node.spis and interrupts:
        specifiers = [(GIC_SPI, spi, node.trigger) for spi in node.spis]
        yield path, "interrupts", [cell for entry in specifiers for cell in entry]
    for child in node.children:
        yield from _device(child, f"{path}/{child.name}", interrupts=interrupts)


def _chosen(contents: Contents) -> _Properties:
    uart = next((n.path for n in contents.nodes if n.name == f"pl011@{UART_BASE:x}"), None)
    if uart is not None:
        yield "/aliases", "serial0", uart
        yield "/chosen", "stdout-path", uart
    if contents.bootargs:
        # The library takes ASCII only as a string. A kernel gets the bytes of the command line.
        text = contents.bootargs.encode("utf-8", "surrogateescape") + b"\0"
        yield "/chosen", "bootargs", contents.bootargs if contents.bootargs.isascii() else text
    if contents.initrd is not None:
        start, end = contents.initrd
        yield "/chosen", "linux,initrd-start", cells(start)
        yield "/chosen", "linux,initrd-end", cells(end)
    if contents.seed is not None:
        yield "/chosen", "kaslr-seed", _random("kaslr-seed", contents.seed, _KASLR_SEED_BYTES)
        yield "/chosen", "rng-seed", _random("rng-seed", contents.seed, _RNG_SEED_BYTES)


def _random(name: str, seed: int, count: int) -> bytes:
    """Bytes that look random and are the same for the same seed in every version."""
    import hashlib

    return hashlib.sha256(f"{name} {seed}".encode()).digest()[:count]
