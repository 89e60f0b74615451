"""Semihosting operations that the client performs (F packets): GDB itself, and single packets."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guestdbg.semihosting import Name, Semihosting, SemihostingCalls
from tests.gdb import gdb_client
from tests.gdb.gdb_client import needs_gdb
from tests.gdb.rsp_client import SECONDS, Served, Wire, served

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

OPTIONS = ("--semihosting", "--semihosting-args", "a bb c", "--semihosting-target")
FILE = "a file of 21 bytes: written by the guest\n"
END = "end of the input\n"

#: A request: the name of the call, and its arguments as text.
Answer = Callable[[str, list[str]], bytes]


# ---- GDB -----------------------------------------------------------------------------------


def gdb_in(directory: Path, target: str, script: str, typed: bytes = b"") -> str:
    """GDB in a directory, with something on its stdin; what it has printed."""
    commands = directory / "commands"
    commands.write_text(f"set confirm off\nset sysroot\ntarget remote {target}\n{script}\n")
    done = subprocess.run(
        [gdb_client.GDB, "-nx", "-batch", "-x", str(commands)],
        cwd=directory,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout.decode()


@needs_gdb
@pytest.mark.parametrize("target", ["gdb", "auto"])
@pytest.mark.parametrize("typed", [b"", b"one two three four five\n"])
@pytest.mark.parametrize("plain", ["0", "1"])
def test_gdb_performs_the_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, typed: bytes, plain: str
) -> None:
    monkeypatch.setenv("GUESTDBG_PLAIN", plain)
    with gdb_client.server("semihosting", *OPTIONS, target) as server:
        text = gdb_in(tmp_path, server.target, "continue", typed)
        assert server.ended() == 0
    assert f"hello by semihosting\ncommand line: a bb c\n{FILE}input: {typed.decode()}" in text
    assert END in text
    assert "exited with code 03" in text
    assert (tmp_path / "note.txt").read_bytes() == b"written by the guest\n"
    assert server.output == b""


@needs_gdb
def test_gdb_steps_over_calls_and_stops_at_breakpoints(tmp_path: Path) -> None:
    with gdb_client.server("semihosting", *OPTIONS, "gdb") as server:
        script = "file {0}\nbreak use_a_file\ncontinue\nnext\nfinish\nstepi 40\ncontinue"
        elf = gdb_client.EXAMPLES / "semihosting.elf"
        text = gdb_in(tmp_path, server.target, script.format(elf))
        assert server.ended() == 0
    assert "Breakpoint 1, use_a_file" in text
    assert FILE in text
    assert "exited with code 03" in text


@needs_gdb
def test_errors_of_gdb_are_the_guests(tmp_path: Path) -> None:
    (tmp_path / "note.txt").mkdir()
    with gdb_client.server("semihosting", *OPTIONS, "gdb") as server:
        text = gdb_in(tmp_path, server.target, "continue")
        assert server.ended() == 0
    assert f"no file: error {errno.EISDIR}\n" in text or f"error {errno.ENODEV}\n" in text


@needs_gdb
def test_after_gdb_has_detached_the_console_is_the_servers(tmp_path: Path) -> None:
    with gdb_client.server("semihosting", *OPTIONS, "gdb") as server:
        gdb_in(tmp_path, server.target, "detach")
        server.wait_for("input: ", "output")
        server.type_in(b"typed here\n")
        server.wait_for("typed here", "output")
    assert f"no file: error {errno.ENXIO}\n".encode() in server.output
    assert not (tmp_path / "note.txt").exists()


# ---- packet by packet ----------------------------------------------------------------------


class Client:
    """Performs the calls as a debugger does, in memory."""

    def __init__(self, wire: Wire, typed: bytes = b"") -> None:
        self.wire = wire
        self.typed = typed
        self.printed = b""
        self.files: dict[bytes, bytearray] = {}
        self.open: dict[int, tuple[bytes, int]] = {}
        self.seen: list[str] = []

    def memory(self, address: str, length: int) -> bytes:
        return bytes.fromhex(self.wire.ask(f"m{address},{length:x}".encode()).decode())

    def store(self, address: str, data: bytes) -> None:
        packet = f"M{address},{len(data):x}:{data.hex()}"
        assert self.wire.ask(packet.encode()) == b"OK"

    def name(self, argument: str) -> bytes:
        address, length = argument.split("/")
        text = self.memory(address, int(length, 16))
        assert text.endswith(b"\0")
        return text[:-1]

    def answer(self, call: str, words: list[str]) -> bytes:
        self.seen.append(call)
        return getattr(self, f"on_{call}")(*words)

    def on_open(self, name: str, flags: str, mode: str) -> bytes:
        text = self.name(name)
        assert mode == "1a4"
        if int(flags, 16) & 0x400:
            self.files[text] = bytearray()
        elif text not in self.files:
            return b"F-1,2"
        fd = len(self.open) + 3
        self.open[fd] = text, 0
        return b"F%x" % fd

    def on_close(self, fd: str) -> bytes:
        del self.open[int(fd, 16)]
        return b"F0"

    def on_write(self, fd: str, address: str, length: str) -> bytes:
        data = self.memory(address, int(length, 16))
        if int(fd, 16) in (1, 2):
            self.printed += data
        else:
            self.files[self.open[int(fd, 16)][0]] += data
        return b"F%x" % len(data)

    def on_read(self, fd: str, address: str, length: str) -> bytes:
        limit = int(length, 16)
        if fd == "0":
            data, self.typed = self.typed[:limit], self.typed[limit:]
        else:
            name, at = self.open[int(fd, 16)]
            data = bytes(self.files[name][at : at + limit])
            self.open[int(fd, 16)] = name, at + len(data)
        if data:
            self.store(address, data)
        return b"F%x" % len(data)

    def on_fstat(self, fd: str, address: str) -> bytes:
        size = len(self.files[self.open[int(fd, 16)][0]])
        self.store(address, bytes(28) + size.to_bytes(8, "big") + bytes(28))
        return b"F0"

    def go(self, answer: Answer | None = None) -> bytes:
        """Continue, and answer requests until the guest stops; the stop reply."""
        self.wire.send(b"c")
        while True:
            packet = self.wire.reply()
            if not packet.startswith(b"F"):
                return packet
            call, *words = packet[1:].decode().split(",")
            self.wire.send((answer or self.answer)(call, words))


def serve(tmp_path: Path, **options: Any) -> Any:
    chosen = Semihosting(**({"target": "gdb", "args": "a bb c"} | options))
    return served(tmp_path, "semihosting", load_options={"semihosting": chosen})


def test_a_client_performs_them(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        before = here.guest.read(0x4000_0000, 0x200)
        client = Client(wire, b"some input")
        assert client.go() == b"W03"
        assert before == here.guest.read(0x4000_0000, 0x200)
    assert client.printed.decode().startswith("hello by semihosting\ncommand line: a bb c\n" + FILE)
    assert client.printed.decode().endswith("input: some input\n" + END)
    assert client.files == {b"note.txt": b"written by the guest\n"}
    assert not client.open
    assert set(client.seen) == {"open", "close", "read", "write", "fstat"}


BAD_REPLIES = [
    b"F",
    b"F-",
    b"Fx",
    b"F0x1",
    b"F 1",
    b"F+1",
    b"F1,",
    b"F-1,2,D",
    b"F-1,,C",
    b"F" + b"f" * 17,
    b"F-1,2,C,C",
    b"F1\n",
    b"F-1,123456789",
    b"F1_0",
]
WRONG_RESULTS = [
    b"F7fffffffffffffff",
    b"Fffffffffffffffff",
    b"F-8000000000000000",
    b"F-1",
    b"F-1,0",
]
ERRORS = [b"F-1,2", b"F-1,5b", b"F-1,270f", b"F-1,-2", b"F-1,7f", b"F-2,d", b"F-1,2;x", b"F-1,2,C"]


@pytest.mark.parametrize("reply", BAD_REPLIES + WRONG_RESULTS + ERRORS)
@pytest.mark.parametrize("call", ["open", "close", "read", "write", "fstat"])
def test_whatever_the_client_replies_the_guest_goes_on(
    tmp_path: Path, call: str, reply: bytes
) -> None:
    """Once to each call, except the console's: the guest tries these again and again."""
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire)
        wrong = 0

        def answer(name: str, words: list[str]) -> bytes:
            nonlocal wrong
            if name == call and words[0] not in ("0", "1", "2") and wrong < 2:
                wrong += 1
                return reply
            return client.answer(name, words)

        stop = client.go(answer)
        while stop.startswith(b"T02"):
            stop = client.go(answer)
        assert stop == b"W03"
        assert wrong
        assert END in client.printed.decode()
        if reply in BAD_REPLIES:
            assert any("File-I/O" in text for text in here.announced)


