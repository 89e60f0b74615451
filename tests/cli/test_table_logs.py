"""A log that is a table: the same hits as in JSON lines, and a file that can be read in the end."""

import csv
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from guestdbg.cli.running.hit_table import COLUMNS
from guestdbg.tables import ParquetWriter
from tests.cli.guests import GUESTDBG, ROOT, guestdbg, problem

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

QUEUE = "examples/queue.elf"
RUN = ("run", QUEUE, "--watch", "queue.tail", "--break", "job_finish", "--backtrace")


def rows(path: Path) -> list[dict]:
    found = duckdb.sql(f"select * from '{path}'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("plain", ["", "1"])
def test_the_three_kinds_of_logs_have_the_same_hits(tmp_path: Path, plain: str) -> None:
    for ending in ("jsonl", "parquet", "csv"):
        log = tmp_path / f"log.{ending}"
        result = guestdbg(*RUN, "--count", "40", "--log", str(log), GUESTDBG_PLAIN=plain)
        assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    hits = [event for event in events if event["event"] == "hit"]
    table = rows(tmp_path / "log.parquet")
    assert [column.name for column in COLUMNS] == list(table[0])
    assert len(table) == len(hits) == 40
    for row, hit in zip(table, hits, strict=True):
        for name in ("number", "point", "kind", "count", "vcpu", "instructions", "instruction"):
            assert row[name] == hit[name]
        for name in ("function", "offset", "file", "line"):
            assert row[name] == hit[name]
        assert row["pc"] == int(hit["pc"], 16)
        assert row["syndrome"] == int(hit["esr_el2"], 16)
        assert row["backtrace"].split(";")[::-1] == [f["function"] for f in hit["backtrace"]]
        if hit["kind"] == "watch":
            assert row["address"] == int(hit["address"], 16)
            for name in ("element", "access", "size", "old", "new"):
                assert row[name] == hit[name]
        else:
            assert row["address"] is row["old"] is row["access"] is None
    assert {hit["kind"] for hit in hits} == {"watch", "break"}
    with open(tmp_path / "log.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(int(line["pc"], 16), line["old"]) for line in lines] == [
        (row["pc"], "" if row["old"] is None else str(row["old"])) for row in table
    ]


def test_how_the_run_ended_is_kept_with_a_parquet_file(tmp_path: Path) -> None:
    import pyarrow.parquet

    log = tmp_path / "log.parquet"
    guestdbg(*RUN, "--count", "3", "--log", str(log))
    metadata = pyarrow.parquet.read_metadata(log).metadata
    (end,) = json.loads(metadata[b"guestdbg-events"])
    assert (end["event"], end["reason"], end["points"][0]["point"]) == (
        "end",
        "count",
        "job_finish",
    )


def test_a_run_without_hits_gives_an_empty_table(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    guestdbg("run", "examples/hello.elf", "--log", str(log))
    assert rows(log) == []


def test_a_csv_log_grows_and_a_parquet_log_does_not(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    for _ in range(2):
        guestdbg(*RUN, "--count", "2", "--log", str(log), "--log-append")
    assert [line["number"] for line in csv.DictReader(log.open(newline=""))] == ["1", "2"] * 2
    table = tmp_path / "log.parquet"
    guestdbg(*RUN, "--count", "2", "--log", str(table))
    before = table.read_bytes()
    assert "nothing can be added to a Parquet file" in problem(
        *RUN, "--log", str(table), "--log-append"
    )
    assert table.read_bytes() == before
    guestdbg(*RUN, "--count", "1", "--log", str(table), "--log-overwrite")
    assert len(rows(table)) == 1


def test_a_csv_log_can_be_a_stream() -> None:
    result = guestdbg(*RUN, "--count", "2", "--log", os.devnull)
    assert result.returncode == 0


def limited(most: int, log: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run that cannot write files of more than `most` bytes."""
    return subprocess.run(
        [*GUESTDBG, *RUN, "--count", "40", "--log", str(log), *options],
        preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def test_a_full_disk_ends_the_table_and_not_the_run(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    result = limited(ParquetWriter.room(len(COLUMNS)), log)
    assert result.returncode == 1
    assert f"the log ends here: {log}: File too large; the run goes on" in result.stderr
    assert "stopped after 40 hits" in result.stderr
    assert rows(log) == []


def test_a_disk_that_is_full_from_the_start_changes_no_file(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    assert f"{log}: File too large" in limited(100_000, log).stderr
    assert not log.exists()
    log.write_text("mine")
    result = limited(100_000, log, "--log-overwrite")
    assert (result.returncode, "File too large" in result.stderr) == (1, True)
    assert log.read_text() == "mine"


def test_a_run_that_is_interrupted_leaves_a_table(tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    child = subprocess.Popen(
        [
            *(*GUESTDBG, "run", "examples/smp.elf", "--watch", "counter"),
            *("--log", str(log), "--vcpus", "2"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stderr is not None
    seen = child.stderr.readline()
    assert "counter" in seen
    child.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 60
    child.communicate(timeout=deadline - time.monotonic())
    assert child.returncode == 130
    assert len(rows(log)) > 0


def test_a_table_without_its_library_is_refused_before_the_guest_runs(tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('broken')")
    log = tmp_path / "log.parquet"
    result = guestdbg(*RUN, "--log", str(log), PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "pyarrow" in result.stderr
    assert not log.exists()


def test_the_former_name_of_log_only() -> None:
    result = guestdbg(*RUN, "--count", "1", "--trace-only")
    assert json.loads(result.stdout.splitlines()[0])["event"] == "hit"
    assert "--trace-only is now called --log-only" in result.stderr
