"""The PL061 general-purpose I/O, with the power button at its pin 3.

Source: Arm PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual, DDI 0190,
chapter 3. The alternate functions of the pins (GPIOAFSEL) do nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.devicetree import GPIO_PHANDLE, Node, primecell
from guestdbg.machine.interrupts import no_interrupt
from guestdbg.machine.layout import GPIO_BASE, GPIO_SIZE, GPIO_SPI

if TYPE_CHECKING:
    from guestdbg.machine.interrupts import SetLevel

POWER_PIN = 3
_KEY_POWER = 116  # of Linux's input event codes

DATA_END = 0x400
ID_REGISTERS = 0xFE0
# GPIOPeriphID0 to 3: part 0x061, designer 0x41 (Arm). Then GPIOPCellID0 to 3.
IDENTIFICATION = (0x61, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1)


class Reg(IntEnum):
    """Offsets of the registers in bytes. GPIODATA is at 0 to 0x3FC: bits 9 to 2 are a mask."""

    DIR = 0x400
    IS = 0x404
    IBE = 0x408
    IEV = 0x40C
    IE = 0x410
    RIS = 0x414
    MIS = 0x418
    IC = 0x41C
    AFSEL = 0x420


_STORED = (Reg.DIR, Reg.IS, Reg.IBE, Reg.IEV, Reg.IE, Reg.AFSEL)


class Pl061State(NamedTuple):
    """The state of the device: see ``Pl061.snapshot``."""

    stored: tuple[tuple[int, int], ...]
    outputs: int
    inputs: int
    latched: int
    pressed: bool
    level: bool


class Pl061:
    """A PL061 at ``base``, whose pins are inputs from outside, all low at first.

    ``press`` presses the power button: its pin goes high. It is released when the guest has read it
    as pressed, at the next access: so it is pressed long enough for every guest, and the same in
    every run.
    """

    name = "PL061"

    def __init__(
        self,
        base: int = GPIO_BASE,
        set_level: SetLevel = no_interrupt,
        spi: int = GPIO_SPI,
    ) -> None:
        self.base = base
        self.size = GPIO_SIZE
        self.spi = spi
        self.level = False
        self._set_level = set_level
        self._stored: dict[int, int] = dict.fromkeys(_STORED, 0)
        self._outputs = self._inputs = self._latched = 0
        self._pressed = False

    def reset(self) -> None:
        """Set the registers to their values after a reset, and release the button."""
        self._stored = dict.fromkeys(_STORED, 0)
        self._outputs = self._inputs = self._latched = 0
        self._pressed = False
        self._update()

    def device_tree_nodes(self) -> tuple[Node, ...]:
        gpio = primecell("pl061", "arm,pl061", self.base, self.size, self.spi)
        properties = dict(gpio.properties)
        properties |= {"gpio-controller": None, "#gpio-cells": 2, "phandle": GPIO_PHANDLE}
        button = Node(
            "poweroff",
            {
                "gpios": [GPIO_PHANDLE, POWER_PIN, 0],
                "linux,code": _KEY_POWER,
                "label": "GPIO Key Poweroff",
            },
        )
        return (
            Node(gpio.name, properties, gpio.spis),
            Node("gpio-keys", {"compatible": "gpio-keys"}, children=(button,)),
        )

    def snapshot(self) -> Pl061State:
        """The registers, the pins and the button."""
        return Pl061State(
            tuple(self._stored.items()),
            self._outputs,
            self._inputs,
            self._latched,
            self._pressed,
            self.level,
        )

    def restore(self, state: Pl061State) -> None:
        """Return to the state of ``snapshot``."""
        self._stored = dict(state.stored)
        self._outputs, self._inputs, self._latched = state.outputs, state.inputs, state.latched
        self._pressed, self.level = state.pressed, state.level

    def press(self) -> None:
        """Press the power button."""
        self._pressed = False
        self.set_input(POWER_PIN, high=False)
        self.set_input(POWER_PIN, high=True)

    def set_input(self, pin: int, *, high: bool) -> None:
        """Set the level of a pin, 0 to 7, from outside."""
        bit = 1 << pin
        before = self._inputs
        self._inputs = before | bit if high else before & ~bit
        changed = before ^ self._inputs
        stored = self._stored
        edges = stored[Reg.IBE] | (stored[Reg.IEV] if high else ~stored[Reg.IEV])
        self._latched |= changed & edges & ~stored[Reg.IS] & ~stored[Reg.DIR]
        self._update()

    def read(self, offset: int, size: int) -> int:
        aligned = offset & ~3
        value = self.peek(aligned)
        self._release_if_read()
        if aligned < DATA_END and value & 1 << POWER_PIN and self._inputs & 1 << POWER_PIN:
            self._pressed = True
        return value >> 8 * (offset & 3)

    def _release_if_read(self) -> None:
        """Release the button at the first access after the one that has read it as pressed."""
        if self._pressed:
            self._pressed = False
            self.set_input(POWER_PIN, high=False)

    def peek(self, offset: int) -> int:
        """See ``SupportsPeek``."""
        if offset < DATA_END:
            return self._pins & offset >> 2
        if offset >= ID_REGISTERS:
            return IDENTIFICATION[(offset - ID_REGISTERS) // 4]
        if offset == Reg.RIS:
            return self._raised
        if offset == Reg.MIS:
            return self._raised & self._stored[Reg.IE]
        return self._stored.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        self._release_if_read()
        if offset < DATA_END:
            if offset % 4 == 0:
                mask = offset >> 2 & self._stored[Reg.DIR]
                self._outputs = self._outputs & ~mask | value & mask
        elif offset == Reg.IC:
            self._latched &= ~value
        elif offset in self._stored:
            self._stored[offset] = value & 0xFF
        self._update()

    @property
    def _pins(self) -> int:
        direction = self._stored[Reg.DIR]
        return self._outputs & direction | self._inputs & ~direction

    @property
    def _raised(self) -> int:
        """GPIORIS: latched edges, and the inputs that have the level that raises an interrupt."""
        stored = self._stored
        levels = ~(self._inputs ^ stored[Reg.IEV]) & stored[Reg.IS] & ~stored[Reg.DIR]
        return (self._latched & ~stored[Reg.IS] | levels) & 0xFF

    def _update(self) -> None:
        level = bool(self._raised & self._stored[Reg.IE])
        if level != self.level:
            self.level = level
            self._set_level(level)
