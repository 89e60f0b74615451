"""The cases of what Linux 6.14 changed: the earlier behaviour fails them."""

import pytest

from guestdbg.check import run_cases, select
from guestdbg.kvm import open_kvm

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

CASES = [case for case in select() if case.module == "ownership"]
#: Linux 6.1 refuses these writes as well: it refuses all that change something.
ALIKE = {
    "identity.fixed.breakpoints",
    "identity.fixed.context-breakpoints",
    "identity.debug-version",
}


def test_all_are_since_6_14() -> None:
    assert len(CASES) > 12
    assert {case.since for case in CASES} == {(6, 14)}


def test_they_fail_on_the_earlier_version() -> None:
    with open_kvm("soft", linux="6.1", psci_smc=None) as kvm:
        kvm.linux = "6.14"  # so that they are judged
        verdicts = {result.case.name: result.verdict for result in run_cases(CASES, kvm)}
    assert {name for name, verdict in verdicts.items() if verdict == "pass"} == ALIKE
    assert set(verdicts.values()) == {"pass", "fail"}


def test_they_are_skipped_on_the_earlier_version() -> None:
    with open_kvm("soft", linux="6.1") as kvm:
        results = list(run_cases(CASES, kvm))
    assert {result.verdict for result in results} == {"skip"}
    assert all("Linux 6.14 and later promise this" in result.reason for result in results)
