"""The programs of the suite compute the right checksum, on guestdbg and on the other tools."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench import qemu, suite_programs
from bench.suite_programs import (
    FP_PROGRAMS,
    PROGRAMS,
    Program,
    Run,
    on_guestdbg,
    on_qemu,
    on_unicorn,
)
from guestdbg.machine.loading import elf
from tests.machine.test_examples import COMPILER, producers

from .suite_reference import REFERENCE

ALL = PROGRAMS + FP_PROGRAMS
EACH = pytest.mark.parametrize("program", ALL, ids=lambda program: program.name)
FEW = 2


@EACH
def test_on_guestdbg(program: Program) -> None:
    run = on_guestdbg(program, FEW)
    assert run.checksum == REFERENCE[program.name](FEW)
    assert on_guestdbg(program, FEW).instructions == run.instructions


@EACH
def test_more_rounds_have_another_checksum(program: Program) -> None:
    """Otherwise the checksum would not show that the work was done."""
    run, more = on_guestdbg(program, FEW), on_guestdbg(program, FEW + 1)
    assert more.checksum != run.checksum
    assert more.instructions is not None
    assert run.instructions is not None
    assert more.instructions > run.instructions


@EACH
def test_on_unicorn(program: Program) -> None:
    pytest.importorskip("unicorn")
    assert on_unicorn(program, FEW).checksum == REFERENCE[program.name](FEW)


@EACH
def test_on_qemu(program: Program) -> None:
    if shutil.which(qemu.QEMU) is None:
        pytest.skip(f"{qemu.QEMU} is not installed")
    assert on_qemu(program, FEW).checksum == REFERENCE[program.name](FEW)


@EACH
def test_the_checksum_of_a_measurement(program: Program) -> None:
    """It is the one of the reference, for the number of rounds in the ELF file."""
    with suite_programs.loaded(program, None) as guest:
        assert guest.read_u64(guest.symbol("rounds").address) == program.rounds
    assert REFERENCE[program.name](program.rounds) == program.checksum


def test_a_wrong_checksum_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="sort answered 0x1 instead of"):
        suite_programs.check(PROGRAMS[0], Run(1.0, 1), None)
    with pytest.raises(RuntimeError, match="sort answered 0x1 instead of"):
        suite_programs.check(PROGRAMS[0], Run(1.0, 1), 1)


def test_the_committed_programs_are_what_the_sources_build(tmp_path: Path) -> None:
    """They build; with the same compiler, the files have the same contents."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not installed")
    copy = tmp_path / "bench" / "suite"
    shutil.copytree(suite_programs.DIRECTORY, copy, ignore=shutil.ignore_patterns("*.elf"))
    result = subprocess.run(["make", "-C", str(copy)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr
    for program in ALL:
        built, committed = copy / program.path.name, program.path
        if producers(built) == producers(committed):
            parsed, expected = (elf.parse(path.read_bytes()) for path in (built, committed))
            assert parsed == expected, f"{program.name}: run make in bench/suite and commit it"
