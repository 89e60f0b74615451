"""A kernel's panic ends the run: Debian's 6.1 without a root file system, and what is no panic."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import guestdbg
from guestdbg.cli import main
from guestdbg.debugger import Hit
from guestdbg.debugger.messages.kernel_panic import KernelReports

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

BOOTARGS = "earlycon console=ttyAMA0"
PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
CALLERS = ["panic", "mount_block_root", "mount_root", "prepare_namespace", "kernel_init_freeable"]


@pytest.mark.timeout(200)
def test_the_command_ends_with_text_registers_and_backtrace(kernel: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    words = ["run", str(kernel), "--bootargs", BOOTARGS, "--log", str(log), "--timeout", "180"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 3, result.output
    assert f"-- the guest's kernel panicked: {PANIC}" in result.output
    called = [line.split()[2] for line in result.output.splitlines() if "called by" in line]
    at = called.index("panic")
    assert called[at : at + len(CALLERS)] == CALLERS
    assert "pstate 0000000080" in result.output
    # It is ended when the line is complete: the kernel's own call trace comes after it.
    assert "Call trace" not in result.stdout
    end = json.loads(log.read_text().splitlines()[-1])
    assert (end["event"], end["reason"], end["status"]) == ("end", "panic", 3)
    assert end["panic"]["vcpu"] == 0
    assert end["panic"]["task"] == {"pid": 1, "comm": "swapper/0"}
    assert "printed by vCPU 0, task 1 (swapper/0), in" in result.output
    assert [f["function"] for f in end["panic"]["backtrace"]][at + 1] == "panic"
    assert end["panic"]["registers"]["pc"] == end["vcpus"][0]["pc"]


@pytest.mark.timeout(200)
def test_a_stop_at_a_panic_and_on_from_there(kernel: Path) -> None:
    printed = bytearray()
    with guestdbg.load(kernel, bootargs=BOOTARGS, console=printed.extend) as guest:
        assert guest.run(timeout=1e-3).reason == "timeout"
        stop = guest.run(timeout=180)
        assert (stop.reason, stop.detail) == ("panic", PANIC)
        assert "panic" in [frame.location.function for frame in stop.cpu.backtrace()]
        assert printed.endswith(PANIC.encode() + b"\r\n")
        assert str(stop).startswith("panic at ")
        # panic() goes on: it prints, and then waits for ever.
        assert guest.run(max_instructions=5_000_000).reason in ("limit", "idle", "exit")
        assert b"end Kernel panic" in printed


def says(text: bytes) -> object:
    """A handler that has the guest print ``text``."""

    def handler(hit: Hit) -> None:
        hit.guest.board.console.put_all(text)

    return handler


@pytest.mark.parametrize("text", [b"Kernel panic - not syncing: x\n", b"[ 1.0] Kernel panic - not"])
def test_the_text_of_another_kernel_is_no_panic(text: bytes) -> None:
    """A program shows a log: no vCPU is in a function named panic()."""
    with guestdbg.load("examples/queue.elf", console=None) as guest:
        point = guest.break_("queue_push")
        point(says(text))  # type: ignore[arg-type]
        assert guest.run().reason == "exit"
        assert point.hits > 1


def test_without_names_the_text_decides() -> None:
    loop = bytes.fromhex("1f2003d5ffffff17")  # NOP; B .-4
    for on_panic in ("stop", "continue"):
        with guestdbg.load(loop, kind="raw", console=None, on_panic=on_panic) as guest:
            point = guest.break_(guest.vcpus[0].pc + 4)
            point(says(b"Kernel panic - not syncing: \x1b[2Jno init\r\nnext line"))  # type: ignore[arg-type]
            stop = guest.run(max_instructions=100)
            if on_panic == "stop":
                assert (stop.reason, stop.pc) == ("panic", point.address)
                assert stop.detail == "Kernel panic - not syncing: ?[2Jno init"
            else:
                assert stop.reason == "limit"


def test_continue_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    loop = bytes.fromhex("1f2003d5ffffff17")
    with guestdbg.load(loop, kind="raw", console=None, on_panic="continue") as guest:
        guest.break_(guest.vcpus[0].pc + 4)(says(b"Kernel panic - not syncing: x\n"))  # type: ignore[arg-type]
        with caplog.at_level(logging.WARNING):
            guest.run(max_instructions=2)
    assert "the guest's kernel panics: Kernel panic - not syncing: x" in caplog.text
    with pytest.raises(guestdbg.GuestdbgError, match="'stop' or 'continue'"):
        guestdbg.load(loop, kind="raw", console=None, on_panic="explode")  # type: ignore[arg-type]


LINES = [
    b"[    1.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\r",
    b"[    1.0][    T1] Kernel panic - not syncing",
    b"[    1.0] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---",
    b"[    0.5] Unable to handle kernel NULL pointer dereference at virtual address 0000",
    b"[    0.5] Internal error: Oops: 0000000096000004 [#1] SMP",
    b"ordinary",
    b"",
]


@given(st.lists(st.sampled_from(LINES), max_size=30), st.data())
def test_reports_do_not_depend_on_the_pieces(lines: list[bytes], data: st.DataObject) -> None:
    output = b"".join(line + b"\n" for line in lines)
    panics: list[str] = []
    reports = KernelReports(panics.append)
    at = 0
    while at < len(output):
        size = data.draw(st.integers(1, 100))
        reports.feed(output[at : at + size])
        at += size
    texts = [line.decode().rstrip().partition("] ")[2] for line in lines]
    expected = [t for t in texts if "Kernel panic" in t and "end Kernel" not in t]
    assert panics == [text.rpartition("] ")[2] for text in expected]
    assert reports.notes == [t for t in texts if "Unable to" in t or "Oops" in t][:16]


def test_a_line_without_end_takes_bounded_memory() -> None:
    reports = KernelReports(pytest.fail)
    for _ in range(100):
        reports.feed(b"Kernel panic" * 1000)
    assert len(reports._line) <= 4096
    assert reports.notes == []
