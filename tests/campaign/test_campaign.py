"""Campaigns without guests: the same results on every executor, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from guestdbg.campaign import (
    Campaign,
    CampaignError,
    Case,
    ExecutorLost,
    Job,
    Progress,
    Result,
    Runner,
)
from guestdbg.campaign import results as results_module
from guestdbg.campaign.journal import Journal, read_lines
from guestdbg.campaign.worker import digest_of, forget
from guestdbg.tables import Column
from tests.campaign.jobs import Arithmetic, Deadly, Failing, Hanging, Unloadable

ROOT = Path(__file__).parents[2]
CASES = 10_000


def made(directory: Path, cases: int = CASES, **options: Any) -> Campaign:
    return Campaign.create(directory, Arithmetic(), cases, seed=5, **options)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign that one process has run without an interruption."""
    campaign = made(tmp_path_factory.mktemp("serial") / "c")
    campaign.run(workers=0)
    return campaign


def contents(campaign: Campaign) -> bytes:
    return (campaign.directory / "results.parquet").read_bytes()


def test_the_results_of_a_campaign(serial: Campaign) -> None:
    table = serial.to_arrow()
    assert table.column("case").to_pylist() == list(range(CASES))
    assert table.schema.field("seed").type == pyarrow.uint64()
    summary = serial.summary()
    assert summary.complete
    assert summary.counts.total() == CASES == summary.done
    assert summary.all_failed is None
    errors = [each for each in summary.failures if each.outcome == "error"]
    (error,) = errors
    assert error.signature.startswith("error: ZeroDivisionError in run")
    assert "ZeroDivisionError: case" in error.evidence
    assert error.minimised is None
    crashes = [each for each in summary.failures if each.outcome == "crash"]
    assert [each.signature for each in crashes] != []
    for crash in crashes:
        assert crash.minimised is not None
        assert crash.minimised.data is not None
        assert len(crash.minimised.data) == 2
        assert crash.minimised.data[0] == crash.minimised.data[1]
    assert sum(each.count for each in summary.failures) == table.column("failure").to_numpy().sum()
    row = serial.result(crashes[0].case)
    assert row is not None
    assert (row["outcome"], row["signature"]) == ("crash", crashes[0].signature)
    again = serial.play(crashes[0].case)
    assert (again.outcome, again.signature, again.detail) == (
        *(row["outcome"], row["signature"]),
        row["detail"],
    )
    assert again.values == (row["value"], row["word"])
    # Read with nothing of guestdbg.
    other = pyarrow.parquet.read_table(serial.directory / "results.parquet")
    assert other.num_rows == CASES
    assert other.schema.field("value").metadata[b"description"] == b"a number"


def test_processes_give_the_same_table(serial: Campaign, tmp_path: Path) -> None:
    campaign = made(tmp_path / "c")
    seen: list[Progress] = []
    campaign.run(workers=2, on_progress=seen.append)
    assert contents(campaign) == contents(serial)
    assert campaign.summary() == serial.summary()
    assert seen[-1].done == CASES
    assert seen[-1].workers == 2
    assert campaign.run(workers=2) == campaign.summary()  # nothing is left to do


def test_threads_and_a_process_pool_give_the_same_table(serial: Campaign, tmp_path: Path) -> None:
    executors: Sequence[Executor] = (ThreadPoolExecutor(3), ProcessPoolExecutor(2))
    for number, executor in enumerate(executors):
        with executor:
            campaign = made(tmp_path / str(number))
            campaign.run(executor)
            assert contents(campaign) == contents(serial)


def test_workers_are_sent_what_they_cannot_read(tmp_path: Path) -> None:
    file = b"four"
    job = Arithmetic(file=digest_of(file))
    campaign = Campaign.create(tmp_path / "c", job, 500, seed=5, files=[file])
    counted = SendCounter(2)
    with counted:
        campaign.run(counted, send_files=True)
    assert 1 <= counted.sent <= 4  # not once for each task
    other = Campaign.create(tmp_path / "d", job, 500, seed=5, files=[file])
    other.run(workers=0)
    assert contents(campaign) == contents(other)


