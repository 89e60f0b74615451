"""The network device, connected to a network of the test's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guestdbg.machine import Board, MachineError
from guestdbg.machine.virtio.constants import Reg, Status
from guestdbg.machine.virtio.network import WAITING_MAX, VirtioNet
from tests.machine.fakes import FakeKvm
from tests.machine.usernet.peer import free_port
from tests.machine.virtio.driver import BUFFERS, Driver

MAC = bytes.fromhex("525400123456")
HEADER = bytes(10) + b"\1\0"


class Cable:
    """A network that keeps the frames of the guest."""

    active = False

    def __init__(self) -> None:
        self.deliver: Callable[[bytes], object] | None = None
        self.sent: list[bytes] = []
        self.resets = 0
        self.closed = False

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cable() -> Cable:
    return Cable()


@pytest.fixture
def driver(cable: Cable) -> Driver:
    driver = Driver.of(VirtioNet(cable, MAC))
    driver.start()
    return driver


def receive(driver: Driver, frame: bytes) -> None:
    driver.device.backend.receive(frame)  # type: ignore[attr-defined]


def test_the_address_and_the_link(driver: Driver) -> None:
    assert driver.read(Reg.DEVICE_ID) == 1
    config = bytes(driver.read(Reg.CONFIG + n, 1) for n in range(8))
    assert config == MAC + b"\1\0"


@pytest.mark.parametrize("pieces", [(72,), (12, 60), (5, 7, 1, 59)])
def test_frames_are_sent(driver: Driver, cable: Cable, pieces: tuple[int, ...]) -> None:
    frame = bytes(range(60))
    driver.memory.write(BUFFERS, HEADER + frame)
    ring, at, segments = driver.rings[1], BUFFERS, []
    for piece in pieces:
        segments.append((at, piece, False))
        at += piece
    ring.add(segments)
    ring.notify()
    assert cable.sent == [frame]
    assert len(ring.take_used()) == 1


def test_a_frame_that_is_too_long_is_dropped(driver: Driver, cable: Cable) -> None:
    ring = driver.rings[1]
    for length in (12 + 1514, 12 + 1515, 0x1_0000):
        ring.add([(BUFFERS, length, False)])
    ring.notify()
    assert [len(frame) for frame in cable.sent] == [1514]
    assert len(ring.take_used()) == 3


def test_frames_wait_for_buffers(driver: Driver) -> None:
    ring = driver.rings[0]
    for n in range(3):
        receive(driver, bytes((n,)) * 60)
    assert ring.take_used() == []
    for n in range(2):
        ring.add([(BUFFERS + 2048 * n, 1526, True)])
    ring.notify()
    assert [written for _, written in ring.take_used()] == [72, 72]
    assert driver.memory.read(BUFFERS, 72) == HEADER + bytes(60)
    assert driver.memory.read(BUFFERS + 2048, 72) == HEADER + b"\1" * 60
    ring.add([(BUFFERS, 12, True), (BUFFERS + 100, 1514, True)])
    ring.notify()
    assert len(ring.take_used()) == 1
    assert driver.memory.read(BUFFERS + 100, 60) == b"\2" * 60


def test_what_waits_has_a_bound(driver: Driver) -> None:
    for _ in range(WAITING_MAX + 50):
        receive(driver, bytes(60))
    receive(driver, bytes(1515))
    assert len(driver.device.backend.snapshot()) == WAITING_MAX  # type: ignore[arg-type]


def test_a_buffer_that_is_too_small(driver: Driver) -> None:
    driver.rings[0].add([(BUFFERS, 60, True)])
    receive(driver, bytes(60))
    assert driver.status & Status.DEVICE_NEEDS_RESET


def test_a_frame_without_its_header(driver: Driver) -> None:
    driver.rings[1].add([(BUFFERS, 11, False)])
    driver.rings[1].notify()
    assert driver.status & Status.DEVICE_NEEDS_RESET


def test_connections_do_not_go_back(driver: Driver, cable: Cable) -> None:
    receive(driver, b"x" * 60)
    state = driver.device.snapshot()
    resets = cable.resets
    driver.write(Reg.STATUS, 0)
    driver.device.restore(state)
    assert cable.resets == resets + 2
    driver.rings[0].add([(BUFFERS, 1526, True)])
    driver.rings[0].notify()
    assert driver.memory.read(BUFFERS + 12, 60) == b"x" * 60
    driver.close()
    assert cable.closed


def test_on_a_board() -> None:
    port = free_port()
    with Board(FakeKvm(), net=f"user,forward=tcp:{port}:22", entropy=True) as board:
        assert [device.name for device in board.virtio] == ["virtio-net", "virtio-rng"]
        assert board.wait_for_input(0)
        with pytest.raises(MachineError, match=f"another program listens at 127.0.0.1:{port}"):
            Board(FakeKvm(), net=f"user,forward=tcp:{port}:22")
    with Board(FakeKvm(), net="user") as board:
        assert not board.wait_for_input(0)
