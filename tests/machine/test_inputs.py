"""What comes into a board from outside: positions, order, threads, recording and replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.check import assembler as asm
from guestdbg.kvm import Exit, ExitIntr, ExitMmio, SupportsInstructionLimit, Vcpu, open_kvm
from guestdbg.kvm.regs import PC, core_reg
from guestdbg.machine import (
    Board,
    Console,
    Input,
    InputLog,
    Inputs,
    MachineError,
    Position,
    ReplayError,
)
from guestdbg.machine.devices.pl011 import Reg
from tests.machine.fakes import FakeKvm
from tests.machine.test_board import UART, read, store, vcpu_of

HERE = Position(3, 1, 1000)


class Outside:
    """Inputs of a board that is somewhere, and what came in."""

    def __init__(self) -> None:
        self.position = HERE
        self.wakes = 0
        self.seen: list[tuple[str, bytes]] = []
        self.inputs = Inputs(lambda: self.position, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    def port(self, name: str) -> Callable[[bytes], object]:
        return self.inputs.connect(name, lambda data: self.seen.append((name, data))).post


def test_they_are_delivered_in_order_and_stamped() -> None:
    outside = Outside()
    console, net = outside.port("console"), outside.port("net0")
    log = InputLog()
    outside.inputs.listener = log.append
    for port, data in ((console, b"a"), (net, b"packet"), (console, b"")):
        assert port(data)
    assert outside.seen == []
    outside.inputs.deliver()
    assert outside.seen == [("console", b"a"), ("net0", b"packet"), ("console", b"")]
    assert [(item.position, item.port, item.data, item.sampled) for item in log] == [
        (HERE, name, data, False) for name, data in outside.seen
    ]
    assert not outside.inputs.pending


def test_only_other_threads_wake_the_vcpu() -> None:
    outside = Outside()
    post = outside.port("console")
    outside.inputs.entered_by_this_thread()
    post(b"from the thread that runs the vCPU")
    assert outside.wakes == 0
    thread = threading.Thread(target=post, args=(b"from another",))
    thread.start()
    thread.join()
    assert outside.wakes == 1


def test_who_posts_does_not_fill_the_memory() -> None:
    outside = Outside()
    port = outside.inputs.connect("net0", lambda data: None)
    assert [port.post(bytes(40 << 20)) for _ in range(3)] == [True, False, False]
    assert port.pending == 40 << 20
    outside.inputs.deliver()
    assert port.pending == 0
    assert port.post(bytes(40 << 20))


def test_a_port_has_one_name() -> None:
    outside = Outside()
    outside.port("net0")
    with pytest.raises(MachineError, match="two inputs with the name 'net0'"):
        outside.port("net0")


def test_a_sample_is_the_recorded_one_in_a_replay() -> None:
    outside = Outside()
    clock = outside.inputs.connect("clock", lambda data: None)
    log = InputLog()
    outside.inputs.listener = log.append
    assert clock.sample(lambda: b"12:00") == b"12:00"
    outside.inputs.replay(log)
    assert clock.sample(lambda: b"13:00") == b"12:00"
    assert not outside.inputs.replaying
    assert clock.sample(lambda: b"13:00") == b"13:00"


@pytest.mark.parametrize(
    ("position", "name", "message"),
    [
        (
            HERE._replace(instructions=1001),
            "clock",
            "the next input is for 'clock' at turn 3, vCPU",
        ),
        (HERE, "entropy", "and entropy is read at turn 3, vCPU 1, 1000 instructions"),
    ],
)
def test_a_sample_elsewhere_is_another_run(position: Position, name: str, message: str) -> None:
    outside = Outside()
    ports = {name: outside.inputs.connect(name, lambda d: None) for name in ("clock", "entropy")}
    outside.inputs.replay([Input(HERE, "clock", b"12:00", True)])
    outside.position = position
    with pytest.raises(ReplayError, match=message):
        ports[name].sample(lambda: b"13:00")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([Input(Position(0, 0, 5), "console", b"x")], "is to be given after turn 3"),
        ([Input(HERE, "net7", b"x")], "'net7', and this board has console"),
        (
            [Input(Position(9, 0, 5), "console", b""), Input(Position(8, 0, 5), "console", b"")],
            "at turn 8, .* after turn 9",
        ),
    ],
)
def test_replays_that_cannot_be(inputs: Sequence[Input], message: str) -> None:
    outside = Outside()
    outside.port("console")
    with pytest.raises(ReplayError, match=message):
        outside.inputs.replay(inputs)
    assert not outside.inputs.replaying


def test_a_log_is_of_one_run() -> None:
    log = InputLog([Input(HERE, "console", b"a"), Input(Position(4, 0, 5), "console", b"b")])
    with pytest.raises(ValueError, match="truncate it when the board goes back"):
        log.append(Input(HERE, "console", b"c"))
    assert len(log.since(Position(4, 0, 0))) == 1
    log.truncate(HERE)
    assert [item.data for item in log] == [b"a"]
    assert log[0].position == HERE


# ---- on a board ----------------------------------------------------------------------------------


def test_an_answer_to_the_last_output_is_there_before_the_guest_waits() -> None:
    """The access that triggers it is completed first; the UART's interrupt comes with it."""
    board = Board(FakeKvm())
    board.console.answer(b">", b"y")
    vcpu = vcpu_of(board)
    order: list[object] = []
    vcpu.before_run = lambda: order.append((board.uart.level, board.console.pending_input))
    vcpu.script = [store(UART + Reg.IMSC, 0x50), store(UART, ord(">")), read(UART)]
    board.run(vcpu)
    assert order == [(False, 0), (False, 0), (True, 0), (False, 0)]
    assert vcpu.answers == [b"y\0\0\0"]