class SendCounter(ProcessPoolExecutor):
    """Counts tasks that carry files."""

    sent = 0

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Future[Any]:
        self.sent += any(isinstance(each, dict) for each in args)
        return super().submit(function, *args, **options)


# ---- interruptions ---------------------------------------------------------------------------


def killed_and_resumed(campaign: Campaign, cases: int, part: int) -> int:
    """Run a campaign in processes that are killed, also while they write parts. How many were."""
    program = (
        "import sys; from guestdbg.campaign import Campaign, results\n"
        f"results._PART_ROWS = {part}\n"
        "Campaign(sys.argv[1]).run(workers=0, minimise=0)"
    )
    done, kills = 0, 0
    while done < cases:
        process = subprocess.Popen([sys.executable, "-c", program, campaign.directory], cwd=ROOT)
        while process.poll() is None:
            if campaign.summary().done > done + cases // 4:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.05)
        process.wait()
        now = campaign.summary().done
        assert now > done
        done = now
    return kills


def test_a_campaign_that_is_killed_again_and_again_has_the_same_table(
    serial: Campaign, tmp_path: Path
) -> None:
    campaign = made(tmp_path / "c")
    assert killed_and_resumed(campaign, CASES, 500) >= 1
    campaign.run(workers=0)
    assert contents(campaign) == contents(serial)
    assert campaign.summary() == serial.summary()
    assert not list((campaign.directory / "results").iterdir())


@pytest.mark.soak
def test_a_large_campaign_that_is_killed_has_the_same_table(tmp_path: Path) -> None:
    whole, campaign = made(tmp_path / "whole", 100_000), made(tmp_path / "c", 100_000)
    whole.run(workers=2)
    assert killed_and_resumed(campaign, 100_000, 3000) >= 1
    assert contents(campaign) == contents(whole)


@pytest.mark.soak
def test_a_million_cases_with_the_same_failure(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Failing(), 1_000_000)
    (failure,) = campaign.run(workers=2).failures
    assert failure.count == 1_000_000
    files = [each for each in campaign.directory.rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in files) < 30 << 20


