"""The conformance suite on the real KVM, and the same verdicts on the software KVM."""

from typing import Any

import pytest

from guestdbg.lab import Lab
from tools.lab import Failed, compare, on_the_real_kvm, on_the_software_kvm, report_of, tell


def report(**verdicts: str) -> dict[str, Any]:
    cases = [{"name": n, "verdict": v, "reason": f"so {v}"} for n, v in verdicts.items()]
    return {"provider": "x", "cases": cases}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_kvms_keep_every_promise(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    cases = compare(on_the_real_kvm(lab, "host-nvhe", []), on_the_software_kvm([]))
    status = tell(cases, "host-nvhe")
    assert status == 0, capsys.readouterr().out
    assert sum(case.verdicts == {"pass"} for case in cases) >= 500


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
    assert tell(compare(report(**real), report(**soft)), "host") == status
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("stdout", [b"", b"[]", b"{}", b'{"cases": []}', b"no JSON"])
def test_a_suite_that_gives_no_report(stdout: bytes) -> None:
    with pytest.raises(Failed, match=r"no report on here \(status 1\):\nits words"):
        report_of("here", 1, stdout, b"its words")
