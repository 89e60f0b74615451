"""What the board does while a guest runs: MMIO, the console, vCPUs, errors."""

import errno
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitInternalError,
    ExitIntr,
    ExitMmio,
    KvmError,
    VcpuEvents,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_CAP_ARM_NISV_TO_USER,
)
from guestdbg.machine import Board, Console, MachineError
from guestdbg.machine.bus import LOGGED_ADDRESSES_MAX
from guestdbg.machine.devices.pl011 import Reg
from tests.machine.fakes import POWER_OFF, FakeKvm, FakeVcpu

UART = 0x0900_0000
ABORT = VcpuEvents(ext_dabt_pending=True)


def read(address: int, length: int = 4) -> ExitMmio:
    return ExitMmio(address, bytes(length), length, False)


def store(address: int, value: int, length: int = 4) -> ExitMmio:
    return ExitMmio(address, value.to_bytes(length, "little"), length, True)


def vcpu_of(board: Board, number: int = 0) -> FakeVcpu:
    vcpu = board.vcpus[number]
    assert isinstance(vcpu, FakeVcpu)
    return vcpu


def test_output_is_out_before_run_returns() -> None:
    pieces: list[bytes] = []
    board = Board(FakeKvm(), console=Console(pieces.append))
    vcpu = vcpu_of(board)
    vcpu.script = [store(UART, byte) for byte in b"no newline"]
    assert board.run(vcpu) == POWER_OFF
    assert pieces == [b"no newline"]


def test_output_is_out_before_an_error_too() -> None:
    pieces: list[bytes] = []
    board = Board(FakeKvm(), console=Console(pieces.append))
    vcpu_of(board).script = [store(UART, ord("x")), KvmError(errno.EIO, "KVM_RUN", "broken")]
    with pytest.raises(KvmError):
        board.run(board.vcpus[0])
    assert pieces == [b"x"]


def test_input_reaches_the_guest() -> None:
    board = Board(FakeKvm())
    board.console.feed(b"v")
    vcpu = vcpu_of(board)
    vcpu.script = [read(UART + Reg.FR), read(UART, 1), read(UART + Reg.FR, 2)]
    board.run(vcpu)
    assert vcpu.answers == [b"\xc0\0\0\0", b"v", b"\x90\0"]


@pytest.mark.parametrize(
    "exit_", [ExitDebug(0xC2000022), ExitIntr(), ExitInternalError(1, (), "x"), POWER_OFF]
)
def test_what_concerns_others_is_returned(exit_: ExitDebug) -> None:
    board = Board(FakeKvm())
    vcpu_of(board).script = [exit_]
    assert board.run(board.vcpus[0]) is exit_


def test_where_nobody_answers_the_guest_gets_an_abort(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guestdbg.machine")
    board = Board(FakeKvm())
    vcpu = vcpu_of(board)
    vcpu.script = [read(0x0B000000), store(0x0B000000, 1), read(0x0B000000)]
    board.run(vcpu)
    assert vcpu.events == [ABORT] * 3
    assert vcpu.answers == []
    assert len(caplog.records) == 1, "once an address"
    assert "0xb000000: no device; the guest gets an external abort" in caplog.text


@pytest.mark.parametrize("why", ["asked for", "provider cannot inject"])
def test_unmapped_may_read_as_zero(why: str) -> None:
    board = Board(FakeKvm(), unmapped="zero") if why == "asked for" else Board(FakeKvm(caps=()))
    vcpu = vcpu_of(board)
    vcpu.script = [read(0x0B000000, 8), store(0x0B000000, 1)]
    board.run(vcpu)
    assert vcpu.events == []
    assert vcpu.answers == [bytes(8)]


@pytest.mark.parametrize("address", [0x04000000, 0x08000000, 0x0A000E00, 0x3F000000, 0x4010000000])
def test_probing_hardware_that_is_not_there_reads_zero(address: int) -> None:
    board = Board(FakeKvm())
    vcpu = vcpu_of(board)
    vcpu.script = [read(address), store(address, 1)]
    board.run(vcpu)
    assert vcpu.events == []
    assert vcpu.answers == [bytes(4)]


def test_an_access_may_not_straddle_a_device() -> None:
    board = Board(FakeKvm())
    vcpu = vcpu_of(board)
    vcpu.script = [read(UART + 0xFFC, 8), store(UART + 0xFFC, 0, 8)]
    board.run(vcpu)
    assert vcpu.events == [ABORT, ABORT]


def test_accesses_without_a_description_abort(caplog: pytest.LogCaptureFixture) -> None:
    board = Board(FakeKvm())
    assert board.vm.enabled == [KVM_CAP_ARM_NISV_TO_USER]  # type: ignore[attr-defined]
    vcpu = vcpu_of(board)
    vcpu.script = [ExitArmNisv(0x46, UART)]
    assert board.run(vcpu) == POWER_OFF
    assert vcpu.events == [ABORT]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "access at 0x9000000 by an instruction" in record.getMessage()


def test_a_guest_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "guestdbg.machine")
    board = Board(FakeKvm())
    vcpu_of(board).script = [read(0x0B000000 + 4 * n) for n in range(2 * LOGGED_ADDRESSES_MAX)]
    board.run(board.vcpus[0])
    assert len(caplog.records) == LOGGED_ADDRESSES_MAX + 1
    assert caplog.records[-1].getMessage().endswith("no more are logged")