def test_ctrl_c_keeps_what_was_computed(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Arithmetic(0.001), 3000, seed=5)
    calls = 0

    def interrupt(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.run(workers=2, on_progress=interrupt)
    done = campaign.summary().done
    assert 0 < done < 3000
    campaign.run(workers=2)
    whole = Campaign.create(tmp_path / "d", Arithmetic(), 3000, seed=5)
    whole.run(workers=0)
    assert contents(campaign) == contents(whole)


def test_one_process_at_a_time_runs_a_campaign(tmp_path: Path) -> None:
    campaign = made(tmp_path / "c", 10)

    def second(progress: Progress) -> None:
        with pytest.raises(CampaignError, match="another process runs this campaign now"):
            Campaign(campaign.directory).run(workers=0)
        seen.append(progress)

    seen: list[Progress] = []
    campaign.run(workers=0, on_progress=second)
    assert seen


def test_a_campaign_without_an_end(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Arithmetic(), None)

    def stop(progress: Progress) -> None:
        assert progress.remaining is None
        if progress.done > 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.run(workers=0, on_progress=stop)
    summary = campaign.summary()
    assert summary.done > 2000
    assert not summary.complete
    assert campaign.to_arrow().column("case").to_pylist() == list(range(summary.done))


# ---- workers that die ------------------------------------------------------------------------


def test_a_worker_that_dies_is_replaced_and_its_case_is_found(tmp_path: Path) -> None:
    job = Deadly([77, 350], [3, 200], str(tmp_path))
    campaign = Campaign.create(tmp_path / "c", job, 400)
    summary = campaign.run(workers=2)
    assert summary.counts == {"ok": 398, "worker died": 2}
    (failure,) = summary.failures
    assert (failure.case, failure.count) == (77, 2)
    assert "SIGKILL" in failure.evidence
    died = [row["case"] for row in campaign.to_arrow().to_pylist() if row["failure"]]
    assert died == [77, 350]


def test_a_case_that_hangs_is_found(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Hanging(), 12, seconds=1.0)
    summary = campaign.run(workers=2)
    assert summary.counts == {"ok": 11, "worker died": 1}
    assert summary.failures[0].case == 3


def test_an_executor_that_breaks_leaves_the_campaign_resumable(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Deadly([], [90], str(tmp_path)), 300)
    with (
        ProcessPoolExecutor(2) as executor,
        pytest.raises(ExecutorLost, match="from where the campaign can be resumed"),
    ):
        campaign.run(executor)
    with ProcessPoolExecutor(2) as executor:
        summary = campaign.run(executor)
    assert summary.counts == {"ok": 300}


def test_an_executor_that_is_shut_down(tmp_path: Path) -> None:
    campaign = made(tmp_path / "c", 100)
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(ExecutorLost, match="shutdown"):
        campaign.run(executor)
    assert campaign.run(workers=0).complete


# ---- bad input -------------------------------------------------------------------------------


def test_every_case_fails_in_the_same_way(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Failing(), 10_000)
    summary = campaign.run(workers=0)
    (failure,) = summary.failures
    assert failure.count == 10_000
    assert summary.all_failed == failure.signature
    assert "every case is a failure of the same kind: error: ValueError" in str(summary)
    # The traceback is there once; the results take some bytes each.
    assert (campaign.directory / "failures.jsonl").stat().st_size < 4096
    assert (campaign.directory / "results.parquet").stat().st_size < 10_000 * 30


def test_a_job_that_cannot_be_loaded(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Unloadable(), 10)
    with pytest.raises(CampaignError, match="cannot run the cases: ValueError: no such thing here"):
        campaign.run(workers=1)
    with pytest.raises(CampaignError, match="no such thing here"):
        campaign.run(workers=0)


class Columns(Job):
    """The value of case n is the n-th of these."""

    values = (5, -1, 1 << 64, "x", None, True)
    columns = (Column("number", "u64", "a number"), Column("word", "text", "", optional=True))

    def runner(self, loaded: Any) -> Runner:
        return ColumnsRunner()


class ColumnsRunner(Runner):
    def run(self, case: Case) -> Result:
        values: tuple[Any, ...] = (Columns.values[case.number % 6], "word\udc80")
        return Result("ok", values=values[: 1 if case.number == 6 else 2])

    def close(self) -> None:
        pass


def test_values_that_a_column_cannot_have(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Columns(), 7)
    campaign.run(workers=0)
    found = campaign.to_arrow().to_pylist()
    assert [row["outcome"] for row in found] == ["ok", *["error"] * 4, "ok", "error"]
    assert (found[0]["number"], found[0]["word"]) == (5, "word\\udc80")
    assert found[2]["detail"].endswith(f"column number (u64) cannot have the value {1 << 64}")
    assert "1 values, and its job 2 columns" in found[6]["detail"]
    assert list(campaign.table().column("number")) == [5, 0, 0, 0, 0, 1, 0]


class Scarce(Job):
    """There are as many runners as a file says; each raises in case 4."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def runner(self, loaded: Any) -> Runner:
        left = int(self.path.read_text())
        if not left:
            raise OSError(errno.ENODEV, "no lab here")
        self.path.write_text(str(left - 1))
        return ScarceRunner()


class ScarceRunner(Runner):
    def run(self, case: Case) -> Result:
        if case.number == 4:
            raise ValueError("not this one")
        return Result("ok")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("workers", [0, 1])
def test_a_runner_that_cannot_be_made(tmp_path: Path, workers: int) -> None:
    """It is no failure of the cases: the campaign ends, and goes on when there is one."""
    path = tmp_path / "runners"
    path.write_text("0")
    campaign = Campaign.create(tmp_path / "c", Scarce(path), 20)
    with pytest.raises(CampaignError, match=r"no case can be run .*no lab here.* 0 cases"):
        campaign.run(workers=workers)
    path.write_text("1")
    with pytest.raises(CampaignError, match=r"no lab here.*can be resumed"):
        campaign.run(workers=workers)
    assert campaign.summary().counts == {"ok": 4, "error": 1}
    path.write_text("1")
    assert campaign.run(workers=workers).counts == {"ok": 19, "error": 1}
    assert campaign.to_arrow().column("case").to_pylist() == list(range(20))


def test_what_cannot_be_a_campaign(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="not a campaign: no such directory"):
        Campaign(tmp_path / "c")
    campaign = made(tmp_path / "c", 10)
    with pytest.raises(CampaignError, match="there is a campaign already"):
        made(tmp_path / "c", 10)
    with pytest.raises(CampaignError, match="No such file or directory"):
        made(tmp_path / "none" / "c", 10)
    for wrong in (-1, 1.5, True):
        with pytest.raises(CampaignError, match="cases is"):
            made(tmp_path / "d", wrong)  # type: ignore[arg-type]
    with pytest.raises(CampaignError, match="is no executor"):
        campaign.run("processes")
    with pytest.raises(CampaignError, match="0 runs the cases in this process"):
        campaign.run(workers=-1)
    with pytest.raises(CampaignError, match="there is no case 10: the cases are 0 to 9"):
        campaign.play(10)
    lock_held = Arithmetic()
    lock_held.pause = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(CampaignError, match="cannot be sent to workers"):
        Campaign.create(tmp_path / "e", lock_held, 1)


def test_damaged_directories(tmp_path: Path) -> None:
    campaign = made(tmp_path / "c", 50)
    campaign.run(workers=0)
    manifest = campaign.directory / "campaign.json"
    good = json.loads(manifest.read_text())
    for change, expected in (
        ({"guestdbg-campaign": 2}, "form 2; this guestdbg reads 1"),
        ({"cases": "many"}, "cases and seed must be numbers"),
        ({"job": "../../passwd"}, "is no digest"),
        ({"columns": [{"name": "x"}]}, "damaged"),
        ({"guestdbg-campaign": None}, "not a campaign of guestdbg"),
    ):
        manifest.write_text(json.dumps(good | change))
        with pytest.raises(CampaignError, match=expected):
            Campaign(campaign.directory)
    manifest.write_text(json.dumps(good))
    job = campaign.directory / "files" / good["job"]
    job.write_bytes(job.read_bytes()[:-1])
    again = Campaign(campaign.directory)
    with pytest.raises(CampaignError, match="its digest is not its name"):
        again.run(workers=0)
    assert again.summary().done == 50  # the results can be read without it
    whole = campaign.directory / "results.parquet"
    whole.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(CampaignError, match=r"results\.parquet: the results in it cannot be read"):
        again.summary()


def test_reading_results_executes_nothing(tmp_path: Path) -> None:
    campaign = made(tmp_path / "c", 20)
    campaign.run(workers=0)
    forget(campaign.manifest.job)
    program = (
        "import sys, pickle\n"
        "def no(*a): raise AssertionError\n"
        "pickle.loads = pickle.load = no\n"
        "from guestdbg.campaign import Campaign\n"
        "c = Campaign(sys.argv[1]); print(c.summary()); print(len(c.table()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, campaign.directory],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert result.stdout.endswith("20\n")


# ---- full disks ------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_loses_nothing(
    small_disk: Path, serial: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_PART_ROWS", 1000)
    campaign = made(small_disk / "c")
    ballast = small_disk / "ballast"

    def fill(progress: Progress) -> None:
        if not ballast.exists():
            with ballast.open("wb") as file:
                free = os.statvfs(small_disk)
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)

    before = -1
    with pytest.raises(CampaignError, match="make room, and resume the campaign"):
        campaign.run(workers=0, on_progress=fill)
    done = campaign.summary().done
    assert before < done < CASES
    with pytest.raises(CampaignError, match="make room"):
        campaign.run(workers=0)
    assert campaign.summary().done >= done
    ballast.unlink()
    campaign.run(workers=0)
    assert contents(campaign) == contents(serial)


def test_a_journal_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, 4096) as journal:
        for number in range(5):
            journal.append([number])
        assert path.stat().st_size >= 4096
        assert list(read_lines(path)) == [[n] for n in range(5)]
    whole = path.read_bytes()
    assert whole.endswith(b"[4]\n")
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        lines = list(read_lines(path))
        assert lines == [[n] for n in range(end // 4)]
        with Journal(path, 64) as journal:
            journal.append([99])
        assert list(read_lines(path)) == [*lines, [99]]
    with Journal(path, 64) as journal:
        journal.clear()
        assert list(read_lines(path)) == []
        journal.append(["new"])
    assert list(read_lines(path)) == [["new"]]
