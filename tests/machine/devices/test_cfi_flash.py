"""Flash by the Common Flash Interface (JESD68) with Intel's commands, as firmware drives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.kvm import ExitIntr, open_kvm
from guestdbg.kvm.regs import PC, core_reg
from guestdbg.machine import Board, MachineError
from guestdbg.machine.devices.cfi_flash import CfiFlash
from tests.machine.fakes import FakeKvm

SIZE, BLOCK, BANK = 64 << 20, 256 << 10, 0x0400_0000
READY = 0x0080_0080


class Bank:
    """A bank of 64 MiB, with the accesses of a driver."""

    def __init__(self) -> None:
        self.contents = bytearray(SIZE)
        self.shown: list[bool] = []
        self.changed: list[tuple[int, int]] = []
        self.flash = CfiFlash(
            BANK,
            memoryview(self.contents),
            self.shown.append,
            lambda offset, length: self.changed.append((offset, length)),
        )

    def write(self, offset: int, *values: int) -> None:
        for value in values:
            self.flash.write(offset, 4, value)

    def command(self, offset: int, *commands: int) -> None:
        self.write(offset, *(command | command << 16 for command in commands))

    def read(self, offset: int) -> int:
        return self.flash.read(offset, 4)


@pytest.fixture
def bank() -> Bank:
    return Bank()


def test_the_query_says_what_it_is(bank: Bank) -> None:
    bank.command(0x55 * 4, 0x98)

    def entry(index: int) -> int:
        word = bank.read(4 * index)
        assert word >> 16 == word & 0xFFFF, "both devices answer"
        return word & 0xFFFF

    assert bytes(map(entry, (0x10, 0x11, 0x12))) == b"QRY"
    assert entry(0x13) | entry(0x14) << 8 == 1, "Intel/Sharp extended command set"
    assert 2 << entry(0x27) == SIZE, "two devices"
    assert entry(0x2C) == 1, "one erase region"
    blocks = (entry(0x2D) | entry(0x2E) << 8) + 1
    assert 2 * 256 * (entry(0x2F) | entry(0x30) << 8) == BLOCK
    assert blocks * BLOCK == SIZE
    table = entry(0x15) | entry(0x16) << 8
    assert bytes(map(entry, range(table, table + 3))) == b"PRI"
    assert bank.flash.read(4 * 0x10 + 1, 1) == 0
    bank.command(0, 0xFF)
    assert bank.read(0x40) == 0
    assert bank.shown == [False, True], "not memory in between"


def test_erase_and_program(bank: Bank) -> None:
    bank.command(5 * BLOCK + 0x100, 0x20, 0xD0)
    assert bank.read(0) == READY
    bank.command(0, 0xFF)
    assert bank.contents[5 * BLOCK : 6 * BLOCK] == b"\xff" * BLOCK
    assert bank.contents[5 * BLOCK - 1] == bank.contents[6 * BLOCK] == 0
    at = 5 * BLOCK + 8
    for value in (0x1234_5678, 0xFFFF_00FF):
        bank.command(at, 0x40)
        bank.write(at, value)
        assert bank.read(at) == READY
    bank.command(at, 0xFF)
    assert bank.read(at) == 0x1234_0078, "programming only clears bits"
    assert bank.changed == [(5 * BLOCK, BLOCK), (at, 4), (at, 4)]


def test_buffered_program(bank: Bank) -> None:
    bank.command(0, 0x20, 0xD0)
    bank.command(0x400, 0xE8)
    assert bank.read(0x400) == READY, "the buffer is available"
    bank.command(0x400, 3)
    for n in range(4):
        bank.write(0x400 + 4 * n, 0x1111_1111 * n)
    assert bank.contents[0x400:0x410] == b"\xff" * 16, "not before it is confirmed"
    bank.command(0x400, 0xD0)
    assert bank.read(0) == READY
    bank.command(0, 0xFF)
    assert [bank.read(0x400 + 4 * n) for n in range(5)] == [
        0,
        0x1111_1111,
        0x2222_2222,
        0x3333_3333,
        0xFFFF_FFFF,
    ]


@pytest.mark.parametrize(
    "sequence",
    [
        [(0, 0x20), (0, 0x00)],
        [(0, 0x60), (0, 0x77)],
        [(0, 0xE8), (0, 0x1000)],
        [(0, 0xE8), (0, 1), (BLOCK, 5)],
        [(0, 0xE8), (0, 0), (0, 5), (0, 0x12)],
    ],
    ids=["erase", "lock", "count", "other block", "confirm"],
)
def test_wrong_sequences_are_an_error_and_change_nothing(
    bank: Bank, sequence: list[tuple[int, int]]
) -> None:
    for offset, command in sequence:
        bank.command(offset, command)
    assert bank.read(0) == 0x00B0_00B0
    bank.command(0, 0x50, 0x70)
    assert bank.read(0) == READY, "cleared"
    assert bank.changed == []


def test_locks_and_identity(bank: Bank) -> None:
    bank.command(0, 0x60, 0xD0)
    assert bank.read(0) == READY
    bank.command(0, 0x60, 0x01)
    assert bank.read(0) == READY
    bank.command(0, 0x90)
    assert [bank.read(4 * n) for n in range(3)] == [0x0089_0089, 0x0018_0018, 0]


def test_a_reset_reads_the_array(bank: Bank) -> None:
    bank.command(0, 0x20)
    bank.flash.reset()
    assert (bank.read(0), bank.shown) == (0, [False, True])
    bank.command(0, 0xD0)
    assert bank.changed == []


def test_snapshots_have_what_memory_does_not_have(bank: Bank) -> None:
    bank.command(0, 0x20, 0xD0)
    state = bank.flash.snapshot()
    bank.command(0x10, 0x40)
    bank.write(0x10, 0)
    bank.command(BLOCK, 0x20, 0xD0, 0xFF)
    bank.flash.restore(state)
    assert bank.contents[: 2 * BLOCK] == b"\xff" * BLOCK + bytes(BLOCK)
    assert bank.read(0) == READY
    assert bank.shown[-1] is False


# ---- on a board ----------------------------------------------------------------------------------


@pytest.fixture
def board() -> Iterator[Board]:
    with open_kvm("soft") as kvm, Board(kvm, memory_size=4 << 20) as board:
        board.map_flash()
        yield board


def run(board: Board, *words: int) -> int:
    """Execute instructions at 0 of flash; returns x0."""
    board.write_phys(0, b"".join(word.to_bytes(4, "little") for word in words))
    board.start(0)
    vcpu = board.vcpus[0]
    vcpu.max_instructions = vcpu.instructions + len(words)  # type: ignore[attr-defined]
    assert isinstance(board.run(vcpu), ExitIntr)
    assert vcpu.get_one_reg(PC) == 4 * len(words)
    return vcpu.get_one_reg(core_reg("x0"))


# x1 = 0x04000000; w2 = the command; str w2, [x1]; ldr w0, [x1]
X1 = 0xD2A08001
STORE, LOAD = 0xB900_0022, 0xB940_0020


def command(value: int) -> list[int]:
    """w2 = value in both halves; str w2, [x1]."""
    return [0x5280_0002 | value << 5, 0x72A0_0002 | value << 5, STORE]


def test_the_guest_executes_one_bank_and_programs_the_other(board: Board) -> None:
    assert run(board, X1, *command(0x70), LOAD) == READY
    assert run(board, X1, *command(0x20), *command(0xD0), *command(0xFF), LOAD) == 0xFFFF_FFFF
    assert board.read_phys(BANK + BLOCK - 4, 8) == b"\xff" * 4 + bytes(4)
    assert run(board, X1, *command(0x40), *command(0x1234), *command(0xFF), LOAD) == 0x1234_1234


def test_a_snapshot_in_the_middle_of_a_command(board: Board) -> None:
    run(board, X1, *command(0x20), *command(0xD0))
    snapshot = board.snapshot()
    run(board, X1, *command(0x40), *command(0), *command(0xFF))
    assert board.read_phys(BANK, 4) == bytes(4)
    array = board.snapshot()
    for _ in range(2):
        board.restore(snapshot)
        assert board.read_phys(BANK, 4) == b"\xff" * 4
        assert board.bus.peek(BANK, 4) == READY.to_bytes(4, "little")
        board.restore(array)
        assert board.read_phys(BANK, 4) == bytes(4)
        assert run(board, X1, LOAD) == 0


def test_a_file_is_read_and_written_only_if_it_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / "vars.fd"
    path.write_bytes(b"\xff" * 4096)
    erase = [X1, *command(0x40), *command(0x1234), *command(0xFF), LOAD]
    for save in (False, True):
        with (
            open_kvm("soft") as kvm,
            Board(kvm, memory_size=4 << 20, flash_file=path, flash_save=save) as board,
        ):
            board.map_flash()
            assert run(board, *erase) == 0x1234_1234
            if save:
                with pytest.raises(MachineError, match="flash_save"):
                    board.snapshot()
                with pytest.raises(MachineError, match="another program uses it"):
                    Board(FakeKvm(), flash_file=path, flash_save=True)
        first = b"\x34\x12\x34\x12" if save else b"\xff" * 4
        assert path.read_bytes() == first + b"\xff" * 4092


def test_files_that_cannot_be(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(SIZE + 1)
    for path, message in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (large, "larger than the bank, 64 MiB"),
    ):
        with pytest.raises(MachineError, match=message):
            Board(FakeKvm(), flash_file=path)
    with pytest.raises(MachineError, match="there is no flash_file to write to"):
        Board(FakeKvm(), flash_save=True)
