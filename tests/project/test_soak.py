"""tools/soak.py: every case of a part once, failures saved and counted, figures at the end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402
import soak  # noqa: E402


class Fake:
    """In place of fuzz.run: notes the cases; those with the seeds ``fails`` fail."""

    def __init__(self, *fails: int) -> None:
        self.fails = fails
        self.seeds: list[int] = []
        self.saved: list[tuple[str, int, int]] = []

    def run(
        self, environment: Mapping[str, str], kind: str, first: int, count: int
    ) -> fuzz.Outcome:
        for seed in range(first, first + count):
            self.seeds.append(seed)
            if seed in self.fails:
                return fuzz.Outcome(seed - first, 0, seed, "it failed")
        return fuzz.Outcome(count, 0, None, "", Counter({"hits": count}))

    def save(self, part: str, outcome: fuzz.Outcome, at: int) -> None:
        assert outcome.failed is not None
        self.saved.append((part, outcome.failed, at))


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("count", [1, 99, 100, 101, 1234])
def test_every_case_once(jobs: int, count: int) -> None:
    fake = Fake()
    result = soak.campaign("files", 7, count, jobs, run=fake.run, save=fake.save)
    assert sorted(fake.seeds) == list(range(7, 7 + count))
    assert (result.cases, result.failed, result.did["hits"]) == (count, [], count)
    assert fake.saved == []


def test_after_a_failure_the_others_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    size = fuzz.BATCH["files"]
    fails = (0, 5, 6, size - 1, 2 * size)
    fake = Fake(*fails)
    (result,) = soak.soak(["files"], first=0, count=3 * size, jobs=2, run=fake.run, save=fake.save)
    assert sorted(fake.seeds) == list(range(3 * size))
    assert result.cases == 3 * size
    assert sorted(result.failed) == list(fails)
    assert sorted(seed for _, seed, _ in fake.saved) == list(fails)
    out = capsys.readouterr().out
    assert "seeds from 0 on, 2 at a time" in out
    assert "5 FAILURES" in out


def test_the_parts_are_kinds_and_their_counts_those_of_the_campaigns() -> None:
    assert set(soak.PARTS) == set(soak.COUNTS) & set(fuzz.KINDS)
    assert set(fuzz.KINDS) <= set(soak.COUNTS), "every kind is a part"
    assert set(fuzz.KINDS) == set(fuzz.BATCH)
    assert soak.COUNTS["files"] == 100_000


def test_real_cases(capsys: pytest.CaptureFixture[str]) -> None:
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
    "arguments", [["--part", "nothing"], ["--count", "0"], ["--jobs", "-1"], ["--count", "x"]]
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        soak.main(arguments)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err
