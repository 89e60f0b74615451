"""tools/fuzz.py: what fails is found, made small and saved; what dies takes nothing with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402
import fuzz_environment  # noqa: E402
import fuzz_failures  # noqa: E402
from fuzz_failures import Replay  # noqa: E402
from fuzz_job import FuzzJob, Seed, spans  # noqa: E402

#: In place of the kinds: case 7 fails if action 3 is among more than twelve; case 20 does only
#: after case 13, in one process; HOW is what it does.
BROKEN = """
import os, sys
from collections import Counter, namedtuple

Done = namedtuple("Done", "instructions did")
seen = set()

def run(kind, seed, actions, leave_out, tell):
    seen.add(seed)
    tell(f"as kind {kind}")
    if seed == 7 and actions > 12 and 3 not in leave_out:
        HOW
    if seed == 20 and 13 in seen:
        HOW
    return Done(1000, Counter({f"done {kind}": 1}))
"""


@pytest.fixture(params=["os.abort()", "os._exit(2)", "raise ValueError('wrong')"])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    (tmp_path / "fuzz_kinds.py").write_text(BROKEN.replace("HOW", request.param))
    monkeypatch.setattr(fuzz, "FOUND", tmp_path / "build" / "found")
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    return {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "tools")))}


def test_a_failing_case_is_made_small_and_saved(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = fuzz.run(environment, "cpu", 0, 12)
    assert found.failed == [Seed("cpu", 7)]
    assert (found.cases, found.failures) == (12, 1)
    assert found.instructions == 11_000
    assert found.did == {"done cpu": 11}
    failures = fuzz.fuzz(
        environment,
        ["cpu"],
        first=3,
        jobs=1,
        seconds=None,
        instructions=1,
        plain=True,
        resume=False,
    )
    assert failures
    text = (fuzz.FOUND / "cpu-7.txt").read_text()
    left_out = "0,1,2,4,5,6,7,8,9,10,11"
    assert f"--plain --replay cpu:7:13:{left_out}\n" in text
    assert "as kind cpu" in text
    out = capsys.readouterr().out
    assert "cases from seed 3 on, 1 at a time" in out
    assert "cpu 7 FAILS" in out
    assert f"{failures} failures" in out


def test_what_fails_only_after_others(environment: dict[str, str], tmp_path: Path) -> None:
    before = [Seed("cpu", n) for n in range(8, 20)]
    path = fuzz_failures.save(
        environment, Seed("cpu", 20), before, "it failed", tmp_path, plain=True
    )
    assert "tools/fuzz.py --plain --replay cpu:13 cpu:20\n" in path.read_text()
    path = fuzz_failures.save(
        environment, Seed("cpu", 21), before, "it failed", tmp_path, plain=True
    )
    assert "It does not fail again" in path.read_text()
    assert "it failed" in path.read_text()


def test_a_campaign_goes_on(tmp_path: Path) -> None:
    """Every case once, also if some were done before."""
    (tmp_path / "fuzz_kinds.py").write_text(BROKEN.replace("HOW", "raise ValueError"))
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "tools")))}
    job = FuzzJob({"cpu": 3, "soft": 2}, 100)
    directory = tmp_path / "build" / "campaign"
    campaign = fuzz.create_or_resume(directory, job, 5000, resume=False)
    first = fuzz.execute(environment, campaign, job, 1, until=lambda progress: True)
    assert 0 < first.cases < 5000
    campaign = fuzz.create_or_resume(directory, job, 5000, resume=True)
    found = fuzz.execute(environment, campaign, job, 1)
    assert found.of_kind == {"cpu": 3000, "soft": 2000}
    assert found.did == {"done cpu": 3000, "done soft": 2000}
    again = fuzz.create_or_resume(directory, job, 5000, resume=False)
    assert again.summary().done == 0


def test_kinds_take_turns() -> None:
    job = FuzzJob({"cpu": 3, "soft": 2}, 10)
    cases = [job.seed(number) for number in range(10)]
    assert spans(cases) == "cpu:10-12 soft:10-11 cpu:13-15 soft:12-13"
    assert list(Replay.of(spans(cases).split()).cases) == cases


@pytest.mark.parametrize(
    "text", ["cpu:5", "cpu:5:13", "cpu:5:13:0,2", "cpu:5-9", "cpu:5-9 soft:5", "soft:1 cpu:1"]
)
def test_a_replay_is_written_as_it_is_read(text: str) -> None:
    assert str(Replay.of(text.split())) == text


@pytest.mark.parametrize("text", ["", "cpu", "cpu:x", "cpu:1:2:x", "cpu:1-", "cpu:1:2 cpu:3"])
def test_what_is_no_replay(text: str) -> None:
    with pytest.raises(ValueError, match="must be KIND:SEED"):
        Replay.of(text.split(" "))


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = "def run(kind, seed, *_):\n    import time; time.sleep(1000)\n"
    (tmp_path / "fuzz_kinds.py").write_text(hanging)
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "tools")))}
    monkeypatch.setattr(fuzz_failures, "SECONDS", 1.0)
    found = fuzz.run(environment, "cpu", 3, 1)
    assert found.failed == [Seed("cpu", 3)]
    assert "a case has taken longer than 1 s" in found.output
    assert "took longer than" in fuzz_failures.play(environment, Replay.of(["cpu:3"])).failure


def test_the_kinds_are_those_that_there_are() -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
    import fuzz_kinds

    assert set(fuzz_kinds.KINDS) == set(fuzz.KINDS)


def test_real_cases_of_every_kind() -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
    pytest.importorskip("drgn", reason="drgn is not installed")
    words = [f"{kind}:1" for kind in fuzz.KINDS if kind != "simd"]
    played = fuzz_failures.play(fuzz_environment.plain(), Replay.of(words))
    assert not played.failure, played.output
    assert played.output.split("\n")[0] == "case cpu:1"
    assert "  0: " in played.output
    assert played.instructions > 1000
