"""fw_cfg, by QEMU's docs/specs/fw_cfg.rst, as EDK2 and Linux use it."""

import struct

import pytest

from guestdbg.machine import Board, FwCfg, MachineError
from guestdbg.machine.devices.fw_cfg import Key
from tests.machine.fakes import FakeKvm

RAM = 0x4000_0000
REQUEST, BUFFER = RAM + 0x1000, RAM + 0x2000
ERROR, READ, SKIP, SELECT, WRITE = 1, 2, 4, 8, 16


@pytest.fixture
def board() -> Board:
    return Board(FakeKvm(), memory_size=16 << 20, vcpus=2)


def select(fw_cfg: FwCfg, key: int) -> None:
    fw_cfg.write(8, 2, int.from_bytes(key.to_bytes(2, "big"), "little"))


def item(fw_cfg: FwCfg, key: int, length: int, size: int = 1) -> bytes:
    select(fw_cfg, key)
    pieces = (fw_cfg.read(0, size).to_bytes(size, "little") for _ in range(0, length, size))
    return b"".join(pieces)


def dma(
    board: Board, control: int, length: int = 0, address: int = BUFFER, at: int = REQUEST
) -> int:
    """Perform a request; returns its control word afterwards."""
    board.write_phys(REQUEST, struct.pack(">IIQ", control, length, address))
    board.fw_cfg.write(16, 4, int.from_bytes((at >> 32).to_bytes(4, "big"), "little"))
    board.fw_cfg.write(20, 4, int.from_bytes((at & 0xFFFF_FFFF).to_bytes(4, "big"), "little"))
    return int.from_bytes(board.read_phys(REQUEST, 4), "big")


def test_what_it_says_of_the_machine(board: Board) -> None:
    fw_cfg = board.fw_cfg
    assert item(fw_cfg, Key.SIGNATURE, 4) == b"QEMU"
    assert item(fw_cfg, Key.ID, 4) == b"\3\0\0\0", "with DMA"
    assert item(fw_cfg, Key.RAM_SIZE, 8, 8) == struct.pack("<Q", 16 << 20)
    assert item(fw_cfg, Key.NB_CPUS, 2, 2) == b"\2\0"
    assert fw_cfg.read(16, 8).to_bytes(8, "little") == b"QEMU CFG"


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_data_is_a_string_of_bytes_for_any_size(board: Board, size: int) -> None:
    board.fw_cfg.add_file("opt/org.example/text", b"0123456789")
    expected = b"0123456789".ljust(16, b"\0")
    assert item(board.fw_cfg, 0x20, 16, size) == expected, "zeros after the end"


def test_the_directory(board: Board) -> None:
    fw_cfg = board.fw_cfg
    fw_cfg.add_file("opt/b", b"12")
    fw_cfg.add_file("etc/a", b"345")
    fw_cfg.add_file("opt/b", b"6789")
    entries = item(fw_cfg, Key.FILE_DIR, 4 + 2 * 64)
    assert entries[:4] == b"\0\0\0\2"
    found = [struct.unpack(">IHH56s", entries[4 + 64 * n : 68 + 64 * n]) for n in range(2)]
    assert [(size, key, name.rstrip(b"\0")) for size, key, _, name in found] == [
        (3, 0x21, b"etc/a"),
        (4, 0x20, b"opt/b"),
    ]
    assert item(fw_cfg, 0x20, 4) == b"6789"


@pytest.mark.parametrize("name", ["", "x" * 56, "\u00e4", "a\0b"])
def test_no_such_file_name(board: Board, name: str) -> None:
    with pytest.raises(MachineError, match="fw_cfg file"):
        board.fw_cfg.add_file(name, b"")


def test_what_a_firmware_boots(board: Board) -> None:
    board.fw_cfg.set_kernel(b"kernel", b"initrd!", "quiet")
    sizes = [item(board.fw_cfg, k, 4) for k in (Key.KERNEL_SIZE, Key.INITRD_SIZE, Key.CMDLINE_SIZE)]
    assert [int.from_bytes(size, "little") for size in sizes] == [6, 7, 6]
    assert item(board.fw_cfg, Key.CMDLINE_DATA, 6) == b"quiet\0"


def test_dma_reads_into_memory_and_says_so(board: Board) -> None:
    written: list[tuple[str, int, int]] = []
    board.on_dma = lambda device, address, length: written.append((device.name, address, length))
    board.fw_cfg.add_file("opt/text", b"0123456789")
    assert dma(board, 0x20 << 16 | SELECT | READ, 4) == 0
    assert board.read_phys(BUFFER, 4) == b"0123"
    assert dma(board, SKIP, 2) == 0
    assert dma(board, READ, 8) == 0
    assert board.read_phys(BUFFER, 8) == b"6789\0\0\0\0"
    assert ("fw_cfg", BUFFER, 4) in written
    assert ("fw_cfg", REQUEST, 4) in written


def test_one_write_of_8_bytes_starts_a_request(board: Board) -> None:
    board.write_phys(REQUEST, struct.pack(">IIQ", SELECT | READ, 4, BUFFER))
    board.fw_cfg.write(16, 8, int.from_bytes(REQUEST.to_bytes(8, "big"), "little"))
    assert board.read_phys(BUFFER, 4) == b"QEMU"


@pytest.mark.parametrize(
    ("control", "length", "address"),
    [
        (WRITE, 4, BUFFER),
        (READ, 4, 0x3FFF_FFFE),
        (READ, 4, RAM + (16 << 20) - 2),
        (READ, 1 << 31, RAM),
        (READ, 0xFFFF_FFFF, (1 << 64) - 1),
    ],
)
def test_requests_that_fail(board: Board, control: int, length: int, address: int) -> None:
    before = board.read_phys(BUFFER, 0x1000)
    assert dma(board, control, length, address) == ERROR
    assert board.read_phys(BUFFER, 0x1000) == before


@pytest.mark.parametrize("at", [0, RAM - 8, RAM + (16 << 20) - 8, (1 << 64) - 1])
def test_a_request_that_is_not_in_memory_does_nothing(board: Board, at: int) -> None:
    assert dma(board, READ, 4, at=at) == READ


def test_dma_does_not_write_read_only_memory(board: Board) -> None:
    board.map_flash()
    assert dma(board, READ, 4, 0x1000) == ERROR
    assert board.read_phys(0x1000, 4) == bytes(4)
