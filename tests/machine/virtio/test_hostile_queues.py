"""Hostile drivers: broken rings and chains, and random ones.

A broken queue makes the device need a reset. Nothing outside memory and the disk is accessed, the
work has a bound, and after a reset the device works again.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine.virtio import virtqueue
from guestdbg.machine.virtio.constants import Feature, InterruptStatus, Reg, Status
from tests.machine.virtio.disks import (
    DATA_AT,
    HEADER_AT,
    IN,
    OK,
    STATUS_AT,
    disk,
    driving,
    request,
)
from tests.machine.virtio.driver import (
    FLASH,
    INDIRECT,
    NEXT,
    RAM,
    RAM_SIZE,
    WRITE,
    Driver,
    Ring,
)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    disk(tmp_path / "disk.img")
    with driving(f"{tmp_path}/disk.img,overlay") as driver:
        yield driver


def table(ring: Ring, *entries: tuple[int, int, int, int]) -> None:
    """An indirect table with these entries, and descriptor 0 that refers to it."""
    raw = b"".join(struct.pack("<QIHH", *entry) for entry in entries)
    ring.driver.memory.write(ring.indirect_at, raw)
    ring.descriptor(0, ring.indirect_at, len(raw), INDIRECT)


def loop(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 16, NEXT, 1)
    ring.descriptor(1, DATA_AT, 512, NEXT, 0)


def loop_of_one(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 16, NEXT, 0)


def next_outside(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 16, NEXT, ring.size)


def buffer_outside(ring: Ring) -> None:
    ring.descriptor(0, RAM + RAM_SIZE - 8, 16, 0)


def buffer_nowhere(ring: Ring) -> None:
    ring.descriptor(0, 0xFFFF_FFFF_FFFF_FFF8, 16, 0)


def buffer_too_long(ring: Ring) -> None:
    ring.descriptor(0, RAM, 0xFFFF_FFFF, 0)


def write_to_flash(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 16, NEXT, 1)
    ring.descriptor(1, FLASH, 512, WRITE)


def read_after_write(ring: Ring) -> None:
    ring.descriptor(0, DATA_AT, 512, NEXT | WRITE, 1)
    ring.descriptor(1, HEADER_AT, 16, 0)


def no_header(ring: Ring) -> None:
    ring.descriptor(0, STATUS_AT, 1, WRITE)


def short_header(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 15, NEXT, 1)
    ring.descriptor(1, STATUS_AT, 1, WRITE)


def no_status(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 16, 0)


def only_empty_buffers(ring: Ring) -> None:
    ring.descriptor(0, HEADER_AT, 0, NEXT, 1)
    ring.descriptor(1, STATUS_AT, 0, WRITE)


def indirect_in_indirect(ring: Ring) -> None:
    table(ring, (ring.indirect_at, 16, INDIRECT, 0))


def indirect_with_next(ring: Ring) -> None:
    ring.descriptor(0, ring.indirect_at, 16, INDIRECT | NEXT, 1)


def indirect_loop(ring: Ring) -> None:
    table(ring, (HEADER_AT, 16, NEXT, 1), (DATA_AT, 16, NEXT, 0))


def indirect_next_outside(ring: Ring) -> None:
    table(ring, (HEADER_AT, 16, NEXT, 7))


def indirect_odd(ring: Ring) -> None:
    ring.descriptor(0, ring.indirect_at, 17, INDIRECT)


def indirect_empty(ring: Ring) -> None:
    ring.descriptor(0, ring.indirect_at, 0, INDIRECT)


def indirect_large(ring: Ring) -> None:
    ring.descriptor(0, RAM, 16 * 1025, INDIRECT)


def indirect_outside(ring: Ring) -> None:
    ring.descriptor(0, RAM + RAM_SIZE - 16, 32, INDIRECT)


BROKEN: tuple[Callable[[Ring], None], ...] = (
    loop,
    loop_of_one,
    next_outside,
    buffer_outside,
    buffer_nowhere,
    buffer_too_long,
    write_to_flash,
    read_after_write,
    no_header,
    short_header,
    no_status,
    only_empty_buffers,
    indirect_in_indirect,
    indirect_with_next,
    indirect_loop,
    indirect_next_outside,
    indirect_odd,
    indirect_empty,
    indirect_large,
    indirect_outside,
)


def needs_reset(driver: Driver) -> bool:
    return bool(driver.status & Status.DEVICE_NEEDS_RESET)


def assert_broken_then_reset(driver: Driver, ring: Ring) -> None:
    assert needs_reset(driver)
    assert driver.read(Reg.INTERRUPT_STATUS) == InterruptStatus.CONFIGURATION_CHANGE
    assert driver.device.level
    assert ring.take_used() == []
    ring.notify()  # it does nothing until then
    assert ring.take_used() == []
    fresh = driver.start()
    assert request(fresh, IN, 0, [(DATA_AT, 512, True)]) == OK


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda function: function.__name__)
def test_a_broken_chain_needs_a_reset(driver: Driver, break_it: Callable[[Ring], None]) -> None:
    ring = driver.start()
    break_it(ring)
    ring.make_available(0)
    ring.notify()
    assert_broken_then_reset(driver, ring)


def test_indirect_descriptors_must_be_negotiated(driver: Driver) -> None:
    ring = driver.start(Feature.VERSION_1)
    table(ring, (HEADER_AT, 16, NEXT, 1), (STATUS_AT, 1, WRITE, 0))
    ring.make_available(0)
    ring.notify()
    assert_broken_then_reset(driver, ring)


@pytest.mark.parametrize("index", [17, 0x7FFF, 0xFFFF])
def test_the_available_index_cannot_jump(driver: Driver, index: int) -> None:
    ring = driver.start()
    driver.memory.write(ring.available + 2, index.to_bytes(2, "little"))
    ring.notify()
    assert_broken_then_reset(driver, ring)


def test_a_head_outside_the_table(driver: Driver) -> None:
    ring = driver.start()
    ring.make_available(16)
    ring.notify()
    assert_broken_then_reset(driver, ring)


def test_requests_before_the_broken_one_are_done(driver: Driver) -> None:
    ring = driver.start(Feature.VERSION_1)
    driver.memory.write(HEADER_AT, struct.pack("<IIQ", IN, 0, 0))
    head = ring.add([(HEADER_AT, 16, False), (DATA_AT, 512, True), (STATUS_AT, 1, True)])
    ring.make_available(99)
    ring.notify()
    assert ring.take_used() == [(head, 513)]
    assert needs_reset(driver)
    both = InterruptStatus.USED_BUFFER | InterruptStatus.CONFIGURATION_CHANGE
    assert driver.read(Reg.INTERRUPT_STATUS) == both


def test_the_device_may_overwrite_its_own_rings(driver: Driver) -> None:
    """A read into the descriptor table and the rings: random numbers are descriptors then."""
    ring = driver.start()
    request(ring, IN, 0, [(ring.descriptors, 0x8000, True)])
    for _ in range(20):
        ring.notify()
    assert request(driver.start(), IN, 0, [(DATA_AT, 512, True)]) == OK


def test_overlapping_rings(driver: Driver) -> None:
    assert driver.negotiate(driver.offered)
    ring = Ring(driver, 0, 16)
    ring.descriptors = ring.available = ring.used = RAM
    driver.set_up(ring)
    driver.write(Reg.STATUS, driver.status | Status.DRIVER_OK)
    driver.memory.write(RAM, b"\0\0\x10\0" * 64)
    for _ in range(20):
        ring.notify()
    assert request(driver.start(), IN, 0, [(DATA_AT, 512, True)]) == OK


def test_the_work_of_one_notification_has_a_bound(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is done when the driver acknowledges the interrupt, which it gets for it."""
    monkeypatch.setattr(virtqueue, "WORK_MAX", 20_000)
    ring = driver.start()
    ring.set_used_event(100)  # no interrupt for any of these
    driver.memory.write(HEADER_AT, struct.pack("<IIQ", IN, 0, 0))
    for _ in range(5):
        ring.add([(HEADER_AT, 16, False), (DATA_AT, 4096, True), (STATUS_AT, 1, True)])
    ring.notify()
    assert len(ring.take_used()) == 3
    assert driver.device.level
    driver.write(Reg.INTERRUPT_ACK, InterruptStatus.USED_BUFFER)
    assert len(ring.take_used()) == 2
    assert not driver.device.level


