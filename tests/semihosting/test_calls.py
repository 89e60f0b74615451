"""Operations with hostile arguments, and files that must not be reached."""

import errno
import os

import pytest

from guestdbg.semihosting import (
    Exited,
    NeedsInput,
    Semihosting,
    SemihostingCalls,
    SemihostingError,
    files,
    operation_name,
)
from guestdbg.semihosting.operations import Operation

ERROR = (1 << 64) - 1
HERE = 0x1000


class Memory:
    """64 KiB of memory at 0x1000, and a console."""

    memory_size = 0x10000
    heap = (1, 2, 3, 4)

    def __init__(self) -> None:
        self.data = bytearray(0x10000)
        self.printed = b""
        self.typed = b""

    def read(self, address: int, length: int) -> bytes:
        at = address - HERE
        if not 0 <= at <= at + length <= len(self.data):
            raise LookupError(hex(address))
        return bytes(self.data[at : at + length])

    def write(self, address: int, data: bytes) -> None:
        self.read(address, len(data))
        self.data[address - HERE : address - HERE + len(data)] = data

    def print(self, data: bytes) -> None:
        self.printed += data

    def take_input(self, limit: int) -> bytes:
        taken, self.typed = self.typed[:limit], self.typed[limit:]
        return taken

    def ticks(self) -> tuple[int, int]:
        return 250, 100

    def block(self, *fields: int, at: int = HERE) -> int:
        self.write(at, b"".join(field.to_bytes(8, "little") for field in fields))
        return at

    def text(self, data: bytes, at: int = HERE + 0x100) -> tuple[int, int]:
        self.write(at, data)
        return at, len(data)


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def calls(tmp_path):
    made = SemihostingCalls(Semihosting(tmp_path, args="one two", max_written=1000))
    yield made
    made.close()


def error(calls, memory) -> int:
    return calls.call(memory, Operation.SYS_ERRNO, 0)


def open_(calls, memory, name: bytes, mode: int) -> int:
    address, length = memory.text(name)
    return calls.call(memory, Operation.SYS_OPEN, memory.block(address, mode, length))


@pytest.mark.parametrize("number", [0, 0x0B, 0x14, 0x17, 0x19, 0x100, 0xFFFFFFFF])
def test_an_operation_that_does_not_exist_fails(calls, memory, number: int) -> None:
    assert calls.call(memory, number, HERE) == ERROR
    assert error(calls, memory) == errno.ENOSYS
    assert hex(number) in operation_name(number)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("block", [0, HERE - 4, HERE + 0xFFFC, 1 << 47, ERROR, ERROR - 8])
def test_a_block_that_is_not_there_harms_nothing(calls, memory, operation, block) -> None:
    before = bytes(memory.data)
    try:
        calls.call(memory, operation, block)
    except NeedsInput:
        assert operation == Operation.SYS_READC
    changed = [
        n for n, pair in enumerate(zip(before, memory.data, strict=True)) if pair[0] != pair[1]
    ]
    assert not changed


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("field", [0, 1, HERE, 1 << 31, 1 << 63, ERROR])
def test_odd_fields_harm_nothing(calls, memory, operation, field) -> None:
    memory.block(field, field, field, field)
    try:
        calls.call(memory, operation, HERE)
    except NeedsInput:
        assert operation == Operation.SYS_READC


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (b"link", errno.ELOOP),
        (b"dir-link/secret", errno.ENOTDIR),
        (b"../secret", errno.EACCES),
        (b"sub/../../secret", errno.EACCES),
        (b"sub/up/secret", errno.ENOTDIR),
        (b"fifo", errno.EACCES),
        (b"sub", errno.EISDIR),
        (b"..", errno.EISDIR),
        (b"", errno.EISDIR),
        (b"a\0b", errno.EINVAL),
        (b"/etc/passwd", errno.ENOENT),
        (b"x" * 5000, errno.ENAMETOOLONG),
        (b"x" * 300, errno.ENAMETOOLONG),
        (b"sub/" * 65 + b"x", errno.ENAMETOOLONG),
    ],
)
@pytest.mark.parametrize("mode", [0, 2, 4, 6, 8, 10])
def test_no_path_leads_out(memory, tmp_path, name: bytes, number: int, mode: int) -> None:
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "dir-link").symlink_to(tmp_path)
    (inside / "sub" / "up").symlink_to("../..")
    os.mkfifo(inside / "fifo")
    calls = SemihostingCalls(Semihosting(inside))
    assert open_(calls, memory, name, mode) == ERROR
    assert error(calls, memory) == number
    address, length = memory.text(name)
    assert calls.call(memory, Operation.SYS_REMOVE, memory.block(address, length)) == ERROR
    target, size = memory.text(b"new", at=HERE + 0x8000)
    block = memory.block(target, size, address, length)
    assert calls.call(memory, Operation.SYS_RENAME, block) == ERROR
    assert (tmp_path / "secret").read_text() == "secret"
    assert sorted(p.name for p in inside.iterdir()) == ["dir-link", "fifo", "link", "sub"]
    calls.close()


