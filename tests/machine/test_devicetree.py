"""The device tree, parsed again."""

import fdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine import devicetree
from guestdbg.machine.devicetree import Contents, GicFrames, Node, cells
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import Window

RAM = ((0x4000_0000, 128 << 20),)
GICV3 = GicFrames(
    3, (Window("GICD", 0x0800_0000, 0x1_0000), Window("GICR", 0x080A_0000, 0xF6_0000))
)
GICV2 = GicFrames(2, (Window("GICD", 0x0800_0000, 0x1_0000), Window("GICC", 0x0801_0000, 0x1_0000)))
UART = Node("pl011@9000000", {"reg": cells(0x0900_0000, 0x1000)}, (1,))


def value(blob: bytes, path: str, name: str) -> list[int] | list[str]:
    prop = fdt.parse_dtb(blob).get_property(name, path)
    assert prop is not None, f"{path}/{name}"
    return list(prop.data)


def names(blob: bytes, path: str = "/") -> list[str]:
    return [str(node.name) for node in fdt.parse_dtb(blob).get_node(path).nodes]


@settings(deadline=None, max_examples=20)
@given(size=st.integers(1, 1 << 28).map(lambda n: n << 12), vcpus=st.integers(1, 64))
def test_memory_and_processors(size: int, vcpus: int) -> None:
    numbers = [n >> 4 << 8 | n & 15 for n in range(vcpus)]
    blob = devicetree.build(Contents(((0x4000_0000, size),), numbers))
    assert value(blob, "/memory@40000000", "reg") == [
        0,
        0x40000000,
        size >> 32,
        size & 0xFFFFFFFF,
    ]
    assert names(blob, "/cpus") == ["cpu-map", *(f"cpu@{n:x}" for n in numbers)]
    for place, number in enumerate(numbers):
        core = f"/cpus/cpu-map/socket0/cluster0/core{place}"
        assert value(blob, core, "cpu") == value(blob, f"/cpus/cpu@{number:x}", "phandle")
        assert value(blob, f"/cpus/cpu@{number:x}", "reg") == [number]
    assert int.from_bytes(blob[4:8], "big") == len(blob), "totalsize"


def test_what_firmware_looks_for() -> None:
    blob = devicetree.build(Contents(RAM, nodes=[UART]))
    assert value(blob, "/psci", "method") == ["hvc"]
    assert value(blob, "/chosen", "stdout-path") == ["/pl011@9000000"]
    assert value(blob, "/aliases", "serial0") == ["/pl011@9000000"]
    assert value(blob, "/apb-pclk", "clock-frequency") == [24_000_000]
    assert "arm,armv8-timer" in value(blob, "/timer", "compatible")


@pytest.mark.parametrize("bootargs", ["", "console=ttyAMA0 quiet panic=-1"])
def test_boot_arguments(bootargs: str) -> None:
    blob = devicetree.build(Contents(RAM, nodes=[UART], bootargs=bootargs))
    if bootargs:
        assert value(blob, "/chosen", "bootargs") == [bootargs]
    else:
        assert fdt.parse_dtb(blob).get_property("bootargs", "/chosen") is None


def test_an_initial_ram_disk() -> None:
    blob = devicetree.build(Contents(RAM, initrd=(0x4800_0000, 0x1_4812_3456)))
    assert value(blob, "/chosen", "linux,initrd-start") == [0, 0x4800_0000]
    assert value(blob, "/chosen", "linux,initrd-end") == [1, 0x4812_3456]


def test_seeds() -> None:
    def seeds(seed: int | None) -> tuple[object, ...]:
        tree = fdt.parse_dtb(devicetree.build(Contents(RAM, nodes=[UART], seed=seed)))
        found = (tree.get_property(name, "/chosen") for name in ("kaslr-seed", "rng-seed"))
        return tuple(prop and tuple(prop.data) for prop in found)

    assert seeds(None) == (None, None)
    kaslr, rng = seeds(1)
    assert (kaslr, rng) == seeds(1) != seeds(2)
    assert isinstance(kaslr, tuple)
    assert isinstance(rng, tuple)
    assert (len(kaslr), len(rng)) == (2, 8)
    assert len({*kaslr, *rng}) == 10


def test_the_timer_has_its_interrupts() -> None:
    """PPIs 13, 14, 11 and 10: kvm-unit-tests ends its set-up if they are missing.

    They are level-sensitive. On a GICv2 there is a mask of the processors in bits 8 to 15.
    """

    def interrupts(gic: GicFrames | None, vcpus: int) -> list[int] | list[str]:
        blob = devicetree.build(Contents(RAM, tuple(range(vcpus)), gic))
        return value(blob, "/timer", "interrupts")

    assert interrupts(None, 1) == [1, 13, 0x104, 1, 14, 0x104, 1, 11, 0x104, 1, 10, 0x104]
    assert interrupts(GICV2, 4) == [1, 13, 0xF04, 1, 14, 0xF04, 1, 11, 0xF04, 1, 10, 0xF04]
    assert interrupts(GICV3, 4) == [1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]


def test_interrupts_of_devices_only_where_there_is_a_controller() -> None:
    def all_properties(blob: bytes) -> set[str]:
        return {prop.name for _, _, props in fdt.parse_dtb(blob).walk() for prop in props}

    without = devicetree.build(Contents(RAM, nodes=[UART]))
    assert "interrupt-parent" not in all_properties(without)
    assert fdt.parse_dtb(without).get_property("interrupts", "/pl011@9000000") is None
    assert not [name for name in names(without) if name.startswith("intc")]

    blob = devicetree.build(Contents(RAM, gic=GICV3, nodes=[UART]))
    controller = value(blob, "/intc@8000000", "phandle")
    assert value(blob, "/", "interrupt-parent") == controller
    assert value(blob, "/pl011@9000000", "interrupts") == [0, 1, 4]
    assert value(blob, "/intc@8000000", "compatible") == ["arm,gic-v3"]
    assert value(blob, "/intc@8000000", "reg") == [
        0, 0x08000000, 0, 0x10000, 0, 0x080A0000, 0, 0xF60000,
    ]  # fmt: skip
    blob = devicetree.build(Contents(RAM, gic=GICV2, nodes=[UART]))
    assert value(blob, "/intc@8000000", "compatible") == ["arm,cortex-a15-gic"]


@pytest.mark.parametrize(
    ("bootargs", "message"),
    [("a\0b", "bootargs has a NUL"), ("\ud800", "the device tree cannot be made: .*surrogates")],
)
def test_bootargs_that_no_property_can_have(bootargs: str, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        devicetree.build(Contents(RAM, bootargs=bootargs))