class Guard:
    """Memory around what the device may write: it keeps its contents."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.before = driver.memory.read(RAM, RAM_SIZE)
        driver.dma.clear()

    def check(self) -> None:
        """Each byte that changed was reported."""
        now = self.driver.memory.read(RAM, RAM_SIZE)
        changed = bytearray(RAM_SIZE)
        for address, length in self.driver.dma:
            assert address >= RAM
            assert address + length <= RAM + RAM_SIZE
            changed[address - RAM : address - RAM + length] = b"\1" * length
        at = 0
        for at in range(0, RAM_SIZE, 4096):
            end = at + 4096
            if now[at:end] != self.before[at:end]:
                for n in range(at, end):
                    assert now[n] == self.before[n] or changed[n], hex(RAM + n)


addresses = st.one_of(
    st.integers(RAM, RAM + RAM_SIZE),
    st.sampled_from((0, RAM, RAM + 0x5000, RAM + RAM_SIZE - 1, HEADER_AT, (1 << 64) - 1)),
)
lengths = st.sampled_from((0, 1, 16, 512, 1024, 0x4000, 0xFFFF_FFFF))
descriptors = st.tuples(addresses, lengths, st.integers(0, 7), st.integers(0, 20))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(descriptors, min_size=16, max_size=16),
    st.lists(descriptors, min_size=4, max_size=4),
    st.lists(st.integers(0, 17), min_size=1, max_size=16),
    st.sampled_from((0, 1, 4, 8)),
)
def test_random_queues(
    tmp_path_factory: pytest.TempPathFactory,
    entries: list[tuple[int, int, int, int]],
    indirect: list[tuple[int, int, int, int]],
    heads: list[int],
    kind: int,
) -> None:
    path = tmp_path_factory.mktemp("disks") / "a.img"
    contents = disk(path, 16)
    with driving(f"{path},overlay") as driver:
        ring = driver.start()
        driver.memory.write(HEADER_AT, struct.pack("<IIQ", kind, 0, 1))
        for n, entry in enumerate(entries):
            ring.descriptor(n, *entry)
        for n, entry in enumerate(indirect):
            driver.memory.write(ring.indirect_at + 16 * n, struct.pack("<QIHH", *entry))
        guard = Guard(driver)
        for head in heads:
            ring.make_available(head)
            ring.notify()
        device_wrote_ring = any(a < RAM + 0x8000 and n > 8 for a, n in driver.dma)
        if not device_wrote_ring:
            # The driver's own stores since then.
            at = ring.available - RAM
            now = driver.memory.read(ring.available, 64)
            guard.before = guard.before[:at] + now + guard.before[at + 64 :]
        else:
            guard.before = driver.memory.read(RAM, 0x8000) + guard.before[0x8000:]
        guard.check()
        assert request(driver.start(), IN, 0, [(DATA_AT, 512, True)]) == OK
    assert path.read_bytes() == contents


@pytest.mark.parametrize("seed", range(20))
def test_random_accesses_to_all_registers(driver: Driver, seed: int) -> None:
    chance = random.Random(seed)
    offsets = [*map(int, Reg), *range(0x100, 0x140), *range(0, 0x200, 4)]
    values = (0, 1, 2, 3, 8, 15, 16, 64, 0xFF, RAM, RAM + 0x4000, RAM + 0x6000, 0xFFFF_FFFF)
    driver.memory.write(RAM, chance.randbytes(0x8000))
    state = driver.device.snapshot()
    for n in range(3000):
        if n % 50 == 0:
            state = driver.device.snapshot()
        elif n % 50 == 20:
            driver.device.restore(state)
            assert driver.device.snapshot() == state
        offset, size = chance.choice(offsets), chance.choice((4, 4, 4, 1, 2, 8))
        if chance.random() < 0.3:
            driver.read(offset, size)
        else:
            value = chance.choice(values) & (1 << 8 * size) - 1
            driver.device.write(offset, size, value)
    assert request(driver.start(), IN, 0, [(DATA_AT, 512, True)]) == OK


@pytest.mark.parametrize("size", [0, 3, 1 << 10, 0x4010_0000, 0xFFFF_FFFF])
def test_a_snapshot_has_whatever_size_was_written(driver: Driver, size: int) -> None:
    """It is refused when the queue is enabled, not when the guest goes back."""
    driver.write(Reg.QUEUE_SEL, 0)
    driver.write(Reg.QUEUE_NUM, size)
    state = driver.device.snapshot()
    driver.write(Reg.QUEUE_NUM, 8)
    driver.device.restore(state)
    assert driver.device.snapshot() == state