def test_the_bytes_written_are_limited(calls, memory, tmp_path) -> None:
    handle = open_(calls, memory, b"big", 4)
    block = memory.block(handle, HERE, 600)
    assert calls.call(memory, Operation.SYS_WRITE, block) == 0
    assert calls.call(memory, Operation.SYS_WRITE, block) == 600
    assert error(calls, memory) == errno.ENOSPC
    calls.call(memory, Operation.SYS_SEEK, memory.block(handle, 1 << 40))
    assert calls.call(memory, Operation.SYS_WRITE, memory.block(handle, HERE, 1)) == 1
    assert (tmp_path / "big").stat().st_size == 600


def test_the_handles_are_limited_and_used_again(calls, memory) -> None:
    handles = [open_(calls, memory, b":tt", 0) for _ in range(64)]
    assert handles == list(range(1, 65))
    assert open_(calls, memory, b":tt", 0) == ERROR
    assert error(calls, memory) == errno.EMFILE
    assert calls.call(memory, Operation.SYS_CLOSE, memory.block(9)) == 0
    assert calls.call(memory, Operation.SYS_CLOSE, memory.block(9)) == ERROR
    assert error(calls, memory) == errno.EBADF
    assert open_(calls, memory, b":tt", 0) == 9


def test_reading_the_console_waits_for_input(calls, memory) -> None:
    handle = open_(calls, memory, b":tt", 0)
    block = memory.block(handle, HERE + 0x200, 10)
    with pytest.raises(NeedsInput):
        calls.call(memory, Operation.SYS_READ, block)
    memory.typed = b"abc"
    assert calls.call(memory, Operation.SYS_READ, block) == 7
    assert memory.read(HERE + 0x200, 3) == b"abc"
    with pytest.raises(NeedsInput):
        calls.call(memory, Operation.SYS_READC, 0)
    memory.typed = b"\xff"
    assert calls.call(memory, Operation.SYS_READC, 0) == 0xFF


def test_a_buffer_that_is_not_there_loses_no_input(calls, memory) -> None:
    handle = open_(calls, memory, b":tt", 0)
    memory.typed = b"abc"
    assert calls.call(memory, Operation.SYS_READ, memory.block(handle, 1 << 47, 3)) == ERROR
    assert error(calls, memory) == errno.EFAULT
    assert memory.typed == b"abc"


def test_time_is_the_counters(calls, memory) -> None:
    assert calls.call(memory, Operation.SYS_CLOCK, 0) == 250
    assert calls.call(memory, Operation.SYS_TIME, 0) == 2
    assert calls.call(memory, Operation.SYS_TICKFREQ, 0) == 100
    assert calls.call(memory, Operation.SYS_ELAPSED, HERE) == 0
    assert memory.read(HERE, 8) == (250).to_bytes(8, "little")


def test_the_command_line_and_the_heap(calls, memory) -> None:
    block = memory.block(HERE + 0x200, 8)
    assert calls.call(memory, Operation.SYS_GET_CMDLINE, block) == 0
    assert memory.read(HERE + 0x200, 8) == b"one two\0"
    assert memory.read(HERE + 8, 8) == (7).to_bytes(8, "little")
    assert calls.call(memory, Operation.SYS_GET_CMDLINE, memory.block(HERE + 0x200, 7)) == ERROR
    calls.call(memory, Operation.SYS_HEAPINFO, memory.block(HERE + 0x300))
    assert memory.read(HERE + 0x300, 32) == b"".join(n.to_bytes(8, "little") for n in (1, 2, 3, 4))


@pytest.mark.parametrize("operation", [Operation.SYS_EXIT, Operation.SYS_EXIT_EXTENDED])
@pytest.mark.parametrize(
    ("reason", "subcode", "status"),
    [(0x20026, 0, 0), (0x20026, 3, 3), (0x20026, 256, 1), (0x20026, ERROR, 255), (0x20023, 0, 1)],
)
def test_the_exit_status(calls, memory, operation, reason, subcode, status) -> None:
    result = calls.call(memory, operation, memory.block(reason, subcode))
    assert isinstance(result, Exited)
    assert result.status == status


def test_nothing_is_run_on_the_host(calls, memory) -> None:
    address, length = memory.text(b"true")
    assert calls.call(memory, Operation.SYS_SYSTEM, memory.block(address, length)) == ERROR


def test_appending_goes_to_the_end(calls, memory, tmp_path) -> None:
    # QEMU 7.2 writes at the start instead.
    (tmp_path / "log").write_text("one")
    handle = open_(calls, memory, b"log", 8)
    address, length = memory.text(b" two")
    assert calls.call(memory, Operation.SYS_WRITE, memory.block(handle, address, length)) == 0
    assert (tmp_path / "log").read_text() == "one two"


@pytest.mark.parametrize("name", [b"/a", b"//a", b"./a", b"sub/../a", b"/sub//./../a"])
def test_names_of_one_file(calls, memory, tmp_path, name: bytes) -> None:
    (tmp_path / "sub").mkdir()
    assert open_(calls, memory, name, 4) != ERROR
    assert (tmp_path / "a").is_file()


