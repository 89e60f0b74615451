"""Snapshots of a board: devices and typed input are restored with the vCPUs and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.kvm import ExitIntr, SupportsInstructionLimit, open_kvm
from guestdbg.machine import Board, Console, DriveSpec, MachineError, Pl011, load
from tests.machine.guests import EXAMPLES

from .fakes import FakeKvm

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)


def test_every_attribute_of_the_devices_is_kept_or_wired() -> None:
    """A new attribute must be added to the state, or to this list."""
    console = Console(None)
    uart = Pl011(console)
    wired = {"base", "size", "spi", "console", "_on_interrupt"}
    kept = {
        "stored": "_stored",
        "raised": "_raised",
        "received": "_receive",
        "errors": "_errors",
        "overrun": "_overrun",
        "level": "level",
    }
    assert set(vars(uart)) - wired == {*kept.values(), "_polled"}
    assert set(uart.snapshot()._fields) == {*kept, "polled"}
    wired = {"_write", "_sink_flush", "_lock", "_out", "listener", "on_sink_error", "port"}
    wired |= {"observer", "trace", "muted", "seen"}
    kept = {"_in", "_answers", "_recent", "sent", "_input_ended"}
    assert set(vars(console)) - wired == kept


ACCESSES = st.lists(
    st.tuples(
        st.sampled_from(["read", "write", "feed"]),
        st.sampled_from([0, 0, 4, 0x18, 0x2C, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44]),
        st.integers(0, 0x3FFF),
    ),
    max_size=30,
)


@given(before=ACCESSES, between=ACCESSES, after=ACCESSES)
def test_a_uart_goes_back(
    before: list[tuple[str, int, int]],
    between: list[tuple[str, int, int]],
    after: list[tuple[str, int, int]],
) -> None:
    output = bytearray()
    console = Console(output.extend)
    console.answer(b"a", b"yes")
    uart = Pl011(console)

    def access(accesses: list[tuple[str, int, int]]) -> list[object]:
        seen: list[object] = []
        for what, offset, value in accesses:
            if what == "read":
                seen.append(uart.read(offset, 4))
            elif what == "write":
                uart.write(offset, 4, value)
            else:
                console.feed(bytes([value & 0xFF]))
                uart.poll()
            seen.append((uart.level, console.pending_input, console.sent))
        console.flush()
        return seen

    access(before)
    states = uart.snapshot(), console.snapshot()
    printed = len(output)
    first = access(after)
    rest = output[printed:]
    for _ in range(2):
        access(between)
        uart.restore(states[0])
        console.restore(states[1])
        assert (uart.snapshot(), console.snapshot()) == states
        printed = len(output)
        assert access(after) == first
        assert output[printed:] == rest


PIECES = {"queue": 400_011, "mmu": 3011, "smp": 3011, "selfdebug": 511, "fault": 511}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("vcpus", [1, 2])
def test_examples_go_on_as_they_did(name: str, vcpus: int) -> None:
    """Snapshots during a run, restored from its end in another order."""
    output = bytearray()
    with (
        open_kvm("soft") as kvm,
        Board(kvm, memory_size=16 << 20, vcpus=vcpus, console=Console(output.extend)) as board,
    ):
        load(board, EXAMPLES / f"{name}.elf")

        def turn() -> object:
            """Run each vCPU for a short time; returns the exits, None if all of them wait."""
            exits = []
            for vcpu in board.vcpus:
                assert isinstance(vcpu, SupportsInstructionLimit)
                vcpu.max_instructions = vcpu.instructions + PIECES[name]  # type: ignore[attr-defined]
                exits.append(board.run(vcpu))
            return exits

        def to_the_end() -> tuple[object, bytes, bytes, tuple[int, ...]]:
            printed = len(output)
            for _ in range(300):
                exits = turn()
                assert isinstance(exits, list)
                if not all(isinstance(exit_, ExitIntr) for exit_ in exits):
                    break
            else:
                pytest.fail("it does not end")
            instructions = tuple(vcpu.instructions for vcpu in board.vcpus)  # type: ignore[attr-defined]
            return exits, bytes(output[printed:]), board.ram.buffer[:], instructions

        first = board.snapshot()
        expected = to_the_end()
        assert expected[1]
        board.restore(first)
        on_the_way = [first]
        for _ in range(3):
            turn()
            on_the_way.append(board.snapshot())
        whole = expected[1]
        for snapshot in (on_the_way[2], on_the_way[0], on_the_way[3], on_the_way[2]):
            board.restore(snapshot)
            exits, rest, memory, instructions = to_the_end()
            assert (exits, memory, instructions) == (expected[0], *expected[2:])
            assert whole.endswith(rest)


def test_snapshots_of_other_boards_are_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    with open_kvm("soft") as kvm, Board(kvm, drives=[DriveSpec(disk, overlay=True)]) as one:
        for options, words in (
            ({}, "devices: virtio-blk of 0x200 bytes at 0xa000000"),
            ({"drives": [DriveSpec(disk, readonly=True)]}, "devices: .*overlay.*read-only"),
            ({"memory_size": 64 << 20}, "memory: RAM of 0x8000000"),
            ({"gic": 2}, "interrupt controller: GICv3 there, GICv2 here"),
            ({"vcpus": 2}, "vCPUs: 1 there, 2 here"),
            ({"rtc": 7}, "time of day: 1735689600 there, 7 here"),
        ):
            same: dict[str, Any] = {"drives": [DriveSpec(disk, overlay=True)]}
            with Board(kvm, **(same if options else {}) | options) as other:
                before = other.snapshot()
                with pytest.raises(MachineError, match=words):
                    other.restore(one.snapshot())
                other.restore(before)
        snapshot = one.snapshot()
        one.map_flash()
        with pytest.raises(MachineError, match="memory: nothing else there, flash of 0x8000000"):
            one.restore(snapshot)


def test_a_provider_without_snapshots_is_told() -> None:
    refused = pytest.raises(MachineError, match=r"SupportsSnapshots.*soft provider")
    with Board(FakeKvm()) as board, refused:
        board.snapshot()
