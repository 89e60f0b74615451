"""The server stays up: a guest that has ended, defects, a full disk."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guestdbg.debugger import Guest, load
from guestdbg.gdb.handlers.registry import HANDLERS
from guestdbg.gdb.monitor.command import Command
from guestdbg.gdb.monitor.registry import COMMANDS
from tests.cli.guests import GUESTDBG
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import SECONDS, Served, served
from tests.machine.guests import EXAMPLES

LOST = "lost"


def loaded(name: str, **options: Any) -> Guest:
    return load(EXAMPLES / f"{name}.elf", provider="soft", memory="16M", console=None, **options)


def announced(here: Served, text: str) -> str:
    """Wait until the server has announced something with this text."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for line in here.announced:
            if text in line:
                return line
        time.sleep(0.01)
    raise AssertionError((text, here.announced))


def looks_around(here: Served, stop: bytes) -> None:
    """A client attaches, reads, and finds the guest stopped as ``stop`` says."""
    with here.client() as wire:
        assert wire.ask(b"?").startswith(stop)
        assert len(wire.ask(b"g")) == 2 * (33 * 8 + 4)
        assert len(wire.ask(b"m40200000,8")) == 16
        assert wire.ask(b"P5=1100000000000000") == b"OK"
        assert wire.ask(b"p5") == b"1100000000000000"


# ---- a guest that has ended before anybody attaches --------------------------------------------


def test_a_guest_that_powers_off_before_anybody_attaches(tmp_path: Path) -> None:
    with served(tmp_path, "counter", wait=False) as here:
        assert "powered off" in announced(here, "a debugger can attach")
        looks_around(here, b"T05")
        looks_around(here, b"T05")  # and once more
        with here.client() as wire:
            for packet in (b"vCont;c", b"c", b"s", b"vCont;s:1"):
                assert wire.ask(packet) == b"W00", packet
            assert wire.ask(b"?") == b"W00"
        assert here.join() == "exited"


def test_it_can_be_started_again(tmp_path: Path) -> None:
    with served(tmp_path, "counter", wait=False) as here:
        announced(here, "a debugger can attach")
        with here.client() as wire:
            assert "entry point" in wire.monitor("reset")
            assert wire.ask(b"Z0,%x,4" % here.guest.symbol("main").address) == b"OK"
            wire.send(b"vCont;c")
            assert b"swbreak" in wire.reply()


def test_detaching_from_a_guest_that_had_ended_keeps_the_server(tmp_path: Path) -> None:
    with served(tmp_path, "counter", wait=False) as here:
        announced(here, "a debugger can attach")
        for _ in range(2):
            with here.client() as wire:
                assert wire.ask(b"D") == b"OK"
        looks_around(here, b"T05")


def test_a_guest_that_had_ended_before_it_was_served(tmp_path: Path) -> None:
    guest = loaded("counter")
    assert guest.run(timeout=60).reason == "exit"
    with served(tmp_path, guest) as here:
        looks_around(here, b"T05")
        with here.client() as wire:
            assert wire.ask(b"vCont;c") == b"W00"


@pytest.mark.parametrize("wait", [True, False])
def test_a_lost_guest(tmp_path: Path, wait: bool) -> None:
    guest = loaded(LOST)
    if wait:
        assert guest.run(timeout=60).reason == "error"
    with served(tmp_path, guest, wait=wait) as here:
        if not wait:
            announced(here, "the guest cannot run on")
        looks_around(here, b"T05" if wait else b"T06")
        with here.client() as wire:
            wire.send(b"vCont;c")
            message = wire.reply()
            # To this client's user, before the stop reply.
            assert message.startswith(b"O"), message
            assert wire.reply().startswith(b"T06")
            assert wire.ask(b"qC") == b"QC1"


def test_a_lost_guest_after_detaching(tmp_path: Path) -> None:
    with served(tmp_path, LOST) as here:
        for n in range(2):
            with here.client() as wire:
                assert wire.ask(b"D") == b"OK"
            end = time.monotonic() + SECONDS
            while sum("cannot run on" in text for text in here.announced) <= n:
                assert time.monotonic() < end
                time.sleep(0.01)
        looks_around(here, b"T06")


def test_a_hit_of_the_serving_program_before_anybody_attaches(tmp_path: Path) -> None:
    guest = loaded("counter")
    guest.break_("main")
    with served(tmp_path, guest, wait=False) as here:
        announced(here, "a debugger can attach")
        with here.client() as wire:
            assert wire.ask(b"?").startswith(b"T05")
            assert "breakpoint at main" in wire.monitor("hit")
            assert (
                wire.ask(b"p20")
                == guest.symbol("main").address.to_bytes(8, "little").hex().encode()
            )


@needs_gdb
def test_gdb_at_a_guest_that_has_powered_off() -> None:
    with server("counter", "--no-wait") as guest:
        guest.wait_for("a debugger can attach")
        results = gdb(
            guest.target,
            """
            connect()
            report(at=location(), memory=value("*(int *)$pc") != 0)
            run("continue")
            report(stops=stops.seen)
            """,
            symbols="counter",
        )
    assert results["memory"]
    assert results["stops"][-1][0] == "exited"


