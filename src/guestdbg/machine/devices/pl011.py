"""The PL011 UART.

Source: Arm PrimeCell UART (PL011) Technical Reference Manual, DDI 0183, chapter 3. The baud rate
has no effect: a byte is sent at once, and the transmitter is never full or busy. As in QEMU, the
UART also works before the guest has enabled it. DMA does nothing. The console is a line without
errors and without modem signals, so that breaks, overruns and the modem's interrupts come only in
loopback, from what the guest sends itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.devicetree import CLOCK_PHANDLE, Node, cells
from guestdbg.machine.layout import UART_BASE, UART_SIZE, UART_SPI

if TYPE_CHECKING:
    from guestdbg.machine.console import Console
    from guestdbg.machine.devicetree import Value

FIFO_DEPTH = 16
ID_REGISTERS = 0xFE0
# UARTPeriphID0 to 3: part 0x011, designer 0x41 (Arm), revision r1p1 (FIFOs of 16 bytes). Then
# UARTPCellID0 to 3.
IDENTIFICATION = (0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1)


class Reg(IntEnum):
    """Offsets of the registers in bytes."""

    DR = 0x00
    RSR = 0x04
    FR = 0x18
    ILPR = 0x20
    IBRD = 0x24
    FBRD = 0x28
    LCR_H = 0x2C
    CR = 0x30
    IFLS = 0x34
    IMSC = 0x38
    RIS = 0x3C
    MIS = 0x40
    ICR = 0x44
    DMACR = 0x48


class Flag(IntFlag):
    """Bits of UARTFR."""

    CTS = 1 << 0
    DSR = 1 << 1
    DCD = 1 << 2
    RI = 1 << 8
    RXFE = 1 << 4
    TXFF = 1 << 5
    RXFF = 1 << 6
    TXFE = 1 << 7


class Interrupt(IntFlag):
    """The interrupts: bits of UARTIMSC, UARTRIS, UARTMIS and UARTICR."""

    RI = 1 << 0
    CTS = 1 << 1
    DCD = 1 << 2
    DSR = 1 << 3
    RX = 1 << 4
    TX = 1 << 5
    RT = 1 << 6
    FE = 1 << 7
    PE = 1 << 8
    BE = 1 << 9
    OE = 1 << 10


# UARTFR with an empty, a partly filled and a full receive FIFO. They are constants because firmware
# that waits for a key reads UARTFR all the time.
_FLAGS_EMPTY = int(Flag.TXFE | Flag.RXFE)
_FLAGS_SOME = int(Flag.TXFE)
_FLAGS_FULL = int(Flag.TXFE | Flag.RXFF)

_RX, _TX, _RT = int(Interrupt.RX), int(Interrupt.TX), int(Interrupt.RT)

LCR_BRK = 1 << 0
LCR_FEN = 1 << 4

CR_LBE = 1 << 7
# In loopback these bits of UARTCR are the modem's signals: (bit of UARTCR, of UARTFR, interrupt).
_LOOPED = (
    (1 << 10, int(Flag.DSR), int(Interrupt.DSR)),  # DTR
    (1 << 11, int(Flag.CTS), int(Interrupt.CTS)),  # RTS
    (1 << 12, int(Flag.DCD), int(Interrupt.DCD)),  # Out1
    (1 << 13, int(Flag.RI), int(Interrupt.RI)),  # Out2
)

# UARTDR has the errors of a byte in bits 8 to 11; UARTRSR has those of the byte read last.
DR_BE, DR_OE = 1 << 10, 1 << 11
INTERRUPT_MASK = 0x7FF

# Registers that only store what is written, with the bits that are implemented.
_STORED: dict[int, int] = {
    Reg.ILPR: 0xFF,
    Reg.IBRD: 0xFFFF,
    Reg.FBRD: 0x3F,
    Reg.LCR_H: 0xFF,
    Reg.CR: 0xFFFF,
    Reg.IFLS: 0x3F,
    Reg.IMSC: INTERRUPT_MASK,
    Reg.DMACR: 0x7,
}
_RESET: dict[int, int] = {Reg.CR: 0x300, Reg.IFLS: 0x12}

# UARTIFLS.RXIFLSEL: the number of bytes in the FIFO that raises the receive interrupt.
_RX_LEVELS = {0: 2, 1: 4, 2: 8, 3: 12, 4: 14}


#: A received byte with its error flags (UARTDR).
_ENTRY_MAX = 0xFFF


class Pl011State(NamedTuple):
    """The state of the device: see ``Pl011.snapshot``."""

    stored: tuple[tuple[int, int], ...]
    raised: int
    received: tuple[int, ...]
    errors: int
    overrun: bool
    level: bool
    polled: bool


class Pl011:
    """A PL011 at ``base``, connected to ``console``; ``spi`` is its interrupt in the device tree.

    ``on_interrupt`` is called with the new level when the combined interrupt (UARTINTR) changes.
    """

    name = "PL011"

    def __init__(
        self,
        console: Console,
        base: int = UART_BASE,
        on_interrupt: Callable[[bool], object] | None = None,
        spi: int = UART_SPI,
    ) -> None:
        self.base = base
        self.spi = spi
        self.size = UART_SIZE
        self.console = console
        self.level = False
        self._on_interrupt = on_interrupt
        self._polled = False
        self._stored: dict[int, int] = {}
        self._raised = 0
        #: Bytes with their errors, as they are read from UARTDR.
        self._receive: deque[int] = deque()
        self._errors = 0
        self._overrun = False
        self.reset()

    def reset(self) -> None:
        """Set all registers to their reset values, and empty the receive FIFO."""
        self._stored = dict.fromkeys(_STORED, 0) | _RESET
        self._raised = self._errors = 0
        self._receive.clear()
        self._overrun = False
        self._update()
        self.poll()

    def device_tree_nodes(self) -> tuple[Node, ...]:
        properties: dict[str, Value] = {
            "compatible": ["arm,pl011", "arm,primecell"],
            "reg": cells(self.base, self.size),
            "clocks": [CLOCK_PHANDLE, CLOCK_PHANDLE],
            "clock-names": ["uartclk", "apb_pclk"],
        }
        return (Node(f"pl011@{self.base:x}", properties, (self.spi,)),)

    def snapshot(self) -> Pl011State:
        """Registers, the receive FIFO, and the level of the interrupt."""
        return Pl011State(
            tuple(self._stored.items()),
            self._raised,
            tuple(self._receive),
            self._errors,
            self._overrun,
            self.level,
            self._polled,
        )

    def restore(self, state: Pl011State) -> None:
        """Return to the state of ``snapshot``.

        ``on_interrupt`` is not called: the interrupt controller is restored, too.
        """
        if dict(state.stored).keys() != self._stored.keys() or not all(
            0 <= entry <= _ENTRY_MAX for entry in state.received
        ):
            raise ValueError("the state of the PL011 has other registers, or no received bytes")
        self._stored = dict(state.stored)
        self._raised = state.raised
        self._receive = deque(state.received)
        self._errors, self._overrun = state.errors, state.overrun
        self.level = state.level
        self._polled = state.polled

    def poll(self) -> None:
        """Take typed input and raise its interrupts. The board calls it when there is some.

        In loopback the line is not connected to the receiver: typed input waits.
        """
        room = self._depth - len(self._receive)
        if room <= 0 or self._stored[Reg.CR] & CR_LBE:
            return
        data = self.console.take(room)
        if data:
            self._received(data)

    def _received(self, data: Iterable[int]) -> None:
        """Put bytes into the FIFO, which has room for them."""
        self._receive.extend(data)
        if len(self._receive) >= self._receive_trigger:
            self._raised |= _RX
        # On a real line the receive time-out interrupt comes 32 bit periods after the last byte, if
        # the FIFO is below the trigger level. Here it comes as soon as there is no more input.
        self._raised |= _RT
        self._update()

    def take_received(self, limit: int) -> bytes:
        """Remove and return up to ``limit`` typed bytes that the guest has not read yet.

        For a guest that reads its console by semihosting.
        """
        count = min(limit, len(self._receive))
        return bytes(self._receive.popleft() & 0xFF for _ in range(count))

    def read(self, offset: int, size: int) -> int:
        if offset == Reg.FR:
            return self._flags()
        if offset == Reg.DR:
            return self._read_data()
        if offset == Reg.RSR:
            return self._errors
        if offset == Reg.RIS:
            return self._raised
        if offset == Reg.MIS:
            return self._raised & self._stored[Reg.IMSC]
        if offset >= ID_REGISTERS and offset % 4 == 0:
            return IDENTIFICATION[(offset - ID_REGISTERS) // 4]
        return self._stored.get(offset, 0)

    def peek(self, offset: int) -> int | None:
        """See ``SupportsPeek``. Reading UARTDR takes a byte from the receive FIFO."""
        if offset == Reg.DR:
            return None
        if offset == Reg.FR:
            # Typed input that is not delivered yet will be when the guest goes on.
            received = len(self._receive) or min(self.console.pending_input, self._depth)
            return self._flags_for(received)
        return self.read(offset, 4)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == Reg.DR:
            self._polled = False
            if self._stored[Reg.CR] & CR_LBE:
                self._loop_back(value & 0xFF)
            else:
                self.console.put(value & 0xFF)
            if not self._raised & _TX:
                self._raised |= _TX
                self._update()
        elif offset == Reg.ICR:
            self._raised &= ~value
            self._update()
        elif offset == Reg.RSR:
            self._errors = 0
            self._overrun = False
        elif offset in self._stored:
            mask = _STORED[offset]
            if offset == Reg.LCR_H and (value ^ self._stored[offset]) & LCR_FEN:
                self._receive.clear()  # a change of the FIFO's depth empties it
            before = self._stored[offset]
            self._stored[offset] = value & mask
            if self._stored[Reg.CR] & CR_LBE or offset == Reg.CR:
                self._loop_signals(offset, before)
            if offset == Reg.IMSC and not value & _TX:
                self.console.flush()  # an interrupt-driven driver has sent all: this is a prompt
            self._update()
            self.poll()

    def _loop_back(self, value: int) -> None:
        """The guest sends a byte, or a break, to itself."""
        if len(self._receive) < self._depth:
            self._received((value | DR_OE * self._overrun,))
            self._overrun = False
        else:  # the byte is lost, and the next one says so
            self._overrun = True
            self._raised |= Interrupt.OE
            self._update()

    def _loop_signals(self, offset: int, before: int) -> None:
        """A register was written: in loopback it may have sent a break or moved modem signals."""
        control = self._stored[Reg.CR]
        if offset == Reg.LCR_H and self._stored[offset] & ~before & LCR_BRK:
            self._raised |= Interrupt.BE
            self._loop_back(DR_BE)
        elif offset == Reg.CR:
            old, new = self._modem_signals(before), self._modem_signals(control)
            for _, flag, interrupt in _LOOPED:
                if (old ^ new) & flag:
                    self._raised |= interrupt

    @staticmethod
    def _modem_signals(control: int) -> int:
        """The bits of UARTFR for a value of UARTCR."""
        if not control & CR_LBE:
            return 0
        return sum(flag for bit, flag, _ in _LOOPED if control & bit)

    @property
    def _depth(self) -> int:
        return FIFO_DEPTH if self._stored[Reg.LCR_H] & LCR_FEN else 1

    @property
    def _receive_trigger(self) -> int:
        if self._depth == 1:
            return 1
        return _RX_LEVELS.get(self._stored[Reg.IFLS] >> 3, FIFO_DEPTH)

    def _flags(self) -> int:
        if not self._receive:
            if self._polled:  # read twice without a write: the guest waits for input after a prompt
                self.console.flush()
            self._polled = True  # read once: drivers check TXFF before they send each byte
            if self.console.received:
                self.poll()
        return self._flags_for(len(self._receive))

    def _flags_for(self, received: int) -> int:
        """UARTFR with this number of bytes in the receive FIFO."""
        signals = self._modem_signals(self._stored[Reg.CR])
        if not received:
            return _FLAGS_EMPTY | signals
        return (_FLAGS_FULL if received >= self._depth else _FLAGS_SOME) | signals

    def _read_data(self) -> int:
        if not self._receive:
            self.poll()
        byte = self._receive.popleft() if self._receive else 0
        self._errors = byte >> 8
        if self.console.received:
            self.poll()
        if len(self._receive) < self._receive_trigger:
            self._raised &= ~_RX
        if not self._receive:
            self._raised &= ~_RT
        self._update()
        return byte

    def _update(self) -> None:
        level = bool(self._raised & self._stored[Reg.IMSC])
        if level != self.level:
            self.level = level
            if self._on_interrupt is not None:
                self._on_interrupt(level)