@pytest.mark.parametrize("errno_of_reply", [(b"2", 2), (b"5b", 36), (b"270f", 5), (b"7f", 5)])
def test_the_errors_are_linuxs(tmp_path: Path, errno_of_reply: tuple[bytes, int]) -> None:
    number, expected = errno_of_reply
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire)

        def answer(name: str, words: list[str]) -> bytes:
            return b"F-1," + number if name == "open" else client.answer(name, words)

        assert client.go(answer) == b"W03"
    assert f"no file: error {expected}\n" in client.printed.decode()


def test_other_packets_are_refused_meanwhile(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire, b"x")
        seen = set()

        def answer(name: str, words: list[str]) -> bytes:
            for packet in (b"c", b"s", b"g", b"D", b"vCont;c", b"qRcmd,00", b"Z0,40200000,4", b"?"):
                assert wire.ask(packet) == b"E%02x" % errno.EBUSY, packet
            seen.add(name)
            return client.answer(name, words)

        assert client.go(answer) == b"W03"
    assert "open" in seen


def test_only_what_the_request_points_to_is_written(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire, b"x")

        def answer(name: str, words: list[str]) -> bytes:
            if name == "write":
                refused = b"E%02x" % errno.EFAULT
                assert wire.ask(b"M" + words[1].encode() + b",1:00") == refused
                assert wire.ask(b"M40201000,4:00000000") == refused
            if name == "read":
                end = int(words[1], 16) + int(words[2], 16)
                assert wire.ask(b"M%x,1:00" % end) == b"E%02x" % errno.EFAULT
            return client.answer(name, words)

        assert client.go(answer) == b"W03"
    assert END in client.printed.decode()


