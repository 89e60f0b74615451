"""``guestdbg run --show``: what the kernel did when the run ended."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from guestdbg.cli import main

from .support import BOOTARGS, linux

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


@pytest.mark.timeout(200)
def test_what_the_kernel_did() -> None:
    found = linux()
    words = ["run", str(found.kernel), "--initrd", str(found.initrd), "--memory", "256M"]
    words += ["--bootargs", BOOTARGS, "--break", "__arm64_sys_newuname", "--count", "1"]
    words += ["--break", "no_such_module:init_module"]
    shown = "tasks,threads,dmesg,modules,mounts,interrupts"
    result = CliRunner().invoke(main, [*words, "--show", shown, "--timeout", "180"])
    assert result.exit_code == 0, result.output
    assert "no_such_module:init_module: nothing could reach it" in result.output
    assert "nowhere" in result.output
    parts = dict(
        part.split("\n", 1) for part in result.output.partition("\n-- tasks")[2].split("\n-- ")
    ) | {"tasks": result.output.partition("\n-- tasks\n")[2]}
    assert " [kthreadd]\n" in parts["tasks"]
    assert " [kthreadd]\n" in parts["threads"]
    assert "] Booting Linux on physical CPU" in parts["dmesg"]
    assert parts["modules"].startswith("module ")
    assert "rootfs" in parts["mounts"]
    assert "arch_timer" in parts["interrupts"]


def test_what_cannot_be_shown() -> None:
    result = CliRunner().invoke(main, ["run", "examples/queue.elf", "--show", "tasks,files"])
    assert result.exit_code == 2
    assert "'files' cannot be shown; tasks, threads, dmesg" in result.output
    result = CliRunner().invoke(main, ["run", "examples/queue.elf", "--show", "tasks"])
    assert result.exit_code == 0
    assert "not known: no Linux kernel is in the guest's memory" in result.output
