"""The registers of the PL061, by its manual (DDI 0190), and the power button."""

import pytest

from guestdbg.machine import Board, InputLog
from guestdbg.machine.devices.pl061 import POWER_PIN, Pl061, Reg
from tests.machine.fakes import FakeKvm

BUTTON = 1 << POWER_PIN
BUTTON_DATA = BUTTON << 2  # the address of the data register with this pin alone


class Pins:
    """A PL061, and the levels of its interrupt."""

    def __init__(self) -> None:
        self.levels: list[bool] = []
        self.gpio = Pl061(set_level=self.levels.append)

    def read(self, offset: int) -> int:
        return self.gpio.read(offset, 4)

    def write(self, offset: int, value: int) -> None:
        self.gpio.write(offset, 4, value)


def test_identification() -> None:
    ids = [Pins().read(0xFE0 + 4 * n) for n in range(8)]
    assert sum(ids[n] << 8 * n for n in range(4)) == 0x41061
    assert sum(ids[4 + n] << 8 * n for n in range(4)) == 0xB105F00D


def test_the_address_is_a_mask_of_the_data() -> None:
    pins = Pins()
    pins.write(Reg.DIR, 0xF0)
    pins.write(0x3FC, 0xFF)
    assert pins.read(0x3FC) == 0xF0, "inputs are low"
    pins.write(0x30 << 2, 0)
    assert pins.read(0x3FC) == 0xC0
    assert pins.read(0x40 << 2) == 0x40
    pins.gpio.set_input(0, high=True)
    pins.gpio.set_input(7, high=True)
    assert pins.read(0x3FC) == 0xC1, "pin 7 is an output"


@pytest.mark.parametrize(
    ("both", "rising", "expected"),
    [(0, 0, [0, 1]), (0, 1, [1, 0]), (1, 0, [1, 1])],
    ids=["falling", "rising", "both"],
)
def test_edges(both: int, rising: int, expected: list[int]) -> None:
    pins = Pins()
    pins.write(Reg.IBE, both)
    pins.write(Reg.IEV, rising)
    seen = []
    for high in (True, False):
        pins.gpio.set_input(0, high=high)
        seen.append(pins.read(Reg.RIS))
        pins.write(Reg.IC, 0xFF)
        assert pins.read(Reg.RIS) == 0
    assert seen == expected


def test_levels_last_as_long_as_the_pin() -> None:
    pins = Pins()
    pins.write(Reg.IS, 1)
    pins.write(Reg.IEV, 1)
    pins.write(Reg.IE, 1)
    pins.gpio.set_input(0, high=True)
    pins.write(Reg.IC, 0xFF)
    assert (pins.read(Reg.RIS), pins.read(Reg.MIS), pins.levels) == (1, 1, [True])
    pins.gpio.set_input(0, high=False)
    assert (pins.read(Reg.RIS), pins.levels) == (0, [True, False])


def test_masked_interrupts_are_raised_and_not_passed_on() -> None:
    pins = Pins()
    pins.write(Reg.IBE, 0xFF)
    pins.gpio.set_input(5, high=True)
    assert (pins.read(Reg.RIS), pins.read(Reg.MIS), pins.levels) == (0x20, 0, [])
    pins.write(Reg.IE, 0x20)
    assert pins.levels == [True]


def test_the_button_is_released_once_the_guest_has_read_it() -> None:
    """As Linux's gpio-keys does: both edges; acknowledge, wait for the bounce, read the pin."""
    pins = Pins()
    pins.write(Reg.IBE, BUTTON)
    pins.write(Reg.IE, BUTTON)
    pins.gpio.press()
    assert pins.levels == [True]
    pins.write(Reg.IC, BUTTON)
    assert pins.levels == [True, False]
    assert pins.read(BUTTON_DATA) == BUTTON, "pressed"
    assert pins.read(Reg.RIS) == 0, "this read still sees it as it was"
    assert pins.read(Reg.RIS) == BUTTON, "released"
    assert pins.levels == [True, False, True]
    assert pins.read(BUTTON_DATA) == 0


def test_pressing_it_twice_gives_two_edges() -> None:
    pins = Pins()
    pins.write(Reg.IEV, BUTTON)
    for _ in range(2):
        pins.gpio.press()
        assert pins.read(Reg.RIS) == BUTTON
        pins.write(Reg.IC, BUTTON)


def test_a_board_gets_the_press_as_an_input() -> None:
    board = Board(FakeKvm())
    log = InputLog()
    board.inputs.listener = log.append
    board.press_power_button()
    assert board.gpio.peek(BUTTON_DATA) == 0
    board.run(board.vcpus[0])
    assert board.gpio.peek(BUTTON_DATA) == BUTTON
    assert [item.port for item in log] == ["power"]
