"""The registers of the PL011, by its manual (DDI 0183) and as drivers use them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.machine.console import Console
from guestdbg.machine.devices.pl011 import (
    CR_LBE,
    DR_BE,
    DR_OE,
    FIFO_DEPTH,
    LCR_BRK,
    LCR_FEN,
    Flag,
    Interrupt,
    Pl011,
    Reg,
)


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def uart(console: Console) -> Pl011:
    return Pl011(console)


def test_reset_state(uart: Pl011) -> None:
    assert uart.read(Reg.FR, 4) == Flag.TXFE | Flag.RXFE
    assert uart.read(Reg.CR, 4) == 0x300
    assert uart.read(Reg.IFLS, 4) == 0x12
    assert uart.read(Reg.IMSC, 4) == uart.read(Reg.RIS, 4) == uart.read(Reg.MIS, 4) == 0


def test_identification(uart: Pl011) -> None:
    """The numbers that Linux's AMBA bus reads: peripheral id 0x041011, cell id 0xb105f00d."""
    ids = [uart.read(0xFE0 + 4 * n, 4) for n in range(8)]
    assert sum(ids[n] << 8 * n for n in range(4)) & 0xFFFFF == 0x41011
    assert sum(ids[4 + n] << 8 * n for n in range(4)) == 0xB105F00D


def test_output_goes_to_the_console_by_any_access_size() -> None:
    pieces: list[bytes] = []
    uart = Pl011(Console(pieces.append))
    for size, value in ((1, 0x4F), (2, 0xFF4B), (4, 0xFFFFFF0A)):
        uart.write(Reg.DR, size, value)
    assert pieces == [b"OK\n"]
    assert not uart.read(Reg.FR, 4) & Flag.TXFF


def test_input_comes_in_order_and_sets_the_flags(uart: Pl011, console: Console) -> None:
    uart.write(Reg.LCR_H, 4, LCR_FEN)
    console.feed(bytes(range(1, 41)))
    taken = []
    assert uart.read(Reg.FR, 4) == Flag.TXFE | Flag.RXFF
    while not uart.read(Reg.FR, 4) & Flag.RXFE:
        taken.append(uart.read(Reg.DR, 4))
    assert taken == list(range(1, 41))
    assert uart.read(Reg.DR, 4) == 0, "empty"


def test_without_fifo_one_byte_is_held(uart: Pl011, console: Console) -> None:
    console.feed(b"ab")
    uart.poll()
    assert console.pending_input == 1
    assert uart.read(Reg.FR, 4) & Flag.RXFF


def test_a_prompt_of_an_interrupt_driven_driver_is_shown() -> None:
    """As Linux's does, it masks the transmit interrupt when it has nothing more to send."""
    pieces: list[bytes] = []
    uart = Pl011(Console(pieces.append))
    uart.write(Reg.IMSC, 4, Interrupt.RX | Interrupt.RT | Interrupt.TX)
    for byte in b"$ ":
        uart.write(Reg.DR, 4, byte)
    assert pieces == []
    uart.write(Reg.IMSC, 4, Interrupt.RX | Interrupt.RT)
    assert pieces == [b"$ "]


def test_waiting_for_input_shows_the_prompt() -> None:
    pieces: list[bytes] = []
    uart = Pl011(Console(pieces.append))
    for byte in b"=> ":
        uart.write(Reg.DR, 4, byte)
        uart.read(Reg.FR, 4)
    assert pieces == [], "looking for room between bytes is not waiting"
    uart.read(Reg.FR, 4)
    assert pieces == [b"=> "]


def test_receive_interrupt_at_its_level(console: Console) -> None:
    levels: list[bool] = []
    uart = Pl011(console, on_interrupt=levels.append)
    uart.write(Reg.LCR_H, 4, LCR_FEN)
    uart.write(Reg.IFLS, 4, 2 << 3)  # half full
    uart.write(Reg.IMSC, 4, Interrupt.RX)
    console.feed(b"1234567")
    uart.poll()
    assert uart.read(Reg.RIS, 4) == Interrupt.RT, "seven: only the time-out, which is masked"
    assert levels == []
    console.feed(b"8")
    uart.poll()
    assert levels == [True]
    assert uart.read(Reg.MIS, 4) == Interrupt.RX
    uart.read(Reg.DR, 4)
    assert levels == [True, False]
    while not uart.read(Reg.FR, 4) & Flag.RXFE:
        uart.read(Reg.DR, 4)
    assert uart.read(Reg.RIS, 4) == 0


def test_transmit_interrupt_until_cleared(console: Console) -> None:
    levels: list[bool] = []
    uart = Pl011(console, on_interrupt=levels.append)
    uart.write(Reg.DR, 4, 65)
    uart.write(Reg.IMSC, 4, Interrupt.TX)
    assert levels == [True]
    uart.write(Reg.ICR, 4, 0x7FF)
    assert levels == [True, False]
    assert uart.read(Reg.RIS, 4) == 0


ACCESSES = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 0xFFF),
        st.sampled_from([1, 2, 4, 8]),
        st.integers(0, (1 << 64) - 1),
    ),
    max_size=60,
)


