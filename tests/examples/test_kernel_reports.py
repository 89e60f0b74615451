"""The programs and texts of examples/kernel-reports: what each shows, on the software KVM."""

import subprocess
import sys
from pathlib import Path

import pytest

REPORTS = Path(__file__).parents[2] / "examples" / "kernel-reports"
PROGRAMS = sorted(REPORTS.glob("*.py"))
TEXTS = sorted(REPORTS.glob("*.txt"))
#: The faults that the software KVM has too as these versions, because it decides as the kernel.
FAULTS = {
    "6.1": ("vgic_enable",),
    "6.14": ("mdscr_el1_tdcc", "stale_pending_step", "vgic_enable"),
}
#: Programs that need what the software KVM does not have.
NOT_JUDGED = ("nested_step",)


@pytest.mark.parametrize("linux", ["6.1", "6.14"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_on_the_software_kvm(program: Path, linux: str) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    result = subprocess.run(
        [sys.executable, program, "--provider", "soft", "--linux", linux],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = result.stdout.splitlines()
    if program.stem in NOT_JUDGED:
        assert result.returncode == 3
        assert lines[1].startswith("cannot be judged here: ")
        return
    faulty = program.stem in FAULTS[linux]
    assert result.stderr == ""
    assert lines[0] == f"Linux {linux}, provider soft"
    assert any(line.startswith("FAULT ") for line in lines) == faulty
    assert result.returncode == faulty
    judged = [line for line in lines if line.startswith(("ok ", "FAULT "))]
    assert judged
    assert all("expected " in line and ", seen " in line for line in judged)


def test_every_program_has_a_report_and_is_listed() -> None:
    assert [p.stem for p in PROGRAMS] == [t.stem for t in TEXTS]
    readme = (REPORTS / "README.md").read_text()
    assert [p.stem for p in PROGRAMS if readme.count(f"`{p.stem}`") < 1] == []


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_a_report_has_the_form_of_the_list(text: Path) -> None:
    """Plain text of at most 75 columns, with the headers of a mail, and what it must answer."""
    report = text.read_text(encoding="ascii")
    lines = report.splitlines()
    assert max(map(len, lines)) <= 75
    assert [line.partition(":")[0] for line in lines[:3]] == ["To", "Cc", "Subject"]
    for list_ in ("kvmarm@lists.linux.dev", "linux-arm-kernel@lists.infradead.org"):
        assert list_ in "".join(lines[:2])
    assert lines[2].startswith("Subject: KVM: arm64: ")
    for heading in ("Summary", "What was done", "Cause", "Versions", "How to reproduce"):
        assert heading in lines, heading
    assert f"examples/kernel-reports/{text.stem}.py" in report