def rename(calls, memory, old: bytes, new: bytes) -> int:
    first, second = memory.text(old), memory.text(new, at=HERE + 0x8000)
    return calls.call(memory, Operation.SYS_RENAME, memory.block(*first, *second))


def test_renaming_across_directories(calls, memory, tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub" / "b").write_text("b")
    assert rename(calls, memory, b"a", b"sub/b") == 0
    assert (tmp_path / "sub" / "b").read_text() == "a"
    assert rename(calls, memory, b"sub/b", b"/a") == 0
    assert rename(calls, memory, b"a", b"../a") == ERROR
    assert rename(calls, memory, b"sub", b"other") == ERROR
    assert rename(calls, memory, b"gone", b"other") == ERROR
    assert error(calls, memory) == errno.ENOENT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "sub"]


@pytest.mark.parametrize("mode", range(14))
def test_the_modes_of_the_console_and_of_the_features(calls, memory, mode: int) -> None:
    console, features = (
        open_(calls, memory, name, mode) for name in (b":tt", b":semihosting-features")
    )
    assert (console != ERROR) == (mode < 12)
    assert (features != ERROR) == (mode < 4)
    if console != ERROR:
        assert calls.call(memory, Operation.SYS_ISTTY, memory.block(console)) == 1
        assert calls.call(memory, Operation.SYS_FLEN, memory.block(console)) == ERROR
        assert calls.call(memory, Operation.SYS_SEEK, memory.block(console, 0)) == ERROR
        assert error(calls, memory) == errno.ESPIPE
    if features != ERROR:
        block = memory.block(features, HERE, 5)
        assert calls.call(memory, Operation.SYS_WRITE, block) == 5
        assert error(calls, memory) == errno.EBADF
        calls.call(memory, Operation.SYS_SEEK, memory.block(features, 4))
        assert calls.call(memory, Operation.SYS_READ, memory.block(features, HERE + 64, 9)) == 8
        assert memory.read(HERE + 64, 1) == b"\3"


def test_the_files_created_are_limited(calls, memory, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_MAX_CREATED", 3)
    for name in (b"1", b"2", b"3"):
        handle = open_(calls, memory, name, 4)
        calls.call(memory, Operation.SYS_CLOSE, memory.block(handle))
    assert open_(calls, memory, b"4", 4) == ERROR
    assert error(calls, memory) == errno.ENOSPC
    assert open_(calls, memory, b"3", 8) != ERROR
    address, length = memory.text(b"1")
    assert calls.call(memory, Operation.SYS_REMOVE, memory.block(address, length)) == 0
    assert open_(calls, memory, b"4", 4) != ERROR
    assert open_(calls, memory, b"5", 4) == ERROR


@pytest.mark.parametrize("length", [0x2000, 0x10000, 1 << 32, 1 << 63, ERROR])
@pytest.mark.parametrize("operation", [Operation.SYS_READ, Operation.SYS_WRITE])
def test_a_buffer_that_ends_early(calls, memory, tmp_path, operation, length: int) -> None:
    """What is there is transferred, and the rest is reported as not transferred."""
    (tmp_path / "f").write_bytes(b"x" * 900)
    handle = open_(calls, memory, b"f", 2)
    there = 0x234
    start = HERE + 0x10000 - there
    left = calls.call(memory, operation, memory.block(handle, start, length))
    assert left == length - there
    assert error(calls, memory) == errno.EFAULT


def test_a_read_of_the_console_takes_what_was_typed(calls, memory) -> None:
    """It does not wait for more, where the buffer crosses a page."""
    handle = open_(calls, memory, b":tt", 0)
    memory.typed = b"0123456789"
    block = memory.block(handle, HERE + 0xFFD, 100)
    assert calls.call(memory, Operation.SYS_READ, block) == 90
    assert memory.read(HERE + 0xFFD, 10) == b"0123456789"


def test_the_input_ends(calls, memory) -> None:
    memory.take_input = lambda limit: None
    handle = open_(calls, memory, b":tt", 0)
    assert calls.call(memory, Operation.SYS_READ, memory.block(handle, HERE, 10)) == 10
    assert calls.call(memory, Operation.SYS_READC, 0) == ERROR


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"directory": "/nowhere/at/all"}, "not a directory"),
        ({"directory": __file__}, "not a directory"),
        ({"directory": 3.5}, "must be a path"),
        ({"directory": "a\0b"}, "must be a path|not a directory"),
        ({"args": None}, "args is None"),
        ({"args": "a\0b"}, "without NUL"),
        ({"epoch": -1}, "epoch is -1"),
        ({"epoch": "now"}, "epoch is 'now'"),
        ({"max_written": 1 << 63}, "max_written"),
        ({"target": "host"}, "native, gdb, auto"),
        ({"target": "gdb", "directory": "/"}, "there is no directory"),
    ],
)
def test_wrong_options_are_refused_when_they_are_given(options: dict, text: str) -> None:
    with pytest.raises(SemihostingError, match=text):
        Semihosting(**options)


def test_a_directory_that_has_gone(tmp_path) -> None:
    chosen = Semihosting(tmp_path)
    tmp_path.rmdir()
    with pytest.raises(SemihostingError, match="No such file"):
        SemihostingCalls(chosen)