@pytest.mark.parametrize("packet", [b"F0", b"F", b"F-1,4,C"])
def test_a_reply_without_a_request_is_refused(tmp_path: Path, packet: bytes) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        assert wire.ask(packet) == b"E%02x" % errno.EINVAL
        assert Client(wire).go() == b"W03"


def test_ctrl_c_in_the_reply_stops_the_guest_and_the_call_is_made_again(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire, b"late")
        interrupted = []

        def answer(name: str, words: list[str]) -> bytes:
            if name == "read" and words[0] == "0" and len(interrupted) < 2:
                interrupted.append(words)
                return b"F-1,4,C"
            return client.answer(name, words)

        for _ in range(2):
            assert client.go(answer).startswith(b"T02")
        assert client.go(answer) == b"W03"
    assert interrupted[0] == interrupted[1]
    assert client.printed.decode().endswith("input: late\n" + END)


def test_ctrl_c_with_a_result_stops_the_guest_after_the_call(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire)
        pressed = []

        def answer(name: str, words: list[str]) -> bytes:
            reply = client.answer(name, words)
            if name == "write" and not pressed:
                pressed.append(1)
                return reply + b",0,C"
            return reply

        assert client.go(answer).startswith(b"T02")
        assert client.go(answer) == b"W03"
    assert client.printed.decode().count("hello") == 1


