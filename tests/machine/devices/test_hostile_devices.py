"""Every register of every device of a board, written and read at random: nothing raises."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine import Board
from guestdbg.machine.device import SupportsPeek, SupportsState
from guestdbg.machine.devices.cfi_flash import CfiFlashState
from tests.machine.fakes import FakeKvm
from tests.machine.test_board import read, store, vcpu_of

SIZES = st.sampled_from([1, 2, 4, 8])
VALUES = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.sampled_from(
        [0, 1, 0xFF, 0x00FF_00FF, 0x0040_0040, 0x00E8_00E8, 0x00D0_00D0, (1 << 64) - 1]
    ),
)
OFFSETS = st.one_of(st.integers(0, 0xFFF), st.sampled_from(range(0, 0x50, 4)), st.just(0x3FC))
ACCESSES = st.lists(
    st.tuples(st.integers(0, 15), OFFSETS, SIZES, VALUES, st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(accesses=ACCESSES, again=ACCESSES)
def test_no_access_raises_and_the_state_comes_back(
    accesses: list[tuple[int, int, int, int, bool]],
    again: list[tuple[int, int, int, int, bool]],
) -> None:
    board = Board(FakeKvm(), memory_size=4 << 20, rtc=1_800_000_000)
    board.map_flash()
    vcpu = vcpu_of(board)
    devices = board.bus.devices

    def perform(list_: list[tuple[int, int, int, int, bool]]) -> None:
        vcpu.script = []
        for number, offset, size, value, is_write in list_:
            device = devices[number % len(devices)]
            offset %= device.size
            address = device.base + offset // size * size
            vcpu.script.append(
                store(address, value & (1 << 8 * size) - 1, size)
                if is_write
                else read(address, size)
            )
        board.run(vcpu)
        assert vcpu.script == []
        for answer in vcpu.answers:
            assert len(answer) in (1, 2, 4, 8)

    try:
        perform(accesses)
        stateful = [device for device in devices if isinstance(device, SupportsState)]
        states = [device.snapshot() for device in stateful]
        small = [state for state in states if not isinstance(state, CfiFlashState)]
        assert len(repr(small)) < 100_000
        for device in devices:
            if isinstance(device, SupportsPeek):
                for offset in range(0, min(device.size, 0x1000), 4):
                    value = device.peek(offset)
                    assert value is None or 0 <= value < 1 << 32, (device.name, offset)
        assert [device.snapshot() for device in stateful] == states, "peeking has no effect"
        perform(again)
        for device, state in zip(stateful, states, strict=True):
            device.restore(state)
        assert [device.snapshot() for device in stateful] == states
        for device in stateful:
            device.reset()
        assert not board.rtc.level
        assert not board.gpio.level
        assert not board.uart.level
    finally:
        board.close()