@given(ACCESSES, st.binary(max_size=40))
def test_no_access_breaks_it(accesses: list[tuple[bool, int, int, int]], typed: bytes) -> None:
    """For all accesses: no exception, values fit a register, the FIFO does not exceed its depth."""
    console = Console()
    uart = Pl011(console)
    console.feed(typed)
    for is_write, offset, size, value in accesses:
        if is_write:
            uart.write(offset, size, value & ((1 << 8 * size) - 1))
        else:
            assert 0 <= uart.read(offset, size) < 1 << 16
        assert len(uart._receive) <= FIFO_DEPTH
        assert uart.level == bool(uart.read(Reg.MIS, 4))


@given(st.integers(0, (1 << 32) - 1))
def test_stored_registers_keep_the_bits_that_exist(value: int) -> None:
    uart = Pl011(Console())
    for reg, mask in (
        (Reg.IBRD, 0xFFFF),
        (Reg.FBRD, 0x3F),
        (Reg.LCR_H, 0xFF),
        (Reg.CR, 0xFFFF),
        (Reg.IFLS, 0x3F),
        (Reg.IMSC, 0x7FF),
        (Reg.DMACR, 0x7),
    ):
        uart.write(reg, 4, value)
        assert uart.read(reg, 4) == value & mask
    uart.reset()
    assert uart.read(Reg.IBRD, 4) == 0


# ---- loopback ------------------------------------------------------------------------------------

LOOPBACK = 0x300 | CR_LBE


def test_in_loopback_the_guest_hears_itself_and_nobody_else() -> None:
    output = bytearray()
    console = Console(output.extend)
    uart = Pl011(console)
    uart.write(Reg.CR, 4, LOOPBACK)
    console.feed(b"typed")
    uart.write(Reg.DR, 4, ord("x"))
    console.flush()
    assert (uart.read(Reg.DR, 4), bytes(output)) == (ord("x"), b"")
    assert uart.read(Reg.FR, 4) & Flag.RXFE
    uart.write(Reg.CR, 4, 0x300)
    assert uart.read(Reg.DR, 4) == ord("t"), "the line is connected again"


def test_an_overrun_loses_a_byte_and_marks_the_next(uart: Pl011) -> None:
    uart.write(Reg.LCR_H, 4, LCR_FEN)
    uart.write(Reg.CR, 4, LOOPBACK)
    for byte in range(FIFO_DEPTH):
        uart.write(Reg.DR, 4, byte)
    assert not uart.read(Reg.RIS, 4) & Interrupt.OE
    uart.write(Reg.DR, 4, 99)
    assert uart.read(Reg.RIS, 4) & Interrupt.OE
    assert [uart.read(Reg.DR, 4) for _ in range(FIFO_DEPTH)] == list(range(FIFO_DEPTH))
    uart.write(Reg.DR, 4, 100)
    assert uart.read(Reg.DR, 4) == DR_OE | 100
    assert uart.read(Reg.RSR, 4) == 8
    uart.write(Reg.RSR, 4, 0)
    assert uart.read(Reg.RSR, 4) == 0


def test_a_break_is_received_as_a_zero_with_its_error(uart: Pl011) -> None:
    uart.write(Reg.CR, 4, LOOPBACK)
    uart.write(Reg.LCR_H, 4, LCR_BRK)
    assert uart.read(Reg.RIS, 4) & Interrupt.BE
    assert (uart.read(Reg.DR, 4), uart.read(Reg.RSR, 4)) == (DR_BE, 4)
    uart.write(Reg.LCR_H, 4, 0)
    uart.write(Reg.ICR, 4, Interrupt.BE)
    assert not uart.read(Reg.RIS, 4) & Interrupt.BE
    assert uart.read(Reg.FR, 4) & Flag.RXFE, "one break, one byte"


@pytest.mark.parametrize(
    ("bit", "flag", "interrupt"),
    [
        (1 << 10, Flag.DSR, Interrupt.DSR),
        (1 << 11, Flag.CTS, Interrupt.CTS),
        (1 << 12, Flag.DCD, Interrupt.DCD),
        (1 << 13, Flag.RI, Interrupt.RI),
    ],
)
def test_modem_signals_come_back(bit: int, flag: Flag, interrupt: Interrupt) -> None:
    levels: list[bool] = []
    uart = Pl011(Console(), on_interrupt=levels.append)
    uart.write(Reg.IMSC, 4, 0xF)
    uart.write(Reg.CR, 4, 0x300 | bit)
    assert (uart.read(Reg.FR, 4) & flag, levels) == (0, []), "only in loopback"
    uart.write(Reg.CR, 4, LOOPBACK | bit)
    assert uart.read(Reg.FR, 4) & flag == flag
    assert (uart.read(Reg.MIS, 4), levels) == (interrupt, [True])
    uart.write(Reg.ICR, 4, interrupt)
    uart.write(Reg.CR, 4, LOOPBACK)
    assert (uart.read(Reg.MIS, 4), levels) == (interrupt, [True, False, True]), "both edges"
