"""The MMIO transport (virtio 1.2, 4.2): registers, negotiation, status, interrupts, queue reset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.machine.virtio import EmptyTransports
from guestdbg.machine.virtio.constants import Feature, InterruptStatus, Reg, Status
from tests.machine.virtio.disks import DATA_AT, IN, OK, disk, driving, request
from tests.machine.virtio.driver import ALL, RAM, RAM_SIZE, Driver, Ring

NEEDS_RESET = Status.DEVICE_NEEDS_RESET


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    disk(tmp_path / "disk.img")
    with driving(f"{tmp_path}/disk.img,overlay") as driver:
        yield driver


def test_it_identifies_itself(driver: Driver) -> None:
    assert driver.read(Reg.MAGIC_VALUE).to_bytes(4, "little") == b"virt"
    assert driver.read(Reg.VERSION) == 2
    assert driver.read(Reg.DEVICE_ID) == 2
    assert driver.read(Reg.VENDOR_ID).to_bytes(4, "little") == b"QEMU"
    assert driver.offered & ALL == ALL
    for offset in range(Reg.SHM_LEN_LOW, Reg.QUEUE_RESET, 4):
        assert driver.read(offset) == 0xFFFF_FFFF  # no shared memory


def test_registers_take_only_words(driver: Driver) -> None:
    for size in (1, 2, 8):
        assert driver.read(Reg.MAGIC_VALUE, size) == 0
        driver.device.write(Reg.STATUS, size, 1)
    assert driver.status == 0


@pytest.mark.parametrize(
    ("features", "accepted"),
    [
        (Feature.VERSION_1, True),
        (ALL, True),
        (0, False),  # VERSION_1 is missing
        (ALL & ~Feature.VERSION_1, False),
        (ALL | 1 << 50, False),  # not offered
        (ALL | 1 << 12, False),
    ],
)
def test_features_are_accepted_or_refused(driver: Driver, features: int, accepted: bool) -> None:
    assert driver.negotiate(features) is accepted
    driver.write(Reg.STATUS, driver.status | Status.DRIVER_OK)
    assert bool(driver.status & Status.DRIVER_OK) is accepted


def test_features_do_not_change_after_features_ok(driver: Driver) -> None:
    assert driver.negotiate(Feature.VERSION_1)
    driver.write(Reg.DRIVER_FEATURES_SEL, 0)
    driver.write(Reg.DRIVER_FEATURES, 0xFFFF_FFFF)
    assert driver.device.features == Feature.VERSION_1


def test_a_selector_past_the_features_reads_zero(driver: Driver) -> None:
    driver.write(Reg.DEVICE_FEATURES_SEL, 2)
    assert driver.read(Reg.DEVICE_FEATURES) == 0
    driver.write(Reg.QUEUE_SEL, 1)
    assert driver.read(Reg.QUEUE_NUM_MAX) == 0
    driver.write(Reg.QUEUE_READY, 1)
    assert driver.read(Reg.QUEUE_READY) == 0


def test_nothing_happens_before_driver_ok_and_all_of_it_then(driver: Driver) -> None:
    assert driver.negotiate(Feature.VERSION_1)
    ring = Ring(driver, 0, 8)
    driver.set_up(ring)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) is None
    assert driver.dma == []
    driver.write(Reg.STATUS, driver.status | Status.DRIVER_OK)
    assert len(ring.take_used()) == 1
    assert driver.levels == [True]


def test_the_interrupt_is_a_level_until_it_is_acknowledged(driver: Driver) -> None:
    ring = driver.start(Feature.VERSION_1)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    assert driver.levels == [True]
    assert driver.read(Reg.INTERRUPT_STATUS) == InterruptStatus.USED_BUFFER
    driver.write(Reg.INTERRUPT_ACK, InterruptStatus.CONFIGURATION_CHANGE)
    assert driver.levels == [True]
    driver.write(Reg.INTERRUPT_ACK, InterruptStatus.USED_BUFFER)
    assert driver.levels == [True, False]
    assert driver.read(Reg.INTERRUPT_STATUS) == 0


def test_a_driver_can_do_without_interrupts(driver: Driver) -> None:
    ring = driver.start(Feature.VERSION_1)
    driver.memory.write(ring.available, b"\x01\0")  # VIRTQ_AVAIL_F_NO_INTERRUPT
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    assert driver.levels == []


def test_the_event_index_says_when_to_interrupt_and_to_notify(driver: Driver) -> None:
    ring = driver.start()
    ring.set_used_event(2)  # an interrupt when the third request is used
    for done in (1, 2):
        assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
        assert ring.avail_event == done
        assert driver.levels == []
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    assert driver.levels == [True]


def test_indices_wrap(driver: Driver) -> None:
    ring = driver.start(size=4)
    state = driver.device.queues[0].snapshot()
    at = ring.next_available = ring.seen_used = 0xFFFE
    driver.device.queues[0].restore(state._replace(next_available=at, next_used=at, published=at))
    driver.memory.write(ring.used + 2, at.to_bytes(2, "little"))
    for _ in range(5):
        ring.set_used_event(ring.next_available)
        assert request(ring, IN, 3, [(DATA_AT, 512, True)]) == OK
    assert ring.used_index == 3
    assert driver.levels == [True]


def test_the_configuration_and_its_generation(driver: Driver) -> None:
    ring = driver.start()
    assert driver.read(Reg.CONFIG) == 256
    assert [driver.read(Reg.CONFIG + n, 1) for n in range(3)] == [0, 1, 0]
    assert driver.read(Reg.CONFIG + 20) == 512  # blk_size
    assert driver.read(Reg.CONFIG, 8) == 256
    assert driver.read(0x1FC) == 0
    driver.device.write(Reg.CONFIG, 4, 5)  # read-only for the driver
    assert driver.read(Reg.CONFIG) == 256
    before = driver.read(Reg.CONFIG_GENERATION)
    driver.device.config_changed()
    assert driver.read(Reg.CONFIG_GENERATION) == before + 1
    assert driver.read(Reg.INTERRUPT_STATUS) == InterruptStatus.CONFIGURATION_CHANGE
    assert ring.used_index == 0


def test_a_reset_is_complete(driver: Driver) -> None:
    ring = driver.start()
    ring.set_used_event(0)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK
    driver.write(Reg.STATUS, 0)
    assert driver.levels == [True, False]
    assert (driver.status, driver.read(Reg.INTERRUPT_STATUS)) == (0, 0)
    assert driver.read(Reg.QUEUE_READY) == 0
    ring = driver.start()
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK


def test_one_queue_can_be_reset(driver: Driver) -> None:
    ring = driver.start()
    driver.write(Reg.QUEUE_SEL, 0)
    driver.write(Reg.QUEUE_RESET, 1)
    assert (driver.read(Reg.QUEUE_RESET), driver.read(Reg.QUEUE_READY)) == (0, 0)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) is None
    fresh = Ring(driver, 0, 8)
    driver.memory.write(fresh.descriptors, bytes(0x8000))
    driver.set_up(fresh)
    assert request(fresh, IN, 0, [(DATA_AT, 512, True)]) == OK


def test_a_queue_is_not_reset_without_the_feature(driver: Driver) -> None:
    ring = driver.start(Feature.VERSION_1)
    driver.write(Reg.QUEUE_RESET, 1)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) == OK


@pytest.mark.parametrize(
    ("register", "value"),
    [
        (Reg.QUEUE_NUM, 0),
        (Reg.QUEUE_NUM, 3),
        (Reg.QUEUE_NUM, 512),
        (Reg.QUEUE_NUM, 0xFFFF_FFFF),
        (Reg.QUEUE_DESC_LOW, RAM + 8),
        (Reg.QUEUE_DRIVER_LOW, RAM + 1),
        (Reg.QUEUE_DEVICE_LOW, RAM + 2),
        (Reg.QUEUE_DESC_LOW, RAM + RAM_SIZE - 16),
        (Reg.QUEUE_DESC_HIGH, 1),
        (Reg.QUEUE_DRIVER_HIGH, 0xFFFF_FFFF),
        (Reg.QUEUE_DEVICE_LOW, 0),  # flash, which is read-only
    ],
)
def test_a_queue_that_cannot_be_needs_a_reset(driver: Driver, register: Reg, value: int) -> None:
    assert driver.negotiate(ALL)
    ring = Ring(driver, 0, 16)
    driver.set_up(ring)
    driver.write(Reg.QUEUE_READY, 0)
    driver.write(register, value)
    driver.write(Reg.QUEUE_READY, 1)
    assert driver.read(Reg.QUEUE_READY) == 0
    assert driver.status & NEEDS_RESET
    driver.write(Reg.STATUS, driver.status | Status.DRIVER_OK)
    assert request(ring, IN, 0, [(DATA_AT, 512, True)]) is None
    assert request(driver.start(), IN, 0, [(DATA_AT, 512, True)]) == OK


def test_every_register_can_be_written_and_read(driver: Driver) -> None:
    driver.start()
    for offset in range(0, 0x200, 1):
        for size in (1, 2, 4, 8):
            if offset % size == 0:
                driver.device.write(offset, size, (1 << 8 * size) - 1)
                assert 0 <= driver.read(offset, size) < 1 << 8 * size
                assert driver.device.peek(offset & ~3) == driver.read(offset & ~3)


def test_a_transport_without_a_device() -> None:
    empty = EmptyTransports(0x0A00_0000, 0x4000)
    for slot in range(32):
        base = 0x200 * slot
        assert empty.read(base + Reg.MAGIC_VALUE, 4).to_bytes(4, "little") == b"virt"
        assert empty.read(base + Reg.VERSION, 4) == 2
        assert empty.read(base + Reg.DEVICE_ID, 4) == 0
        empty.write(base + Reg.STATUS, 4, 0xFF)
        assert empty.peek(base + Reg.STATUS) == 0


def test_a_snapshot_has_the_whole_state(driver: Driver) -> None:
    ring = driver.start()
    ring.set_used_event(0)
    assert request(ring, IN, 1, [(DATA_AT, 512, True)]) == OK
    state, seen = driver.device.snapshot(), (ring.next_available, ring.seen_used)
    used = driver.memory.read(ring.descriptors, 0x8000)
    levels = list(driver.levels)
    driver.write(Reg.STATUS, 0)
    driver.device.restore(state)
    driver.memory.write(ring.descriptors, used)
    assert driver.device.snapshot() == state
    assert driver.read(Reg.INTERRUPT_STATUS) == InterruptStatus.USED_BUFFER
    assert driver.device.level
    assert driver.levels == [*levels, False]  # the interrupt controller is restored by itself
    ring.next_available, ring.seen_used = seen
    assert request(ring, IN, 1, [(DATA_AT, 512, True)]) == OK
