"""The conformance suite on the real KVM, and the same verdicts on the software KVM."""

import contextlib
import logging
import sys
from typing import Any, cast

import pytest

from guestdbg.check.differential import campaign
from guestdbg.lab import Lab
from tools.lab import (
    Failed,
    compare,
    main,
    on_the_real_kvm,
    on_the_software_kvm,
    print_verdicts,
    random_programs,
    report_of,
)


def report(**verdicts: str) -> dict[str, Any]:
    cases = [{"name": n, "verdict": v, "reason": f"so {v}"} for n, v in verdicts.items()]
    return {"provider": "x", "cases": cases}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_kvms_keep_every_promise(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    cases = compare(on_the_real_kvm(lab, "host-nvhe", []), on_the_software_kvm([]))
    status = print_verdicts(cases, "host-nvhe")
    assert status == 0, capsys.readouterr().out
    assert sum(case.verdicts == {"pass"} for case in cases) >= 500


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_random_programs_are_compared(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    report = random_programs(lab, "host-nvhe", 20, 800_000)
    assert report.compared == 20
    said = capsys.readouterr().out
    assert "seeds 800000 to 800019" in said
    assert "20 programs, " in said
    assert logging.getLogger("guestdbg").level == logging.NOTSET  # quiet no longer than needed


@pytest.mark.parametrize(
    ("arguments", "number", "unexplained", "status"),
    [
        ([], 500, 0, 0),
        ([], 500, 1, 1),
        (["--programs", "7"], 7, 0, 0),
        (["-k", "brk"], 0, 1, 0),
        (["-k", "brk", "--programs", "7"], 7, 1, 1),
        (["--debian", "trixie"], 0, 1, 0),
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

    def programs(lab: object, side: str, number: int, seed: int) -> campaign.Report:
        asked.append(number)
        found = [cast(campaign.Finding, None)] * unexplained
        return campaign.Report(unexplained=found)

    monkeypatch.setattr(sys, "argv", ["lab.py", *arguments])
    monkeypatch.setattr("tools.lab.Lab", lambda **_: contextlib.nullcontext())
    for name in ("on_the_real_kvm", "on_the_software_kvm"):
        monkeypatch.setattr(f"tools.lab.{name}", lambda *_: report(a="pass"))
    monkeypatch.setattr("tools.lab.random_programs", programs)
    assert main() == status
    assert asked == ([number] if number else [])


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
