"""The PL031 real-time clock.

Source: Arm PrimeCell Real Time Clock (PL031) Technical Reference Manual, DDI 0224, chapter 3. The
counter counts seconds; it has 32 bits, and runs from the reset on, as if RTCCR had been written.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.devicetree import primecell
from guestdbg.machine.interrupts import no_interrupt
from guestdbg.machine.layout import RTC_BASE, RTC_SIZE, RTC_SPI

if TYPE_CHECKING:
    from guestdbg.machine.devicetree import Node
    from guestdbg.machine.interrupts import SetLevel

ID_REGISTERS = 0xFE0
# RTCPeriphID0 to 3: part 0x031, designer 0x41 (Arm). Then RTCPCellID0 to 3.
IDENTIFICATION = (0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1)

_U32 = 0xFFFF_FFFF


class Reg(IntEnum):
    """Offsets of the registers in bytes."""

    DR = 0x00
    MR = 0x04
    LR = 0x08
    CR = 0x0C
    IMSC = 0x10
    RIS = 0x14
    MIS = 0x18
    ICR = 0x1C


class Pl031State(NamedTuple):
    """The state of the device: see ``Pl031.snapshot``."""

    offset: int
    load: int
    match: int
    checked: int
    mask: int
    raised: bool
    level: bool


class Pl031:
    """A PL031 at ``base``.

    ``clock`` gives the time in seconds since 1970-01-01 00:00 UTC. The guest can set its counter to
    another time (RTCLR), which changes nothing outside the device. The interrupt (RTCINTR) comes
    when the counter has reached RTCMR: ``poll`` looks for it, as do accesses.
    """

    name = "PL031"

    def __init__(
        self,
        clock: Callable[[], int],
        base: int = RTC_BASE,
        set_level: SetLevel = no_interrupt,
        spi: int = RTC_SPI,
    ) -> None:
        self.base = base
        self.size = RTC_SIZE
        self.spi = spi
        self.level = False
        self._clock = clock
        self._set_level = set_level
        self._offset = self._load = self._match = self._checked = self._mask = 0
        self._raised = False

    def reset(self) -> None:
        """Set the registers to their values after a reset. The counter has the clock's time."""
        self._offset = self._load = self._match = self._mask = 0
        self._checked = 0
        self._raised = False
        self._update()

    def device_tree_nodes(self) -> tuple[Node, ...]:
        return (primecell("pl031", "arm,pl031", self.base, self.size, self.spi),)

    def snapshot(self) -> Pl031State:
        """The registers, and the difference between the counter and the clock in seconds."""
        return Pl031State(
            self._offset,
            self._load,
            self._match,
            self._checked,
            self._mask,
            self._raised,
            self.level,
        )

    def restore(self, state: Pl031State) -> None:
        """Return to the state of ``snapshot``."""
        self._offset, self._load, self._match, self._checked, self._mask = state[:5]
        self._raised, self.level = state.raised, state.level

    @property
    def armed(self) -> bool:
        """Whether the interrupt is enabled and has not come yet."""
        return bool(self._mask) and not self._raised

    @property
    def due(self) -> bool:
        """Whether the counter has reached RTCMR since that was looked for."""
        passed = self._now() - self._checked & _U32
        # The half of the range that is before the counter is in the past.
        return 0 < (self._match - self._checked & _U32) <= passed < 1 << 31

    def poll(self) -> None:
        """Raise the interrupt if the counter has reached RTCMR."""
        if self.due:
            self._raised = True
        self._checked = self._now()
        self._update()

    def read(self, offset: int, size: int) -> int:
        if offset in (Reg.DR, Reg.RIS, Reg.MIS):
            self.poll()
        value = self.peek(offset & ~3)
        return value >> 8 * (offset & 3)

    def peek(self, offset: int) -> int:
        """See ``SupportsPeek``. Reading has no side effect."""
        if offset == Reg.DR:
            return self._now()
        if offset >= ID_REGISTERS:
            return IDENTIFICATION[(offset - ID_REGISTERS) // 4]
        registers: dict[int, int] = {
            Reg.MR: self._match,
            Reg.LR: self._load,
            Reg.CR: 1,
            Reg.IMSC: self._mask,
            Reg.RIS: int(self._raised),
            Reg.MIS: int(self._raised) & self._mask,
        }
        return registers.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        value &= _U32
        if offset == Reg.MR:
            self._checked = self._now()
            self._match = value
            if value == self._checked:
                self._raised = True
        elif offset == Reg.LR:
            self._load = value
            self._offset = value - self._clock()
            self._checked = value
        elif offset == Reg.IMSC:
            self.poll()
            self._mask = value & 1
        elif offset == Reg.ICR and value & 1:
            self.poll()
            self._raised = False
        self._update()

    def _now(self) -> int:
        return self._clock() + self._offset & _U32

    def _update(self) -> None:
        level = self._raised and bool(self._mask)
        if level != self.level:
            self.level = level
            self._set_level(level)