def test_text_typed_before_there_is_a_board_comes_in() -> None:
    console = Console()
    console.feed(b"v")
    log = InputLog()
    board = Board(FakeKvm(), console=console)
    board.inputs.listener = log.append
    vcpu_of(board).script = [read(UART, 1)]
    board.run(board.vcpus[0])
    assert vcpu_of(board).answers == [b"v"]
    assert list(log) == [Input(Position(0, 0, 0), "console", b"v")]


def test_a_turn_is_what_one_vcpu_does_until_another_is_run() -> None:
    board = Board(FakeKvm(), vcpus=3)
    positions = []
    for number in (0, 0, 1, 1, 2, 0):
        board.run(board.vcpus[number])
        positions.append(board.position)
    assert positions == [(0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0), (2, 2, 0), (3, 0, 0)]
    assert positions == sorted(positions)
    board.carry_on(board.vcpus[0], ExitMmio(UART, b"\0", 1, True))
    assert board.position == (3, 0, 0)


def test_an_input_of_another_thread_kicks_the_vcpu_that_runs() -> None:
    board = Board(FakeKvm(), vcpus=2)
    vcpu, other = vcpu_of(board, 1), vcpu_of(board)

    def type_something() -> None:
        thread = threading.Thread(target=board.console.feed, args=(b"x",))
        thread.start()
        thread.join()

    vcpu.before_run = type_something
    board.run(vcpu)
    assert (vcpu.kicks, other.kicks) == (1, 0)
    assert board.console.pending_input == 1
    vcpu.before_run = lambda: None
    board.run(vcpu)
    assert board.uart.peek(Reg.FR) == 0xC0, "received"


def test_a_replay_needs_a_provider_that_counts() -> None:
    board = Board(FakeKvm())
    board.inputs.replay([Input(Position(0, 0, 0), "console", b"x")])
    with pytest.raises(MachineError, match="counts instructions"):
        board.run(board.vcpus[0])


# ---- on the software provider ------------------------------------------------------------------

BASE = 0x4008_0000
SUM = 0x4010_0000


def adding() -> bytes:
    """A guest of one or more vCPUs: each adds up what it computes, and the UART's bytes.

    A loop of 7 instructions that reads UARTDR in every 16th round: what the sum is depends on the
    instruction at which a byte comes in.
    """
    program = [
        asm.mrs(5, "MPIDR_EL1"),
        *asm.mov(6, 0xFF),
        asm.and_reg(5, 5, 6),
        *asm.mov(1, UART),
        *asm.mov(2, SUM),
        *asm.mov(7, 0x100),
        *asm.mov(3, 1),
        *asm.mov(4, 0),
        asm.label("again"),
        asm.add(4, 4, 1),
        asm.add_reg(3, 3, 4),
        asm.tbnz(4, 0, "again"),
        asm.tbnz(4, 1, "again"),
        asm.access("ldrw", 0, 1),
        asm.add_reg(3, 3, 0),
        asm.add_reg(3, 3, 3),
        asm.str_(3, 2),
        asm.b("again"),
    ]
    return b"".join(word.to_bytes(4, "little") for word in asm.assemble(BASE, *program).words)


class Run:
    """A run of the guest that adds, in turns of fixed numbers of instructions."""

    def __init__(self, vcpus: int) -> None:
        self.kvm = open_kvm("soft")
        self.board = Board(self.kvm, memory_size=4 << 20, vcpus=vcpus)
        self.board.write_phys(BASE, adding())
        self.board.start(BASE)
        self.log = InputLog()
        self.board.inputs.listener = self.log.append
        for vcpu in self.board.vcpus[1:]:  # without PSCI CPU_ON
            vcpu.set_mp_state(0)
            vcpu.set_one_reg(PC, BASE)

    def turns(
        self, pieces: Sequence[int], before: Callable[[int], object] = lambda number: None
    ) -> None:
        """Each vCPU in turn; ``before`` is called before each run, as a debugger's stops are."""
        vcpus = self.board.vcpus
        for number, piece in enumerate(pieces):
            vcpu = vcpus[number % len(vcpus)]
            assert isinstance(vcpu, SupportsInstructionLimit)
            end = vcpu.instructions + piece  # type: ignore[attr-defined]
            vcpu.max_instructions = end
            before(number)
            while vcpu.instructions < end:  # type: ignore[attr-defined]
                assert isinstance(self.board.run(vcpu), ExitIntr)

    def state(self) -> tuple[object, ...]:
        return (
            self.board.position,
            self.board.ram.buffer[:],
            [[vcpu.get_one_reg(core_reg(f"x{n}")) for n in range(8)] for vcpu in self.board.vcpus],
            self.board.uart.snapshot(),
            self.board.console.snapshot(),
        )

    def close(self) -> None:
        self.board.close()
        self.kvm.close()


