"""A selection of the suite, and random programs, on the newest kernel that Debian has.

Debian's `sid` moves. For a release that `verdicts.json` does not know, what is not as predicted is
a warning: `make lab-matrix` is where a new kernel is judged.
"""

import sys
import warnings
from pathlib import Path

import pytest

from guestdbg.kvm.linux_release import software_version
from guestdbg.lab import Lab

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from lab_verdicts import Record, predicted, read

from tools.lab import on_the_real_kvm, random_programs

#: What the ownership of the debug registers has to do with, and some of every other sort.
PATTERNS = ["guest.*", "identity.*", "lock.*", "step.*", "control.*", "order.*", "vcpus.*", "brk.*"]
PROGRAMS, SEED = 100, 900_000


def record_of(lab: Lab) -> Record | None:
    return read().get(f"{lab.description['kernel']} nvhe")


def judge(lab: Lab, problems: list[str]) -> None:
    """Fail for problems of a kernel that is known; warn of those of another one."""
    if problems and record_of(lab) is None:
        text = "; ".join(problems)
        warnings.warn(f"Linux {lab.description['kernel']} has no record: {text}", stacklevel=2)
    else:
        assert not problems


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_selection_of_the_suite(newest: Lab) -> None:
    record = record_of(newest)
    linux = software_version(newest.description["kernel"])
    expected = record.verdicts() if record else predicted(linux, None)
    words = [word for pattern in PATTERNS for word in ("-k", pattern)]
    document = on_the_real_kvm(newest, "host-newest", words)
    verdicts = {case["name"]: (case["verdict"], case["reason"]) for case in document["cases"]}
    assert len(verdicts) > 300
    judge(
        newest,
        [
            f"{name}: {verdict} instead of {expected.get(name)}: {reason}"
            for name, (verdict, reason) in verdicts.items()
            if verdict != expected.get(name)
            # The record says which cases this processor cannot be judged by.
            and not (record is None and verdict == "skip")
            and expected.get(name) != "not run"
        ],
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_random_programs(newest: Lab) -> None:
    report = random_programs(newest, "host-newest", PROGRAMS, SEED)
    assert report.compared == PROGRAMS + PROGRAMS // 4  # a quarter more, with interrupts
    assert report.sides is not None
    assert report.sides[0].linux == software_version(newest.description["kernel"])
    assert report.sides[1].linux == newest.description["kernel"]
    assert len(report.unsteady) <= 2
    judge(newest, [str(report)] if report.unexplained else [])