@needs_gdb
def test_gdb_at_a_lost_guest() -> None:
    with server(LOST, "--no-wait") as guest:
        guest.wait_for("the guest cannot run on")
        results = gdb(
            guest.target,
            """
            connect()
            report(pc=pc())
            report(said=run("continue"), stop=stops.seen[-1])
            """,
            symbols=LOST,
        )
        assert guest.process.poll() is None
    assert results["stop"] == ["signal", "SIGABRT"]


# ---- defects ----------------------------------------------------------------------------------

DEFECTS = (
    ValueError("odd"),
    KeyError("x"),
    MemoryError(),
    RecursionError("deep"),
    AssertionError(),
    OSError(errno.EIO, "an error"),
    StopIteration(),
    UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
)


def raises(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
def test_a_defect_in_a_packet_handler(
    tmp_path: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(HANDLERS, b"qC", raises(error))
    with served(tmp_path, "counter") as here, here.client() as wire:
        assert wire.ask(b"qC") == b"E05"
        (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert record.exc_info is not None
        assert wire.ask(b"?").startswith(b"T05")
        wire.ask(b"qSupported:error-message+")
        assert type(error).__name__.encode() in wire.ask(b"qC")
        for _ in range(100):
            wire.ask(b"qC")
        assert len([r for r in caplog.records if r.exc_info]) < 50, "the log does not grow for ever"


@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", ["handler", "when"])
@pytest.mark.parametrize("attached", [True, False])
def test_a_defect_in_a_handler_or_condition(
    tmp_path: Path,
    error: Exception,
    how: str,
    attached: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    guest = loaded("counter")
    point = guest.break_("main")
    setattr(point, how, raises(error))
    with served(tmp_path, guest, wait=attached) as here:
        if not attached:
            assert type(error).__name__ in announced(here, "a debugger can attach")
            looks_around(here, b"T06")
        with here.client() as wire:
            if attached:
                wire.send(b"vCont;c")
                text = wire.reply()
                assert type(error).__name__ in bytes.fromhex(text[1:].decode()).decode()
                assert wire.reply().startswith(b"T06")
                assert len([r for r in caplog.records if r.exc_info]) == 1
            point.delete()
            assert wire.ask(b"Z0,%x,4" % guest.symbol("power_off").address) == b"OK"
            wire.send(b"vCont;c")
            assert wire.reply().startswith(b"T05"), "the guest goes on"


def test_a_defect_in_a_monitor_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(tmp_path, "counter") as here, here.client() as wire:
        for error in DEFECTS:
            monkeypatch.setitem(COMMANDS, "caps", Command("caps", "", "", raises(error)))
            assert type(error).__name__ in wire.monitor("caps")
        assert wire.ask(b"?").startswith(b"T05")
        assert len([r for r in caplog.records if r.exc_info]) == len(DEFECTS)


def test_a_defect_that_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One outside of the handlers: the client is disconnected, and the next one is served."""
    with served(tmp_path, "counter") as here:
        with monkeypatch.context() as patch, here.client() as wire:
            patch.setattr(
                "guestdbg.gdb.session_state.SessionState.handle_stop", raises(ValueError("odd"))
            )
            wire.send(b"vCont;s:1")
            with pytest.raises((EOFError, OSError)):
                wire.reply()
        assert "ValueError: odd" in announced(here, "the session of the debugger ends")
        looks_around(here, b"T05")


def test_an_announcement_that_fails(tmp_path: Path) -> None:
    with served(tmp_path, "counter", announce=raises(OSError(errno.ENOSPC, "full"))) as here:
        looks_around(here, b"T05")
        looks_around(here, b"T05")


# ---- a full disk ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("wait", [True, False])
def test_a_console_that_fails(tmp_path: Path, number: int, wait: bool) -> None:
    def sink(data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    guest = load(EXAMPLES / "hello.elf", provider="soft", memory="16M", console=sink)
    with served(tmp_path, guest, wait=wait) as here:
        if not wait:
            announced(here, "powered off")
        with here.client() as wire:
            assert wire.ask(b"vCont;c") == b"W00"
            assert "Hello from EL1" in wire.monitor("console")
        assert sum("console output is lost" in text for text in here.announced) == 1


def test_the_command_with_a_full_disk(tmp_path: Path) -> None:
    """Stdout is /dev/full; the messages still come, and the guest runs to its end."""
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*GUESTDBG, "gdb", str(EXAMPLES / "hello.elf"), "--no-wait", "--listen"]
            + [f"unix:{tmp_path}/s"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            said = ""
            while "a debugger can attach" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            assert said.count("console output is lost: ") == 1
            assert "No space left on device" in said
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=SECONDS)
        assert "Traceback" not in said + rest
        assert "Exception ignored" not in rest
        assert process.returncode == 128 + 15
