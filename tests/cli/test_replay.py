"""`run --save` and `replay`: the run of one process is played by another."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.guests import guestdbg
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = str(EXAMPLES / "queue.elf")


def test_a_run_is_saved_and_played(tmp_path: Path) -> None:
    path = tmp_path / "queue.guestrun"
    run = guestdbg("run", QUEUE, "--save", str(path), "--last-write", "queue.tail")
    assert run.returncode == 0
    assert f"-- saved: {path}" in run.stderr
    old = path.read_bytes()
    log = tmp_path / "log.jsonl"
    played = guestdbg(
        *("replay", str(path), "--watch", "queue.tail if new > 20", "--count", "3"),
        *("--log", str(log), "--last-write", "queue.tail"),
    )
    assert played.returncode == 0
    assert "stopped after 3 hits (--count)" in played.stderr
    hits = [json.loads(line) for line in log.read_text().splitlines()]
    assert [each["new"] for each in hits if each["event"] == "hit"] == [21, 22, 23]
    played = guestdbg("replay", str(path), "--last-write", "queue.tail")
    assert (played.returncode, played.stdout) == (0, run.stdout)
    assert run.stderr.split("-- last write")[1] == played.stderr.split("-- last write")[1]
    assert path.read_bytes() == old
    again = guestdbg("run", QUEUE, "--save", str(path))
    assert (again.returncode, "add --save-overwrite" in again.stderr) == (1, True)
    assert path.read_bytes() == old
    again = guestdbg(
        "run", QUEUE, "--save", str(path), "--save-overwrite", "--count", "1", "-b", "main"
    )
    assert (again.returncode, path.read_bytes() != old) == (0, True)
    alone = guestdbg("run", QUEUE, "--save-overwrite")
    assert (alone.returncode, "without --save" in alone.stderr) == (2, True)


def test_the_examples_of_its_help_work(tmp_path: Path) -> None:
    text = re.sub(r"\s*\\\n\s*", " ", guestdbg("replay", "--help").stdout.split("Examples:")[-1])
    lines = re.findall(r"^ {4}guestdbg (.*?)(?: {2}.*)?$", text, re.MULTILINE)
    assert lines
    for line in lines:
        if line.startswith("gdb "):
            continue  # it waits for a debugger
        words = shlex.split(line.replace("queue.guestrun", f"{tmp_path}/queue.guestrun"))
        assert guestdbg(*words).returncode == 0, line


def test_a_limit_ends_what_is_saved(tmp_path: Path) -> None:
    path = str(tmp_path / "part")
    run = guestdbg("run", QUEUE, "--save", path, "--max-instructions", "1000000")
    assert run.returncode == 124
    played = guestdbg("replay", path, "--last-write", "queue.tail")
    assert played.returncode == 0
    assert "the end of the recorded run is reached (" in played.stderr
    assert "1,000,000 instructions" in played.stderr
    assert played.stdout == run.stdout


def test_what_is_refused(tmp_path: Path) -> None:
    run = guestdbg("run", QUEUE, "--save", QUEUE)
    assert run.returncode == 1
    assert "this is" in run.stderr
    assert "which the command reads" in run.stderr
    for path, words in (
        (tmp_path / "none" / "run", "there is no directory"),
        (tmp_path, "is a directory"),
    ):
        run = guestdbg("run", QUEUE, "--save", str(path))
        assert run.returncode in (1, 2)
        assert words in run.stderr
        assert "queue: start" not in run.stdout
    replay = guestdbg("replay", QUEUE)
    assert replay.returncode == 1
    assert "no recorded run; guestdbg run --save" in replay.stderr
    (tmp_path / "cut").write_bytes(b"\x89guestdbg\r\n\x1a\nrun\1\0\0\0")
    replay = guestdbg("replay", str(tmp_path / "cut"))
    assert replay.returncode == 1
    assert "the recorded run is truncated: its end is missing" in replay.stderr
