"""Real programs give the same output, bit for bit, and the same exit status as on QEMU."""

from pathlib import Path

import pytest

from tests.programs.building import build, run_here, run_on_qemu
from tests.programs.catalogue import PROGRAMS, Program

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_output_is_qemus(program: Program, tmp_path: Path) -> None:
    """And that of Python or of a standard, where there is one."""
    elf = build(program, tmp_path)
    output, status = run_here(elf)
    assert status == 0, output[-2000:]
    if program.check is not None:
        program.check(output)
    on_qemu = run_on_qemu(elf, program.cpu)
    assert on_qemu == (output, 0)
