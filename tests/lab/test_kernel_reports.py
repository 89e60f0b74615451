"""The programs of examples/kernel-reports on a kernel that has one of the faults: Linux 6.1."""

from pathlib import Path

import pytest

from guestdbg.lab import Lab

PROGRAMS = sorted((Path(__file__).parents[2] / "examples" / "kernel-reports").glob("*.py"))

#: QEMU 7.2 has no trap by MDSCR_EL1.TDCC, and the default processor no nested virtualization.
MAY_BE_NOT_JUDGED = ("mdscr_el1_tdcc", "nested_step")

FAULTS = ("vgic_enable",)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_the_faults_that_are_there_are_seen(lab: Lab) -> None:
    for program in PROGRAMS:
        result = lab.run(["python3", program.name], files={program.name: program}, timeout=60)
        output = result.stdout.decode()
        assert result.stderr == b""
        faulty = program.stem in FAULTS
        assert ("FAULT" in output) == faulty, output
        expected = (0, 3) if program.stem in MAY_BE_NOT_JUDGED else (int(faulty),)
        assert result.status in expected, output
