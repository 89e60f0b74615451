"""tools/soak.py: every case of a part once, failures saved and counted, figures at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402
import soak  # noqa: E402

#: In place of the kinds: some cases fail, and one ends the process.
KINDS = """
import os
from collections import Counter, namedtuple

Done = namedtuple("Done", "instructions did")

def run(kind, seed, actions, leave_out, tell):
    if seed in (7, 12, 13, 300):
        raise ValueError("it failed")
    if seed == 200:
        os.abort()
    return Done(10, Counter({"hits": 1}))
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "fuzz_kinds.py").write_text(KINDS)
    monkeypatch.setattr(soak, "CAMPAIGNS", tmp_path / "build" / "soak")
    monkeypatch.setattr(fuzz, "FOUND", tmp_path / "build" / "fuzz")
    return {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "tools")))}


@pytest.mark.parametrize(("jobs", "count"), [(1, 1), (2, 1234)])
def test_every_case_once(
    jobs: int, count: int, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = soak.soak(["files"], first=1000, count=count, jobs=jobs, environment=environment)
    assert (result.cases, result.failed, result.did) == (count, [], {"hits": count})
    assert f"seeds from 1000 on, {jobs} at a time" in capsys.readouterr().out
    assert list(fuzz.FOUND.glob("*")) == []
    (again,) = soak.soak(
        ["files"], first=1000, count=count, jobs=jobs, environment=environment, resume=True
    )
    assert (again.cases, again.did) == (result.cases, result.did)


def test_after_a_failure_the_others_are_done(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = soak.soak(["files"], first=5, count=400, jobs=2, environment=environment)
    assert result.cases == 400
    assert result.failed == [7, 12, 13, 200, 300]
    assert result.did == {"hits": 395}
    saved = {path.name for path in fuzz.FOUND.glob("*.txt")}
    assert saved == {"files-7.txt", "files-200.txt"}, "one for each cause"
    out = capsys.readouterr().out
    assert "5 FAILURES: 7, 12, 13, 200, 300" in out
    assert "python tools/fuzz.py --plain --replay files:200" in out


def test_the_parts_are_kinds_and_their_counts_those_of_the_campaigns() -> None:
    assert set(soak.PARTS) == set(soak.COUNTS) & set(fuzz.KINDS)
    assert set(fuzz.KINDS) <= set(soak.COUNTS), "every kind is a part"
    assert soak.COUNTS["files"] == 100_000


def test_real_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "CAMPAIGNS", tmp_path)
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
    arguments = ["--part", "files", "--part", "framing", "--count", "2", "--seed", "3"]
    assert soak.main([*arguments, "--jobs", "1"]) == 0
    out = capsys.readouterr().out.partition("summary")[2]
    assert "files: 2 of 2 cases, seeds 3 to 4" in out
    assert "framing: 2 of 2 cases" in out
    assert "no failures" in out
    assert "load: " in out


def test_a_failure_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = soak.Result("files", 1, 10, 10, 2.0, [4])
    monkeypatch.setattr(soak, "soak", lambda parts, **options: [result])
    assert soak.main(["--part", "files"]) == 1
    assert "10 of 10 cases, seeds 1 to 10, 2 s (5.0 a second), 1 FAILURES: 4" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "arguments",
    [["--part", "nothing"], ["--count", "0"], ["--jobs", "-1"], ["--count", "x"], ["--resume"]],
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        soak.main(arguments)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err
