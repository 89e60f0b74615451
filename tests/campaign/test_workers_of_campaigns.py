"""Workers of a campaign: why they died, for which cases, and how a part of it is run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from guestdbg.campaign import Campaign, Case, Job, Progress, Result, Runner
from guestdbg.workers import WorkerExecutor
from tests.campaign.jobs import Arithmetic, Deadly, Hanging


class Aborting(Job):
    """Cases that end the process in two ways, and one of them with a sanitizer's report."""

    def runner(self, loaded: Any) -> Runner:
        return AbortingRunner()


class AbortingRunner(Runner):
    def run(self, case: Case) -> Result:
        if case.number % 10 == 3:
            os.abort()
        if case.number % 10 == 7:
            print(f"=={os.getpid()}==ERROR: AddressSanitizer: of case {case.number}")
            print("SUMMARY: AddressSanitizer: heap-buffer-overflow x.c:7 in put", flush=True)
            os._exit(1)
        return Result("ok", detail=os.environ.get("GUESTDBG_TEST", ""))

    def close(self) -> None:
        pass


def test_the_cause_is_the_signature(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Aborting(), 20)
    environment = {"GUESTDBG_TEST": "in the worker"}
    with WorkerExecutor(2, environment=environment, output="keep") as executor:
        summary = campaign.run(executor)
    assert summary.counts == {"ok": 16, "worker died": 4}
    assert summary.deaths == []
    abort, report = summary.failures
    assert abort.signature.startswith("worker died: Aborted in run:")
    assert (abort.case, abort.count) == (3, 2)
    assert "test_workers_of_campaigns.py" in abort.evidence
    assert report.signature == ("worker died: AddressSanitizer: heap-buffer-overflow x.c:7 in put")
    assert (report.case, report.count) == (7, 2)
    assert "ERROR: AddressSanitizer: of case 7" in report.evidence
    assert "ended with the status 1" in report.evidence
    assert campaign.to_arrow().column("detail")[0].as_py() == "in the worker"


class Stuck(Job):
    """One case hangs in a library that lets no other thread of Python run."""

    def runner(self, loaded: Any) -> Runner:
        return StuckRunner()


class StuckRunner(Runner):
    def run(self, case: Case) -> Result:
        if case.number == 3:
            re.match(r"(a|a)*$", "a" * 100 + "b")
        return Result("ok")

    def close(self) -> None:
        pass


def test_a_hang_that_keeps_the_interpreter(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Stuck(), 8, seconds=0.5)
    with WorkerExecutor(1, output="keep") as executor:
        (failure,) = campaign.run(executor).failures
    assert (failure.case, failure.signature) == (3, "worker died: Timeout")
    assert "test_workers_of_campaigns.py" in failure.evidence


def test_a_hang_has_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = Campaign.create(tmp_path / "c", Hanging(), 12, seconds=1.0)
    (failure,) = campaign.run(workers=1).failures
    assert failure.signature == "worker died: a case has taken longer than 1 s"
    assert "jobs.py" in failure.evidence
    assert "a case has taken longer than 1 s" in capsys.readouterr().err


def test_deaths_that_no_case_explains_are_reported(tmp_path: Path) -> None:
    """Memory that one case damages is what another one stumbles over."""
    campaign = Campaign.create(tmp_path / "c", Deadly([], [3, 200], str(tmp_path)), 400)
    summary = campaign.run(workers=2)
    assert summary.counts == {"ok": 400}
    assert [death.cause for death in summary.deaths] == ["was killed by SIGKILL"] * 2
    for number, death in zip((3, 200), sorted(summary.deaths, key=lambda d: d.first), strict=True):
        assert death.first <= number <= death.last
    assert "a worker has died in the cases" in str(summary)
    assert Campaign(campaign.directory).summary() == summary


def test_a_part_of_a_campaign(tmp_path: Path) -> None:
    for cases in (None, 10**9):  # as many as nobody waits for
        campaign = Campaign.create(tmp_path / f"c{cases}", Arithmetic(), cases, seed=5)
        seen: list[Progress] = []

        def until(progress: Progress, seen: list[Progress] = seen) -> bool:
            seen.append(progress)
            return len(seen) == 2

        first = campaign.run(workers=0, until=until)
        assert len(seen) == 2
        assert seen[-1].done <= first.done
        assert not first.complete
        assert any(each.minimised for each in first.failures)
        second = campaign.run(workers=0, until=lambda progress: progress.seconds > 1)
        assert second.done > first.done
        assert campaign.to_arrow().column("case").to_pylist() == list(range(second.done))
        assert not (campaign.directory / "results.parquet").exists()
