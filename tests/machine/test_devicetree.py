"""The device tree, parsed again."""

import fdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.machine import devicetree
from guestdbg.machine.devicetree import GicFrames
from guestdbg.machine.errors import MachineError


def value(blob: bytes, path: str, name: str) -> list[int] | list[str]:
    prop = fdt.parse_dtb(blob).get_property(name, path)
    assert prop is not None, f"{path}/{name}"
    return list(prop.data)


def names(blob: bytes, path: str = "/") -> list[str]:
    return [str(node.name) for node in fdt.parse_dtb(blob).get_node(path).nodes]


@given(size=st.integers(1, 1 << 28).map(lambda n: n << 12), vcpus=st.integers(1, 8))
def test_memory_and_processors(size: int, vcpus: int) -> None:
    blob = devicetree.build(size, vcpus)
    assert value(blob, "/memory@40000000", "reg") == [
        0,
        0x40000000,
        size >> 32,
        size & 0xFFFFFFFF,
    ]
    assert names(blob, "/cpus") == [f"cpu@{n:x}" for n in range(vcpus)]
    assert int.from_bytes(blob[4:8], "big") == len(blob), "totalsize"


def test_what_firmware_looks_for() -> None:
    blob = devicetree.build(128 << 20)
    assert value(blob, "/psci", "method") == ["hvc"]
    assert value(blob, "/chosen", "stdout-path") == ["/pl011@9000000"]
    assert value(blob, "/pl011@9000000", "compatible") == ["arm,pl011", "arm,primecell"]
    assert value(blob, "/pl011@9000000", "reg") == [0, 0x09000000, 0, 0x1000]
    clock = value(blob, "/pl011@9000000", "clocks")[0]
    assert value(blob, "/apb-pclk", "phandle") == [clock]
    assert value(blob, "/apb-pclk", "clock-frequency") == [24_000_000]
    assert "arm,armv8-timer" in value(blob, "/timer", "compatible")


@pytest.mark.parametrize("bootargs", ["", "console=ttyAMA0 quiet panic=-1"])
def test_boot_arguments(bootargs: str) -> None:
    blob = devicetree.build(128 << 20, bootargs=bootargs)
    if bootargs:
        assert value(blob, "/chosen", "bootargs") == [bootargs]
    else:
        assert fdt.parse_dtb(blob).get_property("bootargs", "/chosen") is None


def test_the_timer_has_its_interrupts() -> None:
    """PPIs 13, 14, 11 and 10: kvm-unit-tests ends its set-up if they are missing."""
    cells = value(devicetree.build(128 << 20), "/timer", "interrupts")
    assert cells == [1, 13, 0x104, 1, 14, 0x104, 1, 11, 0x104, 1, 10, 0x104]


def test_interrupts_of_devices_only_where_there_is_a_controller() -> None:
    def all_properties(blob: bytes) -> set[str]:
        return {prop.name for _, _, props in fdt.parse_dtb(blob).walk() for prop in props}

    without = devicetree.build(128 << 20)
    assert "interrupt-parent" not in all_properties(without)
    assert fdt.parse_dtb(without).get_property("interrupts", "/pl011@9000000") is None
    assert not [name for name in names(without) if name.startswith("intc")]

    gic = GicFrames(3, ((0x08000000, 0x10000), (0x080A0000, 0xF60000)))
    blob = devicetree.build(128 << 20, gic=gic)
    controller = value(blob, "/intc@8000000", "phandle")
    assert value(blob, "/", "interrupt-parent") == controller
    assert value(blob, "/pl011@9000000", "interrupts") == [0, 1, 4]
    assert len(value(blob, "/timer", "interrupts")) == 12
    assert value(blob, "/intc@8000000", "compatible") == ["arm,gic-v3"]
    assert value(blob, "/intc@8000000", "reg") == [
        0, 0x08000000, 0, 0x10000, 0, 0x080A0000, 0, 0xF60000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bootargs", "message"),
    [("a\0b", "bootargs has a NUL"), ("\ud800", "the device tree cannot be made: .*surrogates")],
)
def test_bootargs_that_no_property_can_have(bootargs: str, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        devicetree.build(16 << 20, bootargs=bootargs)
