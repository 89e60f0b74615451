"""The kernel's own GDB scripts work on a guest of guestdbg: lx-symbols, lx-ps and others.

By `make soak`: they are in the package of the kernel's sources, of 138 MB.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.lab import LabError
from guestdbg.lab.guests.gdb_scripts import linux_gdb_scripts
from guestdbg.lab.guests.vmlinux import debian_vmlinux
from tests.gdb.gdb_client import GDB, needs_gdb
from tests.gdb.rsp_client import Served

from .shell import Shell, at_prompt
from .support import load

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900), needs_gdb]

SECONDS = 300


@pytest.fixture(scope="module")
def scripts() -> Path:
    try:
        return linux_gdb_scripts()
    except LabError as error:
        pytest.skip(f"no GDB scripts: {error}")


@pytest.fixture(scope="module")
def vmlinux() -> Path:
    try:
        return debian_vmlinux("bookworm")
    except LabError as error:
        pytest.skip(f"no vmlinux: {error}")


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with at_prompt("bookworm", vcpus=2) as found:
        found.ask("sleep 1000 &")
        yield found


def session(vmlinux: Path, scripts: Path, server: Served, *commands: str) -> dict[str, str]:
    """What GDB prints for each of the commands."""
    lines = ["set pagination off", "set confirm off", f"target remote {server.path}"]
    lines.append(f"source {scripts}/vmlinux-gdb.py")
    for command in commands:
        lines += [f"echo \\n=== {command}\\n", command]
    lines += ["echo \\n=== end\\n", "kill"]
    arguments = [word for line in lines for word in ("-ex", line)]
    done = subprocess.run(
        [GDB, "-nx", "-batch", *arguments, str(vmlinux)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=scripts / "modules",
    )
    found = dict(re.findall(r"^=== (.*)\n((?:.*\n)*?)(?=\n?===)", done.stdout, re.MULTILINE))
    assert set(found) == set(commands), (done.stdout[-3000:], done.stderr[-3000:])
    assert "Error" not in done.stderr, done.stderr
    return found


def test_a_running_kernel(shell: Shell, vmlinux: Path, scripts: Path, tmp_path: Path) -> None:
    release = shell.ask("uname -r").strip()
    processes = set(re.findall(r"^ *(\d+)", shell.ask("ps -o pid | grep -v PID"), re.MULTILINE))
    modules = set(re.findall(r"^(\w+) ", shell.ask("cat /proc/modules"), re.MULTILINE))
    server = Served(shell.guest, str(tmp_path / "gdb"), {})
    found = session(
        vmlinux, scripts, server, "lx-version", "lx-cmdline", "lx-ps", "lx-dmesg", "lx-lsmod",
        "lx-mounts", "lx-cpus", "p $lx_task_by_pid(1).comm", "lx-symbols",
        "info symbol virtio_dev_probe",
    )  # fmt: skip
    assert f"Linux version {release} " in found["lx-version"]
    assert "console=ttyAMA0" in found["lx-cmdline"]
    listed = set(re.findall(r"^0x\w+ +(\d+) ", found["lx-ps"], re.MULTILINE))
    assert len(processes) > 30
    # `ps` and `grep` were processes too.
    assert len(processes - listed) <= 3
    assert "Booting Linux on physical CPU" in found["lx-dmesg"]
    assert set(re.findall(r"^0x\w+ (\w+) ", found["lx-lsmod"], re.MULTILINE)) == modules
    assert "rootfs / rootfs" in found["lx-mounts"]
    assert "Online CPUs   : [0, 1]" in found["lx-cpus"]
    assert '"init"' in found["p $lx_task_by_pid(1).comm"]
    assert found["lx-symbols"].count("loading @0xffff8000") == len(modules)
    assert "virtio_dev_probe in section .text" in found["info symbol virtio_dev_probe"]
    assert server.join() is not None


def test_modules_that_are_loaded_later(vmlinux: Path, scripts: Path, tmp_path: Path) -> None:
    """lx-symbols stops in do_init_module and adds the symbols of each module."""
    with load("bookworm") as guest:
        guest.board.console.answer(b"guest# ", b"poweroff -f\n")
        guest.break_("start_kernel")
        assert guest.run().reason == "hit"
        for point in guest.points:
            point.delete()
        server = Served(guest, str(tmp_path / "gdb"), {})
        found = session(
            vmlinux, scripts, server, "lx-symbols", "break kernel_power_off", "continue",
            "info symbol virtio_dev_probe",
        )  # fmt: skip
        assert "loading @" not in found["lx-symbols"]
        assert "virtio_blk.ko" in found["continue"]
        assert "kernel_power_off" in found["continue"]
        assert "virtio_dev_probe in section .text" in found["info symbol virtio_dev_probe"]
        assert server.join() is not None
