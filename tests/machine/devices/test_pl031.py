"""The registers of the PL031, by its manual (DDI 0224), and the clock of a board."""

import pytest

from guestdbg.kvm import open_kvm
from guestdbg.kvm.regs import sys_reg
from guestdbg.machine import Board, InputLog, MachineError
from guestdbg.machine.clock import RTC_START
from guestdbg.machine.devices.pl031 import Pl031, Reg
from tests.machine.fakes import FakeKvm
from tests.machine.test_board import read, store, vcpu_of

NOW = 1_800_000_000
RTC = 0x0901_0000


class Clock:
    """A PL031 whose clock is set by hand, and the levels of its interrupt."""

    def __init__(self) -> None:
        self.now = NOW
        self.levels: list[bool] = []
        self.rtc = Pl031(lambda: self.now, set_level=self.levels.append)

    def read(self, offset: int) -> int:
        return self.rtc.read(offset, 4)


def test_identification() -> None:
    """Peripheral id 0x00041031, cell id 0xb105f00d: Linux's AMBA bus looks for them."""
    ids = [Clock().read(0xFE0 + 4 * n) for n in range(8)]
    assert sum(ids[n] << 8 * n for n in range(4)) == 0x41031
    assert sum(ids[4 + n] << 8 * n for n in range(4)) == 0xB105F00D


def test_it_counts_seconds_from_the_clock_and_can_be_set() -> None:
    clock = Clock()
    assert clock.read(Reg.DR) == NOW
    assert clock.read(Reg.CR) == 1, "enabled from the reset on"
    clock.rtc.write(Reg.LR, 4, 1000)
    clock.now += 5
    assert (clock.read(Reg.DR), clock.read(Reg.LR)) == (1005, 1000)
    clock.rtc.write(Reg.LR, 4, 0xFFFF_FFFF)
    clock.now += 2
    assert clock.read(Reg.DR) == 1, "it wraps"
    clock.rtc.reset()
    assert clock.read(Reg.DR) == clock.now


def test_the_interrupt_comes_when_the_match_is_reached() -> None:
    clock = Clock()
    clock.rtc.write(Reg.MR, 4, NOW + 10)
    clock.rtc.write(Reg.IMSC, 4, 1)
    assert clock.rtc.armed
    clock.now += 9
    clock.rtc.poll()
    assert (clock.read(Reg.RIS), clock.levels) == (0, [])
    clock.now += 3
    assert clock.rtc.due
    clock.rtc.poll()
    assert (clock.read(Reg.RIS), clock.read(Reg.MIS), clock.levels) == (1, 1, [True])
    assert not clock.rtc.armed
    clock.rtc.write(Reg.ICR, 4, 1)
    assert (clock.read(Reg.RIS), clock.levels) == (0, [True, False])
    clock.now += 100
    assert clock.read(Reg.RIS) == 0, "once for each time it is reached"


def test_a_masked_match_is_raised_and_not_passed_on() -> None:
    clock = Clock()
    clock.rtc.write(Reg.MR, 4, NOW + 1)
    clock.now += 1
    assert (clock.read(Reg.RIS), clock.read(Reg.MIS), clock.levels) == (1, 0, [])
    clock.rtc.write(Reg.IMSC, 4, 1)
    assert clock.levels == [True]


def test_the_present_matches_at_once_and_the_past_does_not() -> None:
    clock = Clock()
    clock.rtc.write(Reg.MR, 4, NOW)
    assert clock.read(Reg.RIS) == 1
    clock.rtc.write(Reg.ICR, 4, 1)
    clock.rtc.write(Reg.MR, 4, NOW - 5)
    clock.now += 50
    assert clock.read(Reg.RIS) == 0


def test_setting_the_time_is_no_match() -> None:
    clock = Clock()
    clock.rtc.write(Reg.MR, 4, NOW + 10)
    clock.rtc.write(Reg.LR, 4, NOW + 1000)
    assert clock.read(Reg.RIS) == 0


# ---- on a board ----------------------------------------------------------------------------------


def test_time_is_the_guests_where_it_counts() -> None:
    with open_kvm("soft") as kvm, Board(kvm, memory_size=4 << 20) as board:
        board.start(0x4008_0000)
        assert board.rtc.read(Reg.DR, 4) == RTC_START
        vcpu = board.vcpus[0]
        second = vcpu.counter_frequency  # type: ignore[attr-defined]
        vcpu.set_one_reg(sys_reg("CNTVCT_EL0"), 7 * second)
        assert board.rtc.read(Reg.DR, 4) == RTC_START + 7


def test_time_is_the_hosts_elsewhere_and_an_input() -> None:
    log = InputLog()
    board = Board(FakeKvm())
    board.inputs.listener = log.append
    vcpu_of(board).script = [read(RTC)]
    board.run(board.vcpus[0])
    (answer,) = vcpu_of(board).answers
    assert all(item.port == "rtc" and item.sampled for item in log)
    assert int.from_bytes(answer, "little") == int.from_bytes(log[len(log) - 1].data, "little")


def test_the_alarm_is_an_input() -> None:
    log = InputLog()
    board = Board(FakeKvm(), rtc=NOW)
    vcpu = vcpu_of(board)
    vcpu.script = [store(RTC + Reg.MR, NOW), store(RTC + Reg.IMSC, 1)]
    board.run(vcpu)
    board.rtc._raised = False  # as if it had not come yet
    board.rtc._checked = NOW - 1
    board.inputs.listener = log.append
    board.run(vcpu)
    assert [item.port for item in log if not item.sampled] == ["rtc"]
    assert board.rtc.level


@pytest.mark.parametrize("rtc", [-1, 1 << 32, "noon", True, 1.5])
def test_no_such_start(rtc: object) -> None:
    with pytest.raises(MachineError, match="it must be 'auto', 'host' or seconds since 1970"):
        Board(FakeKvm(), rtc=rtc)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rtc", "least"), [(5, 5), ("host", 1_700_000_000)])
def test_a_start_that_is_given(rtc: int, least: int) -> None:
    board = Board(FakeKvm(), rtc=rtc)
    assert least <= board.rtc.read(Reg.DR, 4) < (least + 5 if rtc == 5 else 1 << 32)