def test_ctrl_c_before_the_reply_stops_the_guest_after_the_call(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        client = Client(wire)
        pressed = []

        def answer(name: str, words: list[str]) -> bytes:
            if not pressed:
                pressed.append(1)
                wire.socket.sendall(b"\x03")
            return client.answer(name, words)

        assert client.go(answer).startswith(b"T02")
        assert client.go(answer) == b"W03"
    assert client.printed.decode().count("hello") == 1


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("call", ["write", "open", "read"])
def test_a_client_that_goes_within_a_call(tmp_path: Path, call: str) -> None:
    """The console goes on at the server, with nothing lost; a file operation fails."""
    out: list[bytes] = []
    chosen = Semihosting(target="gdb", args="a bb c")
    options = {"semihosting": chosen, "console": out.append}
    with served(tmp_path, "semihosting", load_options=options, on_disconnect="go") as here:
        with here.client() as wire:
            client = Client(wire)
            wire.send(b"c")
            while True:
                packet = wire.reply()
                name, *words = packet[1:].decode().split(",")
                if name == call:
                    break
                wire.send(client.answer(name, words))
        wait_for(lambda: b"".join(out).endswith(b"input: "))
        printed = client.printed + b"".join(out)
        assert printed.count(b"hello by semihosting\n") == 1
        if call == "write":
            assert f"no file: error {errno.ENXIO}\n".encode() in printed
        elif call == "open":
            assert f"no file: error {errno.EIO}\n".encode() in printed


def test_the_server_can_be_stopped_within_a_call(tmp_path: Path) -> None:
    with serve(tmp_path) as here:
        wire = here.client()
        wire.send(b"c")
        assert wire.reply().startswith(b"Fwrite")
        threading.Timer(0.1, here.server.stop).start()
        here.join()
        wire.close()


def run_without_requests(here: Served, wire: Wire, out: list[bytes]) -> None:
    wire.send(b"vCont;c")
    wait_for(lambda: b"input: " in b"".join(out))
    assert f"no file: error {errno.ENXIO}\n".encode() in b"".join(out)


@pytest.mark.parametrize("how", ["lldb", "non-stop"])
def test_clients_that_cannot_are_not_asked(tmp_path: Path, how: str) -> None:
    out: list[bytes] = []
    options = {"semihosting": Semihosting(target="gdb"), "console": out.append}
    with served(tmp_path, "semihosting", load_options=options) as here, here.client() as wire:
        wire.ask(b"qHostInfo" if how == "lldb" else b"QNonStop:1")
        if how == "non-stop":
            wire.ask(b"?")
        run_without_requests(here, wire, out)


def test_by_default_the_client_is_not_asked(tmp_path: Path) -> None:
    out: list[bytes] = []
    options = {"semihosting": True, "console": out.append}
    with served(tmp_path, "semihosting", load_options=options) as here, here.client() as wire:
        wire.send(b"c")
        wait_for(lambda: b"input: " in b"".join(out))


def test_files_that_may_only_be_read_are_not_opened_for_writing(tmp_path: Path) -> None:
    with serve(tmp_path, read_only=True) as here, here.client() as wire:
        client = Client(wire)
        assert client.go() == b"W03"
    assert "open" not in client.seen
    assert f"no file: error {errno.EROFS}\n" in client.printed.decode()


def test_the_bytes_written_are_limited(tmp_path: Path) -> None:
    with serve(tmp_path, max_written=5) as here, here.client() as wire:
        client = Client(wire)
        assert client.go() == b"W03"
    assert client.files == {b"note.txt": b""}


def test_it_goes_on_after_a_snapshot_and_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path) as here, here.client() as wire:
        wire.monitor("snapshot start")
        first = Client(wire, b"1")
        assert first.go() == b"W03"
        wire.monitor("restore start")
        second = Client(wire, b"1")
        assert second.go() == b"W03"
    assert first.printed == second.printed
    assert first.files == second.files


def test_ctrl_c_while_the_server_waits_for_input_and_what_monitor_says(tmp_path: Path) -> None:
    out: list[bytes] = []
    options = {"semihosting": True, "console": out.append}
    with served(tmp_path, "semihosting", load_options=options) as here, here.client() as wire:
        wire.send(b"c")
        wait_for(lambda: b"input: " in b"".join(out))
        wire.socket.sendall(b"\x03")
        assert wire.reply().startswith(b"T02")
        assert "it waits for console input (semihosting)" in wire.monitor("diagnose")
        wire.monitor(r"type typed\n")
        wire.send(b"c")
        wait_for(lambda: b"typed\n" in b"".join(out))
        wire.socket.sendall(b"\x03")
        assert wire.reply().startswith(b"T02")


def test_auto_goes_from_the_server_to_the_client_and_back(tmp_path: Path) -> None:
    out: list[bytes] = []
    options = {"semihosting": Semihosting(target="auto"), "console": out.append}
    with served(tmp_path, "semihosting", load_options=options, wait=False) as here:
        wait_for(lambda: b"input: " in b"".join(out))
        with here.client() as wire:
            client = Client(wire, b"from the client")
            calls = []

            def answer(name: str, words: list[str]) -> bytes:
                calls.append(name)
                if name == "read" and not client.typed:
                    return b"F-1,4,C"
                return client.answer(name, words)

            assert client.go(answer).startswith(b"T02")
            assert client.printed == b"from the client"
            assert calls[0] == "read"
            assert wire.ask(b"D") == b"OK"
        here.server.type_in(b"from the server")
        wait_for(lambda: b"from the server" in b"".join(out))