def test_debuggers_can_follow_device_accesses() -> None:
    seen: list[tuple[int, bool, bytes]] = []
    board = Board(FakeKvm())
    board.bus.on_access = lambda vcpu, exit_, data: seen.append(
        (exit_.phys_addr, exit_.is_write, data)
    )
    vcpu_of(board).script = [store(UART, 0x41, 1), read(UART + Reg.FR, 2)]
    board.run(board.vcpus[0])
    assert seen == [(UART, True, b"A"), (UART + Reg.FR, False, b"\x90\0")]


def test_the_first_vcpu_starts_and_the_others_wait() -> None:
    board = Board(FakeKvm(), vcpus=3)
    board.start(0x40200000, 0x40000000)
    for number in range(3):
        (init,) = vcpu_of(board, number).inits
        assert init.has(KVM_ARM_VCPU_PSCI_0_2)
        assert init.has(KVM_ARM_VCPU_POWER_OFF) == (number > 0)
    assert vcpu_of(board, 1).regs == {}


def test_an_error_of_the_provider_says_where_the_guest_stood() -> None:
    board = Board(FakeKvm())
    board.start(0x40200000)
    vcpu_of(board).script = [KvmError(errno.ENOSYS, "KVM_RUN", "no syndrome")]
    with pytest.raises(KvmError, match="no syndrome; the vCPU is at vCPU 0: pc 0x40200000") as e:
        board.run(board.vcpus[0])
    assert e.value.errno == errno.ENOSYS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory_size": 1 << 20}, "a board has 4 MiB to 255 GiB"),
        ({"memory_size": 1 << 40}, "a board has 4 MiB to 255 GiB"),
        ({"memory_size": (8 << 20) + 1}, "multiples of 4 KiB"),
        ({"vcpus": 0}, "a board without an interrupt controller has 1 to 8"),
        ({"vcpus": 9}, "a board without an interrupt controller has 1 to 8"),
        ({"gic": 3}, "gic=3: this provider has no GICv3 for its guests; it has no interrupt"),
        ({"gic": 4}, "gic=4: it must be 'auto', 2, 3 or None"),
        ({"seed": "x"}, "seed='x': it must be an int or None"),
        ({"unmapped": "crash"}, "'abort' or 'zero'"),
    ],
)
def test_boards_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        Board(FakeKvm(), **arguments)  # type: ignore[arg-type]


def test_closing_closes_the_machine_but_not_the_provider() -> None:
    kvm = FakeKvm()
    with Board(kvm) as board:
        board.write_phys(0x40000000, b"x")
    board.close()
    assert kvm.vm.closed


ADDRESSES = st.one_of(
    st.integers(0, (1 << 48) - 1),
    st.integers(UART - 16, UART + 0x1010),
    st.sampled_from([0, 0x3FFFFFFC, 0x48000000, 0x0A000000]),
)


@given(
    st.lists(
        st.tuples(
            ADDRESSES,
            st.sampled_from([1, 2, 4, 8]),
            st.integers(0, (1 << 64) - 1),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_every_access_is_answered_or_aborted(
    accesses: list[tuple[int, int, int, bool]], aborts: bool
) -> None:
    """Every read gets exactly its length of bytes, or an abort; a write gets no answer."""
    board = Board(FakeKvm(), memory_size=4 << 20, unmapped="abort" if aborts else "zero")
    vcpu = vcpu_of(board)
    for address, length, value, is_write in accesses:
        vcpu.answers, vcpu.events = [], []
        data = (value & ((1 << 8 * length) - 1)).to_bytes(length, "little")
        vcpu.script = [ExitMmio(address, data if is_write else bytes(length), length, is_write)]
        assert board.run(vcpu) == POWER_OFF
        assert len(vcpu.answers) + len(vcpu.events) <= 1
        if not is_write:
            assert [len(answer) for answer in vcpu.answers] == [length] or vcpu.events == [ABORT]
        if not aborts:
            assert vcpu.events == []
    board.close()