PIECES = st.lists(st.integers(1, 500), min_size=1, max_size=12)
TYPED = st.dictionaries(st.integers(0, 11), st.binary(min_size=1, max_size=3), max_size=6)


@settings(max_examples=25, deadline=None)
@given(pieces=PIECES, typed=TYPED, vcpus=st.integers(1, 3))
def test_the_same_inputs_at_the_same_positions_give_the_same_run(
    pieces: list[int], typed: dict[int, bytes], vcpus: int
) -> None:
    """Recorded with stops where text is typed, replayed without them."""
    first, second, silent = Run(vcpus), Run(vcpus), Run(vcpus)
    try:
        first.turns(pieces, lambda n: first.board.console.feed(typed.get(n, b"")))
        second.board.inputs.replay(first.log)
        second.turns(pieces)
        assert second.state() == first.state()
        assert list(second.log) == list(first.log)
        assert b"".join(item.data for item in first.log) == b"".join(
            typed[n] for n in sorted(typed) if n < len(pieces)
        )
        silent.turns(pieces)
        assert silent.board.position == first.board.position
    finally:
        for run in (first, second, silent):
            run.close()


@settings(max_examples=10, deadline=None)
@given(delays=st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_what_another_thread_types_at_any_time_is_replayed(delays: list[int]) -> None:
    first, second = Run(1), Run(1)
    try:
        stopping = threading.Event()

        def type_text() -> None:
            for delay in delays:
                stopping.wait(delay / 10_000)
                first.board.console.feed(b"xyz")

        thread = threading.Thread(target=type_text)
        thread.start()
        first.turns([400_000])
        thread.join()
        first.turns([1000])
        assert len(first.log) == len(delays)
        second.board.inputs.replay(first.log)
        second.turns([400_000, 1000])
        assert second.state() == first.state()
    finally:
        first.close()
        second.close()


def test_a_replay_from_a_snapshot_and_a_run_that_differs() -> None:
    run = Run(1)
    try:
        run.turns([300])
        snapshot = run.board.snapshot()
        assert snapshot.position == run.board.position
        run.turns([55, 500], lambda n: run.board.console.feed(b"ab"))
        expected, log = run.state(), InputLog(run.log)
        assert len(log) == 2

        run.log.truncate(snapshot.position)
        run.board.restore(snapshot)
        run.board.inputs.replay(log.since(snapshot.position))
        run.turns([555])
        assert run.state() == expected

        run.log.truncate(snapshot.position)
        run.board.restore(snapshot)
        run.board.inputs.replay(log.since(snapshot.position))
        run.board.console.feed(b"dropped in a replay")
        vcpu = run.board.vcpus[0]
        vcpu.max_instructions = 340  # type: ignore[attr-defined]
        run.board.run(vcpu)
        vcpu.max_instructions = 400  # type: ignore[attr-defined]
        run.board.carry_on(vcpu, None)  # past the place
        with pytest.raises(ReplayError, match="this run is not the recorded one"):
            run.board.run(vcpu)
    finally:
        run.close()


def test_what_is_posted_is_in_a_snapshot_and_dropped_at_restore() -> None:
    run = Run(1)
    try:
        run.board.console.feed(b"ab")
        snapshot = run.board.snapshot()
        assert [item.data for item in run.log] == [b"ab"]
        run.board.console.feed(b"cd")
        run.board.restore(snapshot)
        assert not run.board.inputs.pending
        assert run.board.console.pending_input == 1
        assert run.board.uart.peek(Reg.FR) == 0xC0, "one byte in a FIFO of one"
    finally:
        run.close()


def test_a_guest_that_waits_gets_what_is_posted_at_that_moment(tmp_path: Path) -> None:
    """The power button is pressed when the guest has gone to sleep: it is not idle for ever."""
    path = tmp_path / "guest.bin"
    path.write_bytes(b"".join(w.to_bytes(4, "little") for w in (asm.WFI, asm.WFI, asm.b(-8))))
    with guestdbg.load(path, provider="soft", kind="raw", memory="16M", console=None) as guest:
        run, pressed = guest.board.run, []

        def run_and_press(vcpu: Vcpu) -> Exit:
            exit_ = run(vcpu)
            if not pressed:
                pressed.append(exit_)
                guest.board.press_power_button()
            return exit_

        guest.board.run = run_and_press  # type: ignore[method-assign]
        assert guest.run(timeout=20).reason == "idle"
        assert guest.board.gpio.peek(0x20) == 8, "pressed"