@needs_gdb
def test_ctrl_c_in_gdb_while_it_reads_its_terminal(tmp_path: Path) -> None:
    """The guest stops at the call, which is made again when it goes on."""
    commands = tmp_path / "commands"
    with gdb_client.server("semihosting", *OPTIONS, "gdb") as server:
        commands.write_text(
            f"set confirm off\nset sysroot\nset remote noack-packet off\n"
            f"target remote {server.target}\ncontinue\n"
            "echo at:\noutput/x *(unsigned int *)$pc\necho \\n\ncontinue\n"
        )
        process = subprocess.Popen(
            [gdb_client.GDB, "-nx", "-batch", "-x", str(commands)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            text = b""
            while b"input: " not in text:
                text += os.read(process.stdout.fileno(), 4096)
            time.sleep(0.3)  # GDB reads its stdin now
            process.send_signal(signal.SIGINT)
            while b"at:" not in text:
                data = os.read(process.stdout.fileno(), 4096)
                assert data, text
                text += data
            process.stdin.write(b"after it\n")
            rest, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
        assert server.ended() == 0
    text += rest
    assert b"SIGINT" in text
    assert b"at:0xd45e0000" in text
    assert b"after it\n" in text
    assert b"exited with code 03" in text


class Memory:
    """What the operations need of the vCPU that calls: one page of memory."""

    memory_size = 0x1000
    heap = (0, 0, 0, 0)

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data.ljust(0x1000, b"\0"))
        self.printed = b""

    def read(self, address: int, length: int) -> bytes:
        if address + length > len(self.data):
            raise LookupError(address)
        return bytes(self.data[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        self.data[address : address + len(data)] = data

    def print(self, data: bytes) -> None:
        self.printed += data

    def take_input(self, limit: int) -> bytes | None:
        return b"typed"[:limit]

    def ticks(self) -> tuple[int, int]:
        return 0, 1


class Host:
    """Records the calls, and answers each with the next result."""

    available = True

    def __init__(self, *results: int | Exception) -> None:
        self.results = list(results)
        self.calls: list[tuple[Any, ...]] = []

    def call(self, name: str, *arguments: Any) -> int:
        self.calls.append((name, *arguments))
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def perform(host: Host, operation: int, *fields: int, memory: Memory | None = None) -> Any:
    made = SemihostingCalls(Semihosting(target="gdb"))
    made.remote = host
    here = memory or Memory()
    here.data[0x100:0x110] = b"old-name,newname"
    here.write(0, b"".join(field.to_bytes(8, "little") for field in (0x100, 0, 3)))
    handle = made.call(here, 1, 0)  # SYS_OPEN of "old"
    assert handle == 1
    here.write(0, b"".join(field.to_bytes(8, "little") for field in fields))
    return made.call(here, operation, 0)


ERROR = (1 << 64) - 1


@pytest.mark.parametrize(
    ("operation", "fields", "result", "expected", "call"),
    [
        (0x09, (1,), 1, 1, ("isatty", 5)),
        (0x09, (1,), 0, 0, ("isatty", 5)),
        (0x09, (1,), OSError(9, ""), ERROR, ("isatty", 5)),
        (0x0A, (1, 77), 77, 0, ("lseek", 5, 77, 0)),
        (0x0A, (1, 77), 76, ERROR, ("lseek", 5, 77, 0)),
        (0x0A, (1, 77), OSError(29, ""), ERROR, ("lseek", 5, 77, 0)),
        (0x0E, (0x100, 8), 0, 0, ("unlink", Name(b"old-name"))),
        (0x0E, (0x100, 8), OSError(2, ""), ERROR, ("unlink", Name(b"old-name"))),
        (0x0F, (0x100, 8, 0x109, 7), 0, 0, ("rename", Name(b"old-name"), Name(b"newname"))),
        (0x02, (1,), 0, 0, ("close", 5)),
        (0x02, (1,), OSError(5, ""), ERROR, ("close", 5)),
    ],
)
def test_the_other_calls(
    operation: int,
    fields: tuple[int, ...],
    result: int | Exception,
    expected: int,
    call: tuple[Any, ...],
) -> None:
    host = Host(5, result)
    assert perform(host, operation, *fields) == expected
    assert host.calls == [("open", Name(b"old"), 0, 0o644), call]


def test_no_program_is_run_by_the_client() -> None:
    host = Host(5)
    assert perform(host, 0x12, 0x100, 8) == ERROR
    assert [call[0] for call in host.calls] == ["open"]


@pytest.mark.parametrize("operation", [5, 6])
@pytest.mark.parametrize("length", [0x1000, 1 << 40, ERROR])
def test_long_transfers_end_with_the_memory(operation: int, length: int) -> None:
    """The file gives and takes as much as is asked for."""

    class Endless(Host):
        def call(self, name: str, *arguments: Any) -> int:
            self.calls.append((name, *arguments))
            return 5 if name == "open" else arguments[-1]

    host = Endless()
    left = perform(host, operation, 1, 0, length)
    assert left == length - 0x1000
    assert len(host.calls) < 20


def test_a_client_that_takes_nothing_does_not_hang_the_guest() -> None:
    host = Host(5, 0)
    assert perform(host, 5, 1, 0x100, 10) == 10
    assert len(host.calls) == 2
