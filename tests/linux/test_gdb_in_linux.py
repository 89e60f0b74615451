"""GDB at a Linux guest with four vCPUs: steps with interrupts pending, and the kernel's panic.

One boot of Debian's 6.1, with a program in its initial RAM file system.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.lab.image.cpio import Cpio
from tests.gdb.gdb_client import gdb, needs_gdb, server

from .support import BOOTARGS, linux

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

GCC = "aarch64-linux-gnu-gcc"
SOURCE = Path(__file__).with_name("stepped.c")
STEPS = 40
BUSY = "(while :; do cat /proc/interrupts > /dev/null; done) "

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    needs_gdb,
    pytest.mark.skipif(
        shutil.which(GCC) is None, reason=f"no {GCC}: tools/setup-tests installs it"
    ),
]


def line_of(comment: str) -> int:
    lines = SOURCE.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if f"/* {comment} */" in line)


def test_steps_with_an_interrupt_pending_and_a_panic(tmp_path: Path) -> None:
    """Keys are typed before each step: the UART's interrupt, at CPU 0, comes first."""
    program = tmp_path / "stepped"
    subprocess.run([GCC, "-O0", "-g", "-static", "-o", program, SOURCE], check=True)
    archive = Cpio()
    archive.file("stepped", program.read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(linux().initrd.read_bytes() + archive.finish())
    options = ["--initrd", str(initrd), "--bootargs", BOOTARGS, "--memory", "256M"]
    with server(linux().kernel, *options, "--vcpus", "4", "--no-wait") as guest:
        guest.wait_for("guest# ", "output")
        results = gdb(
            guest.target,
            f"""
            connect()
            run("hbreak {line_of("first")}")
            run("monitor type {BUSY}& /stepped\\\\n")
            run("continue")
            run("delete")
            before = value("rounds")
            lines, threads = [], set()
            for n in range({STEPS}):
                run("monitor type k")
                run("next")
                lines.append(gdb.selected_frame().find_sal().line)
                threads.add(gdb.selected_thread().num)
            report(lines=lines, threads=list(threads), rounds=value("rounds") - before,
                   signals=[s[1] for s in stops.seen if s[0] == "signal"])
            places = []
            for n in range({STEPS}):
                at = pc()
                run("monitor type k")
                run("stepi")
                places.append([at, pc(), gdb.selected_frame().name()])
            report(places=places)
            run("monitor type \\\\x03")
            run("monitor type echo c > /proc/sysrq-trigger\\\\n")
            run("continue")
            report(stop=stops.seen[-1], stack=run("monitor backtrace"), done=1)
            """,
            symbols=program,
        )
        echoed = bytes(guest.output).partition(b"/stepped")[2].count(b"k")
    assert echoed >= 2 * STEPS, "the handler has run before each step"
    first, second, third = (line_of(name) for name in ("first", "second", "third"))
    after = {first: second, second: third, third: first}
    lines = results["lines"]
    assert lines[0] == second
    assert all(after[line] == following for line, following in itertools.pairwise(lines))
    assert results["rounds"] == sum(line == second for line in lines)
    assert (results["threads"], results["signals"]) == ([1], [])
    places = results["places"]
    assert all(end == begin for (_, end, _), (begin, _, _) in itertools.pairwise(places))
    assert all(end != begin and name in ("main", "twice") for begin, end, name in places)
    assert results["stop"] == ["signal", "SIGABRT"]
    assert re.search(r" in panic\+.*\n.* in sysrq_handle_crash\+", results["stack"])
