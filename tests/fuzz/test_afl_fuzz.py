"""AFL++ itself, with the command lines that the documents show."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from .packets import MAGIC, PLAIN, packet_guest, packet_target

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "fuzzing.md").read_text()


def documented() -> list[str]:
    """The first command line of AFL++ in the document, in words."""
    found = re.search(r"^    (afl-fuzz (?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1].replace("\\\n", " "))


def afl_fuzz(
    directory: Path, seed: bytes, *more: str, after: tuple[str, ...] = (), executions: int
) -> dict[str, str]:
    """Run the documented command line in a directory that has IN; its statistics."""
    if shutil.which("afl-fuzz") is None:
        pytest.skip("no afl-fuzz: tools/setup-tests installs it")
    (directory / "IN").mkdir()
    (directory / "IN" / "seed").write_bytes(seed)
    (directory / "examples").symlink_to(ROOT / "examples")
    words = documented()
    place = words.index("guestdbg")
    # The same console script, that of this environment.
    words[place] = str(Path(sys.executable).with_name("guestdbg"))
    command = [words[0], *more, "-s", "1", "-E", str(executions), *words[1:], *after]
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ
        | {
            "AFL_NO_UI": "1",
            # What a container or a busy machine may lack; none of it is about the target.
            "AFL_SKIP_CPUFREQ": "1",
            "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
            "AFL_NO_AFFINITY": "1",
            "AFL_BENCH_UNTIL_CRASH": "1",
            "AFL_FORKSRV_INIT_TMOUT": "120000",
            "AFL_HANG_TMOUT": "500",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (directory / "OUT/default/fuzzer_stats").read_text().splitlines()
    return {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}


def saved(directory: Path, kind: str) -> list[Path]:
    return sorted((directory / "OUT/default" / kind).glob("id:*"))


def test_it_finds_the_planted_bug(tmp_path: Path) -> None:
    found = afl_fuzz(tmp_path, PLAIN, "-t", "5000", executions=200_000)
    assert found["stability"] == "100.00%", "the guest does the same with the same input"
    assert found["saved_crashes"] == "1", found
    assert int(found["corpus_found"]) > 5, "edges lead it"
    (crash,) = saved(tmp_path, "crashes")
    assert re.search(r",sig:(04|07|11),", crash.name)
    with packet_guest() as machine, packet_target(machine) as target:
        outcome = target.run(crash.read_bytes())
        assert outcome.kind == "crash"
        assert target.backtrace(outcome)[0].location.function == "option"


def test_it_keeps_hangs(tmp_path: Path) -> None:
    """A run ends at the limit; its child waits for AFL++, which counts a hang."""
    limit = 65  # more than the head of a packet takes
    more = ("--max-instructions", str(limit))
    found = afl_fuzz(tmp_path, MAGIC, "-t", "500", after=more, executions=1500)
    assert int(found["saved_hangs"]) > 0, found
    with packet_guest() as machine, packet_target(machine, max_instructions=limit) as target:
        kinds = [target.run(path.read_bytes()).kind for path in saved(tmp_path, "hangs")]
    assert "hang" in kinds


def test_the_replay_of_the_document(tmp_path: Path) -> None:
    """Its input is made, and its output is what is shown."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    make = re.search(r"^    (printf .* > crash)$", TEXT, re.MULTILINE)
    session = re.search(r"^\$ (guestdbg fuzz .*)\n((?:.+\n)*?)```$", TEXT, re.MULTILINE)
    assert make is not None
    assert session is not None
    subprocess.run(make[1], shell=True, cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(session[1])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == session[2]
