"""The records of real kernels' verdicts, without a lab."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guestdbg.check import CASES, run_cases, select

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import lab_matrix
from lab_verdicts import (
    FAULTS,
    Record,
    fault_of,
    predicted,
    read,
    record_of,
    software_kvm,
    write,
    wrong,
)

KERNEL = "7.2.99-cloud-arm64"


def document(**changed: tuple[str, str]) -> dict[str, Any]:
    """A report in which every case is as predicted, but for those given."""
    verdicts = predicted("6.14", None)
    found = [{"name": name, "verdict": v, "reason": ""} for name, v in verdicts.items()]
    for case in found:
        if case["name"] in changed:
            case["verdict"], case["reason"] = changed[case["name"]]
    return {"kernel": KERNEL, "kernel_build": "#1 SMP Debian 7.2.99-1 (2027-01-01)", "cases": found}


PASSES, SKIPPED = "breakpoint.register.0", "breakpoint.register.15"


def test_the_cases_that_the_tests_change() -> None:
    verdicts = predicted("6.14", None)
    assert (verdicts[PASSES], verdicts[SKIPPED]) == ("pass", "skip")


def test_as_predicted() -> None:
    record = record_of(document(), "nvhe", "cortex-a72")
    assert (record.software, record.fault, record.others) == ("6.14", None, {})
    assert record.key == f"{KERNEL} nvhe"
    assert record.verdicts() == predicted("6.14", None)
    assert not wrong(record)


def test_what_the_processor_lacks_or_has_is_kept_with_its_reason() -> None:
    changed = {PASSES: ("skip", "no such thing"), SKIPPED: ("pass", "")}
    record = record_of(document(**changed), "nvhe", "x")
    assert record.others["no such thing"] == {"skip": [PASSES]}
    assert [by for reason, by in record.others.items() if "has what" in reason] == [
        {"pass": [SKIPPED]}
    ]
    assert record.verdicts()[PASSES] == "skip"
    assert not wrong(record)


def test_a_failure_is_not_explained() -> None:
    record = record_of(document(**{PASSES: ("fail", "it did not")}), "nvhe", "x")
    assert wrong(record) == [(PASSES, "fail instead of pass: it did not")]


def test_a_known_fault_predicts_failures() -> None:
    """Nothing that userspace arms stops; a case that passes all the same is not explained."""
    verdicts = predicted("6.14", "external-mdscr")
    failed = {name for name, verdict in verdicts.items() if verdict == "fail"}
    assert 800 < len(failed) < 1000
    assert {"step.el.el1", "breakpoint.register.0"} & CASES.keys() <= failed
    report = document(**dict.fromkeys(failed, ("fail", "no stop")))
    record = record_of(report, "pkvm", "cortex-a72")
    assert record.fault == "external-mdscr"
    assert not wrong(record)
    one = min(failed)
    report = document(**dict.fromkeys(failed - {one}, ("fail", "no stop")))
    assert [name for name, _ in wrong(record_of(report, "pkvm", "x"))] == [one]


@pytest.mark.parametrize(
    ("release", "mode", "fault"),
    [
        ("6.1.0-56-cloud-arm64", "pkvm", None),
        ("6.12.118+deb13-cloud-arm64", "pkvm", "later-vcpu"),
        ("6.12.118+deb13-cloud-arm64", "nvhe", None),
        ("7.2.13+deb14-cloud-arm64", "pkvm", "external-mdscr"),
        ("7.3.1", "pkvm", None),
    ],
)
def test_which_kernels_have_a_fault(release: str, mode: str, fault: str | None) -> None:
    assert fault_of(release, mode) == fault


def test_a_fault_names_cases_that_fail() -> None:
    fails = {n for n, verdict in predicted("6.1", "later-vcpu").items() if verdict == "fail"}
    assert fails == {name for name in CASES if name.startswith("vcpus.added-")}
    assert len(fails) >= 3


def test_a_fault_is_in_one_kvm_alone() -> None:
    with software_kvm("6.14", "external-mdscr") as kvm:
        broken = {r.verdict for r in run_cases(select(["breakpoint.register.0"]), kvm)}
    with software_kvm("6.14", None) as kvm:
        whole = {r.verdict for r in run_cases(select(["breakpoint.register.0"]), kvm)}
    assert (broken, whole) == ({"fail"}, {"pass"})


def test_the_reports_of_faults_are_there() -> None:
    reports = Path(__file__).parents[2] / "examples" / "kernel-reports"
    for fault in FAULTS.values():
        assert list(reports.glob(f"{fault.report}*")), fault.report


def test_a_file_of_records(tmp_path: Path) -> None:
    record = record_of(document(**{PASSES: ("skip", "no such thing")}), "vhe", "max")
    path = tmp_path / "verdicts.json"
    write({record.key: record}, path)
    assert read(path) == {record.key: record}
    path.write_text(path.read_text().replace(f'  "{SKIPPED}",\n', ""))
    (found,) = read(path).values()
    assert found.not_run == [SKIPPED]
    assert found.verdicts()[SKIPPED] == "not run"


@pytest.mark.parametrize(
    ("known", "is_wrong", "said"),
    [
        ("same", False, ""),
        ("none", False, "no record"),
        ("not run", False, "1 cases without record"),
        ("other", True, f"NOT AS RECORDED: {PASSES}"),
        ("failed", True, "NOT EXPLAINED"),
    ],
)
def test_what_the_matrix_says(
    known: str, is_wrong: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_of(document(), "nvhe", "x")
    before: Record | None = record
    if known == "none":
        before = None
    elif known == "not run":
        before = replace(record, not_run=[PASSES])
    elif known == "other":
        before = replace(record, others={"no such thing": {"skip": [PASSES]}})
    elif known == "failed":
        record = record_of(document(**{PASSES: ("fail", "it did not")}), "nvhe", "x")
    way = lab_matrix.Way("sid", "nvhe")
    assert lab_matrix.print_record(way, record, before) == is_wrong
    assert said in capsys.readouterr().out


def test_where_kernels_differ(capsys: pytest.CaptureFixture[str]) -> None:
    one = record_of(document(), "nvhe", "x")
    other = record_of(document(**{PASSES: ("skip", "no such thing")}), "vhe", "x")
    lab_matrix.print_differences({"one": one, "other": other})
    said = capsys.readouterr().out
    assert "differ in 1 cases" in said
    assert "pass     one" in said
    assert "skip     other" in said
