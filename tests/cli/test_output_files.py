"""Files that a command writes: none is lost, and none is created by a command that fails."""

import errno
import json
import os
from pathlib import Path

import pytest

from guestdbg.cli.output_file import OutputFile, OutputFileError
from tests.cli.guests import EXAMPLES, ROOT, guestdbg, problem

QUEUE = "examples/queue.elf"
RUN = ("run", QUEUE, "--watch", "queue.tail", "--count", "2")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--watch", "queue.tial"),
        ("--break", "nowhere.c:1"),
        ("--watch", "queue.tail if new > quue"),
        ("--memory", "plenty"),
        ("--symbols", "README.md"),
        ("--answer", "x", "\\q"),
    ],
    ids=" ".join,
)
def test_a_command_that_fails_changes_no_file(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text("kept\n")
    assert guestdbg("run", QUEUE, *wrong, "--log", str(old), "--log-overwrite").returncode in (1, 2)
    assert old.read_text() == "kept\n"
    assert guestdbg("run", QUEUE, *wrong, "--log", str(new)).returncode in (1, 2)
    assert not new.exists()


def test_an_existing_file_is_refused_unless_it_is_to_be_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("kept\n")
    text = problem(*RUN, "--log", str(log))
    assert "the file exists; add --log-append" in text
    assert "--log-overwrite" in text
    assert log.read_text() == "kept\n"
    assert guestdbg(*RUN, "--log", str(log), "--log-append").returncode == 0
    first, *lines = log.read_text().splitlines()
    assert first == "kept"
    assert [json.loads(line)["event"] for line in lines] == ["hit", "hit", "end"]
    assert guestdbg(*RUN, "--log", str(log), "--log-overwrite").returncode == 0
    assert len(log.read_text().splitlines()) == 3


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
@pytest.mark.parametrize("flags", [(), ("--log-overwrite",)])
def test_the_guest_is_never_written(tmp_path: Path, link: str, flags: tuple[str, ...]) -> None:
    guest, log = tmp_path / "guest.elf", tmp_path / "log.jsonl"
    contents = (EXAMPLES / "queue.elf").read_bytes()
    guest.write_bytes(contents)
    if link == "symbolic":
        log.symlink_to(guest)
    elif link == "hard":
        log.hardlink_to(guest)
    else:
        log = guest
    assert "which the command reads" in problem("run", str(guest), "--log", str(log), *flags)
    assert guest.read_bytes() == contents


def test_the_file_with_the_symbols_is_never_written(tmp_path: Path) -> None:
    symbols = tmp_path / "symbols.elf"
    contents = (EXAMPLES / "queue.elf").read_bytes()
    symbols.write_bytes(contents)
    arguments = ("--symbols", str(symbols), "--log", str(symbols), "--log-overwrite")
    assert "which the command reads" in problem("run", QUEUE, *arguments)
    assert symbols.read_bytes() == contents


def test_two_ways_to_write_and_none_to_write_to() -> None:
    both = guestdbg(*RUN, "--log", "x", "--log-append", "--log-overwrite")
    assert (both.returncode, "give one of them" in both.stderr) == (2, True)
    alone = guestdbg(*RUN, "--log-append")
    assert (alone.returncode, "without --log" in alone.stderr) == (2, True)


def test_devices_and_open_streams_are_no_files_that_could_be_lost() -> None:
    assert guestdbg(*RUN, "--log", "/dev/null").returncode == 0
    result = guestdbg(*RUN, "--log", "/dev/stdout")
    assert '{"event": "hit"' in result.stdout
    assert '{"event": "hit"' in guestdbg(*RUN, "--log", "/dev/stderr").stderr


def test_a_full_disk_ends_the_log_and_not_the_run() -> None:
    result = guestdbg(*RUN, "--log", "/dev/full")
    assert result.returncode == 1
    assert "the log ends here: /dev/full: No space left on device" in result.stderr
    assert "#2 write queue.tail" in result.stderr
    assert "-- stopped after 2 hits" in result.stderr
    alone = problem(*RUN, "--log", "/dev/full", "--log-only")
    assert "/dev/full: No space left on device" in alone


def test_a_log_keeps_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log.jsonl"
    write = os.write

    def nearly_full(fd: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[:20])

    with OutputFile(log, "--log") as file:
        file.begin()
        file.line("whole")
        monkeypatch.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="No space left"):
            file.line("x" * 30)
    assert log.read_text() == "whole\n"


def test_a_name_with_a_nul_character(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="--log"):
        OutputFile(Path(f"{tmp_path}/a\0b"), "--log")


def test_a_log_where_stdout_goes(tmp_path: Path) -> None:
    import subprocess

    from tests.cli.guests import GUESTDBG

    log = tmp_path / "both"
    with log.open("wb") as stdout:
        result = subprocess.run(
            [*GUESTDBG, *RUN, "--log", str(log), "--log-append"],
            cwd=ROOT,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert b"stdout goes there, too" in result.stderr
