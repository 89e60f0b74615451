"""The console and the entropy device."""

from __future__ import annotations

import pytest

from guestdbg.machine import Board, Console, MachineError
from guestdbg.machine.virtio.console import VirtioConsole
from guestdbg.machine.virtio.constants import InterruptStatus, Reg, Status
from guestdbg.machine.virtio.entropy import REQUEST_MAX, Entropy
from tests.machine.fakes import FakeKvm
from tests.machine.virtio.driver import BUFFERS, Driver, Ring

SIZE, EMERG_WRITE = 1, 4


class Terminal:
    """A console device, and what it has shown."""

    def __init__(self) -> None:
        self.shown = bytearray()
        self.console = Console(self.shown.extend)
        self.backend = VirtioConsole(self.console)
        self.driver = Driver.of(self.backend)
        self.receive = self.driver.start()
        self.transmit: Ring = self.driver.rings[1]


def read_used(ring: Ring, address: int) -> bytes:
    return b"".join(ring.driver.memory.read(address, length) for _, length in ring.take_used())


def test_what_the_guest_writes_is_shown_at_once() -> None:
    terminal = Terminal()
    driver, ring = terminal.driver, terminal.transmit
    driver.memory.write(BUFFERS, b"hello, a prompt> ")
    ring.add([(BUFFERS, 5, False), (BUFFERS + 5, 12, False)])
    ring.notify()
    assert terminal.shown == b"hello, a prompt> "
    assert len(ring.take_used()) == 1


def test_typed_text_waits_for_buffers() -> None:
    terminal = Terminal()
    ring = terminal.receive
    terminal.backend.receive(b"too early")
    assert ring.take_used() == []
    ring.add([(BUFFERS, 4, True), (BUFFERS + 4, 2, True)])
    ring.notify()
    assert read_used(ring, BUFFERS) == b"too ea"
    ring.add([(BUFFERS, 64, True)])
    ring.notify()
    assert read_used(ring, BUFFERS) == b"rly"
    terminal.driver.dma.clear()
    ring.add([(BUFFERS, 64, True)])
    ring.notify()
    assert ring.take_used() == []  # nothing is typed
    terminal.backend.receive(b"now")
    assert read_used(ring, BUFFERS) == b"now"
    assert (BUFFERS, 3) in terminal.driver.dma


def test_an_answer_comes_without_a_notification() -> None:
    """The output triggers input, which the driver has a buffer for."""
    terminal = Terminal()
    terminal.console.answer(b"login: ", b"root\r")
    terminal.receive.add([(BUFFERS + 64, 64, True)])
    terminal.receive.notify()
    terminal.driver.memory.write(BUFFERS, b"login: ")
    terminal.transmit.add([(BUFFERS, 7, False)])
    terminal.transmit.notify()
    assert read_used(terminal.receive, BUFFERS + 64) == b"root\r"


def test_the_size_of_the_terminal() -> None:
    terminal = Terminal()
    driver = terminal.driver
    assert driver.offered & (SIZE | EMERG_WRITE) == SIZE | EMERG_WRITE
    generation = driver.read(Reg.CONFIG_GENERATION)
    assert [driver.read(Reg.CONFIG + n, 2) for n in (0, 2)] == [80, 24]
    terminal.backend.resize(132, 50)
    assert [driver.read(Reg.CONFIG + n, 2) for n in (0, 2)] == [132, 50]
    assert driver.read(Reg.CONFIG_GENERATION) != generation
    assert driver.read(Reg.INTERRUPT_STATUS) == InterruptStatus.CONFIGURATION_CHANGE


def test_a_character_before_there_are_queues() -> None:
    shown = bytearray()
    console = Console(shown.extend)
    driver = Driver.of(VirtioConsole(console))
    for byte in b"panic\n":
        driver.write(Reg.CONFIG + 8, byte)
    assert shown == b"panic\n"


def test_a_console_snapshot() -> None:
    terminal = Terminal()
    terminal.backend.receive(b"abc")
    state = terminal.driver.device.snapshot()
    terminal.backend.resize(1, 1)
    terminal.console.take(3)
    terminal.driver.device.restore(state)
    assert terminal.console.take(10) == b"abc"
    assert terminal.driver.read(Reg.CONFIG, 2) == 80


def entropy(seed: int = 1) -> tuple[Driver, Ring]:
    driver = Driver.of(Entropy(seed))
    return driver, driver.start()


def get(ring: Ring, length: int) -> bytes:
    ring.add([(BUFFERS, length, True)])
    ring.notify()
    return read_used(ring, BUFFERS)


def test_entropy_is_the_same_for_the_same_seed() -> None:
    (_, one), (_, two), (_, three) = entropy(1), entropy(1), entropy(2)
    first = get(one, 64)
    assert len(first) == 64
    assert first == get(two, 64)
    assert get(one, 64) == get(two, 64) != first
    assert get(three, 64) != first
    assert get(one, 1000)[:64] not in (first, bytes(64))


def test_an_entropy_request_has_a_bound() -> None:
    _, ring = entropy()
    assert len(get(ring, 0x4_0000)) == REQUEST_MAX


def test_entropy_goes_back_with_a_snapshot() -> None:
    driver, ring = entropy()
    get(ring, 16)
    state = driver.device.backend.snapshot()
    second = get(ring, 16)
    driver.device.backend.restore(state)
    assert get(ring, 16) == second


def test_a_request_for_entropy_with_something_to_read() -> None:
    driver, ring = entropy()
    ring.descriptor(0, BUFFERS, 16, 0)
    ring.make_available(0)
    ring.notify()
    assert driver.status & Status.DEVICE_NEEDS_RESET
    assert len(get(driver.start(), 8)) == 8


def test_they_are_on_a_board() -> None:
    console = Console(None)
    board = Board(FakeKvm(), entropy=True, virtio_console=console)
    assert [device.read(Reg.DEVICE_ID, 4) for device in board.virtio] == [3, 4]
    with pytest.raises(MachineError, match="must be a Console of its own"):
        Board(FakeKvm(), console=console, virtio_console=console)
