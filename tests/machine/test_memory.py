"""Guest-physical memory, accessed by the host."""

import resource
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.machine import MachineError, PhysicalAddressError, PhysicalMemory, Region, parse_size
from guestdbg.machine.sizes import format_size

BASE = 0x4000_0000
SIZE = 0x10000


@pytest.fixture
def memory() -> PhysicalMemory:
    memory = PhysicalMemory()
    memory.add(Region("RAM", BASE, SIZE))
    return memory


@given(offset=st.integers(0, SIZE), data=st.binary(max_size=300))
def test_reads_what_was_written(offset: int, data: bytes) -> None:
    memory = PhysicalMemory()
    memory.add(Region("RAM", BASE, SIZE))
    if offset + len(data) > SIZE:
        with pytest.raises(
            PhysicalAddressError, match="there is memory at RAM 0x40000000 to 0x4000ffff"
        ):
            memory.write(BASE + offset, data)
        return
    memory.write(BASE + offset, data)
    assert memory.read(BASE + offset, len(data)) == data
    rest = memory.read(BASE, SIZE)
    assert rest.count(0) == SIZE - len(data) + data.count(0)


@pytest.mark.parametrize(
    ("address", "length"),
    [(0, 1), (BASE - 1, 2), (BASE + SIZE - 1, 2), (BASE, SIZE + 1), (BASE, -1), (-1, 1)],
)
def test_outside_is_an_error_that_says_where_memory_is(
    memory: PhysicalMemory, address: int, length: int
) -> None:
    with pytest.raises(PhysicalAddressError):
        memory.read(address, length)


def test_zero_clears_exactly(memory: PhysicalMemory) -> None:
    memory.write(BASE, b"\xff" * SIZE)
    memory.zero(BASE + 3, 0x3001)
    assert memory.read(BASE, 3) == b"\xff" * 3
    assert memory.read(BASE + 3, 0x3001) == bytes(0x3001)
    assert memory.read(BASE + 0x3004, 1) == b"\xff"


def test_regions_may_not_overlap(memory: PhysicalMemory) -> None:
    with pytest.raises(MachineError, match="overlaps"):
        memory.add(Region("more", BASE + SIZE - 0x1000, 0x2000))
    memory.add(Region("more", BASE + SIZE, 0x1000))
    assert memory.find(BASE + SIZE - 1, 2) is None, "no region holds both"


def test_large_memory_takes_only_what_is_touched() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    region = Region("RAM", BASE, 16 << 30)
    region.buffer[8 << 30] = 1
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    assert (after - before) * unit < 64 << 20


def test_more_memory_than_address_space_is_a_clear_error() -> None:
    with pytest.raises(MachineError, match=r"cannot map .* for RAM"):
        Region("RAM", BASE, 1 << 60)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128M", 128 << 20),
        ("64k", 64 << 10),
        ("1 GiB", 1 << 30),
        ("2GB", 2 << 30),
        ("4096", 4096),
        ("0x8000000", 128 << 20),
        (77, 77),
    ],
)
def test_sizes_in_words(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "many", "128MM", "0xM"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(MachineError, match="is not a size"):
        parse_size(text)


@given(st.integers(1, 1 << 40))
def test_sizes_come_back(size: int) -> None:
    assert parse_size(format_size(size).removesuffix(" bytes")) == size
