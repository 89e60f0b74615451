"""The conformance suite on the real KVM, and the same verdicts on the software KVM."""

import contextlib
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

from guestdbg.check.differential.report import Report, Unexplained
from guestdbg.kvm.linux_release import software_version
from guestdbg.lab import Lab
from guestdbg.lab.fetch.packages import SUITE
from tools.lab import (
    Failed,
    compare,
    is_other_machine,
    main,
    on_the_real_kvm,
    on_the_software_kvm,
    print_verdicts,
    random_programs,
    report_of,
    side_name,
)


class NoLab:
    """What the command asks of a lab itself."""

    description: ClassVar[dict[str, str]] = {"kernel": "6.1.0-56-cloud-arm64"}


def report(**verdicts: str) -> dict[str, Any]:
    cases = [{"name": n, "verdict": v, "reason": f"so {v}"} for n, v in verdicts.items()]
    return {"provider": "x", "cases": cases}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_kvms_keep_every_promise(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    linux = software_version(lab.description["kernel"])
    cases = compare(on_the_real_kvm(lab, "host-nvhe", []), on_the_software_kvm(linux, []))
    status = print_verdicts(cases, "host-nvhe")
    assert status == 0, capsys.readouterr().out
    assert sum(case.verdicts == {"pass"} for case in cases) >= 500


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_random_programs_are_compared(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    report = random_programs(lab, "host-nvhe", 20, 800_000)
    assert report.compared == 25  # five with interrupts
    said = capsys.readouterr().out
    assert "seeds 800000 to 800019" in said
    assert "25 programs, " in said
    assert logging.getLogger("guestdbg").level == logging.NOTSET  # quiet no longer than needed


@pytest.mark.parametrize(
    ("arguments", "number", "unexplained", "status"),
    [
        ([], 500, 0, 0),
        ([], 500, 1, 1),
        (["--programs", "7"], 7, 0, 0),
        (["-k", "brk"], 0, 1, 0),
        (["-k", "brk", "--programs", "7"], 7, 1, 1),
        (["--debian", "trixie"], 500, 1, 1),
        (["--machine", "secure=on"], 0, 1, 0),
        (["--programs", "0"], 0, 1, 0),
    ],
)
def test_when_programs_are_compared_and_what_it_means(
    arguments: list[str],
    number: int,
    unexplained: int,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a lab and without the suite: how the command judges reports."""
    asked = []

    def programs(lab: object, side: str, number: int, seed: int) -> Report:
        asked.append(number)
        return Report(unexplained=[Unexplained("1", "x0", None)] * unexplained)

    monkeypatch.setattr(sys, "argv", ["lab.py", *arguments])
    monkeypatch.setattr("tools.lab.Lab", lambda **_: contextlib.nullcontext(NoLab()))
    for name in ("on_the_real_kvm", "on_the_software_kvm"):
        monkeypatch.setattr(f"tools.lab.{name}", lambda *_: report(a="pass"))
    monkeypatch.setattr("tools.lab.random_programs", programs)
    assert main() == status
    assert asked == ([number] if number else [])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-k", "matches-nothing"], 1, "no case matches 'matches-nothing'"),
        (["--machine", "x"], 1, "--machine x: it must be NAME=VALUE"),
        (["--programs", "many"], 2, "'many' is not a valid integer"),
    ],
)
def test_what_is_noticed_before_the_lab_starts(
    arguments: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["lab.py", *arguments])
    monkeypatch.setattr(Lab, "boot", lambda _: pytest.fail("it was booted"))
    assert main() == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({}, "host-nvhe"),
        ({"cpu": "vhe", "suite": "trixie"}, "host-vhe-trixie"),
        ({"machine": "secure=on", "append": "a b"}, "host-nvhe-secure=on-a_b"),
        ({"qemu": "/opt/qemu-11/qemu"}, "host-nvhe-qemu"),
    ],
)
def test_reports_of_different_machines_have_different_names(
    chosen: dict[str, str], name: str
) -> None:
    usual = {"cpu": "nvhe", "suite": SUITE, "append": "", "machine": "", "qemu": None}
    assert side_name(usual | chosen) == name
    assert is_other_machine(usual | chosen) == (not {"machine", "qemu"}.isdisjoint(chosen))


@pytest.mark.parametrize(
    ("real", "soft", "status", "said"),
    [
        ({"a": "pass"}, {"a": "pass"}, 0, "1 cases: 0 failed or differ, 0 could"),
        ({"a": "skip"}, {"a": "pass"}, 0, "so skip"),
        ({"a": "fail"}, {"a": "pass"}, 1, "so fail"),
        ({"a": "fail"}, {"a": "fail"}, 1, "1 failed or differ"),
        ({"a": "pass"}, {"a": "fail"}, 1, "so fail"),
        ({"a": "pass", "b": "pass"}, {"a": "pass"}, 1, "unknown"),
        ({"a": "pass"}, {"a": "pass", "b": "skip"}, 1, "unknown"),
    ],
)
def test_what_is_a_difference(
    real: dict[str, str],
    soft: dict[str, str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert print_verdicts(compare(report(**real), report(**soft)), "host") == status
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("stdout", [b"", b"[]", b"{}", b'{"cases": []}', b"no JSON"])
def test_a_suite_that_gives_no_report(stdout: bytes) -> None:
    with pytest.raises(Failed, match=r"no report on here \(status 1\):\nits words"):
        report_of("here", 1, stdout, b"its words")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_el3_no_case_of_the_levels_is_skipped(lab_root: Path) -> None:
    """HMC and SSC that select a Security state: reserved without EL3."""
    with Lab(root=lab_root, machine="secure=on") as lab:
        report = on_the_real_kvm(lab, "host-secure", ["-k", "levels"])
    verdicts = Counter(case["verdict"] for case in report["cases"])
    assert verdicts == {"pass": 58}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_a_gicv2_no_case_of_it_is_skipped(lab_root: Path) -> None:
    """The lab's usual machine has a GICv3, whose guests cannot have a GICv2."""
    with Lab(root=lab_root, gic=2) as lab:
        report = on_the_real_kvm(lab, "host-gicv2", ["-k", "interrupts.v2"])
    verdicts = Counter(case["verdict"] for case in report["cases"])
    assert verdicts == {"pass": 22}
