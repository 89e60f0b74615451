"""The coverage of a whole boot of Linux: every instruction, the kernel's functions by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .shell import Shell
from .support import PROMPT, load

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_boot(kernel: Path, tmp_path: Path) -> None:
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if PROMPT in output[-(len(data) + len(PROMPT) - 1) :]:
            guest.interrupt()

    with load("bookworm", console=console, vcpus=2, seed=5) as guest:
        coverage = guest.coverage(edges=True)
        shell = Shell(guest, output)
        shell.to_prompt()
        boot = coverage.result()
        assert boot.complete
        retired = [vcpu.instructions for vcpu in guest.board.vcpus]
        assert min(retired) > 10_000_000
        assert [boot.instructions(vcpu=n).total for n in range(2)] == retired
        # Nothing grows with what is executed again.
        assert 50_000 < sum(len(each.blocks) for each in boot.vcpus) < 300_000
        functions = {f.name: f for f in boot.functions(el=1) if f.executed}
        assert len(functions) > 4000
        assert functions["start_kernel"].count == 1
        assert functions["secondary_start_kernel"].count == 1
        assert "panic" not in functions
        assert not {f.name for f in boot.functions(el=0) if f.executed} & {"start_kernel"}

        coverage.reset()
        shell.ask("cat /proc/interrupts")
        ask = {f.name: f.count for f in coverage.result().functions(el=1)}
        assert ask["show_interrupts"] > 1
        assert "start_kernel" not in ask
        coverage.save(tmp_path / "linux.json")
    document = json.loads((tmp_path / "linux.json").read_text())
    saved = {f["name"]: f["count"] for f in document["functions"]}
    assert saved["show_interrupts"] == ask["show_interrupts"]
    assert document["lines"] == {}
