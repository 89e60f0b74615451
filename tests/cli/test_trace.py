"""`guestdbg run --trace`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.guests import EXAMPLES, GUESTDBG, ROOT, guestdbg, problem
from tests.trace.timelines import Track, read

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = str(EXAMPLES / "queue.elf")
RUN = ("run", QUEUE, "--provider", "soft")


def called(track: Track) -> dict[str, int]:
    """How often each function was called."""
    found: dict[str, int] = {}
    for name, *_ in track.slices:
        found[name] = found.get(name, 0) + 1
    return found


@pytest.mark.parametrize("ending", [".pftrace", ".json"])
def test_a_run_as_a_timeline(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"q{ending}"
    coverage = tmp_path / "q.info"
    options = ("--trace", str(path), "--coverage", str(coverage), "--coverage-form", "counts")
    result = guestdbg(*RUN, *options, "--break", "job_finish", "--count", "5")
    assert f"-- trace: {path}" in result.stderr.splitlines()
    tracks = read(path)
    # Coverage counts the calls of a function in another way.
    counts = {
        line.split(",")[1]: int(line[5:].split(",")[0])
        for line in coverage.read_text().splitlines()
        if line.startswith("FNDA:")
    }
    calls = called(tracks["vCPU 0"])
    assert calls.pop("job_finish") == 1 + counts["job_finish"], "it was left at its breakpoint"
    assert {name: counts[name] for name in calls} == calls
    assert {"queue_push", "queue_pop", "worker"} <= calls.keys()
    hits = tracks["hits"].instants
    assert [int(details["count"]) for _, _, details in hits] == [1, 2, 3, 4, 5]
    assert {name for name, _, _ in hits} == {"job_finish"}
    assert tracks["console"].instants


def test_lines_of_json_with_arguments(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    options = ("--trace-what", "calls", "--trace-from", "worker", "--trace-arguments")
    result = guestdbg(*RUN, "--trace", str(path), *options, "--trace-to", "60000")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["guest"] == "queue.elf"
    assert {line["event"] for line in lines[1:]} == {"call", "return"}
    assert all(line["time"] <= 60_000 for line in lines[1:])
    pushes = [line for line in lines if line.get("to_function") == "queue_push"]
    assert pushes
    assert all(line["arguments"] for line in pushes if line["event"] == "call")


def test_a_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text("old")
    assert "the file exists; add --trace-overwrite" in problem(*RUN, "--trace", str(path))
    assert path.read_text() == "old"
    # A place that does not exist empties nothing.
    options = ("--trace", str(path), "--trace-overwrite", "--trace-from", "nowhere")
    assert "nowhere" in problem(*RUN, *options)
    assert path.read_text() == "old"
    assert guestdbg(*RUN, "--trace", str(path), "--trace-overwrite").returncode == 0
    read(path)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--trace", "q.txt"), ".pftrace or .perfetto-trace (Perfetto), .json"),
        (("--trace", "nowhere/q.json"), "nowhere/q.json"),
    ],
)
def test_what_is_wrong_is_said_before_the_run(
    tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    options = (options[0], str(tmp_path / options[1]))
    assert why in problem(*RUN, *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--trace", "q.json", "--trace-what", "calls,sounds"), "'sounds': must be of calls, "),
        (("--trace-what", "calls"), "--trace-what without --trace"),
        (("--trace-from", "main"), "--trace-from without --trace"),
        (("--trace-to", "main"), "--trace-to without --trace"),
        (("--trace-arguments",), "--trace-arguments without --trace"),
        (("--trace-overwrite",), "--trace-overwrite without --trace"),
    ],
)
def test_options_that_mean_nothing(options: tuple[str, ...], why: str) -> None:
    result = guestdbg(*RUN, *options)
    assert result.returncode == 2
    assert why in result.stderr


def test_the_guest_is_no_place_for_its_trace(tmp_path: Path) -> None:
    path = tmp_path / "guest.json"
    path.write_bytes(Path(QUEUE).read_bytes())
    options = ("--trace", str(path), "--trace-overwrite")
    assert "which the command reads" in problem("run", str(path), *options)
    assert path.read_bytes() == Path(QUEUE).read_bytes()


@pytest.mark.parametrize("ending", [".pftrace", ".json", ".jsonl"])
def test_ctrl_c_leaves_a_complete_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    process = subprocess.Popen(
        [*GUESTDBG, *RUN, "--trace", str(path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while not (path.exists() and path.stat().st_size > 10_000):
            if process.poll() is not None:
                break
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert f"-- trace: {path}" in errors
    if ending == ".jsonl":
        assert [json.loads(line) for line in path.read_text().splitlines()]
    else:
        read(path)


def test_a_full_disk_ends_the_trace_and_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "q.pftrace"
    command = f"ulimit -f 8; exec {shlex.join([*GUESTDBG, *RUN, '--trace', str(path)])}"
    result = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 1, result.stderr
    assert "File too large" in result.stderr
    assert "8,594,841 instructions" in result.stderr, "the guest has come to its end"
    from tests.trace.timelines import read_perfetto

    assert read_perfetto(path.read_bytes())["vCPU 0"].slices


def test_every_instruction_and_what_becomes_of_it(tmp_path: Path) -> None:
    path, text = tmp_path / "q.gdtrace", tmp_path / "q.tarmac"
    options = ("--trace", str(path), "--trace-from", "worker", "--trace-to", "3000")
    result = guestdbg(*RUN, *options)
    assert f"-- trace: {path}" in result.stderr.splitlines()
    assert guestdbg("trace", str(path), "-o", str(text)).returncode == 0
    times = [int(line.split()[0]) for line in text.read_text().splitlines() if " IT " in line]
    assert times == [*range(times[0], 3001)]
    # The same instructions are in the trace of calls, at the same times.
    calls = tmp_path / "q.jsonl"
    options = ("--trace", str(calls), "--trace-from", "worker", "--trace-to", "3000")
    assert guestdbg(*RUN, *options, "--trace-what", "calls").returncode == 0
    found = [json.loads(line) for line in calls.read_text().splitlines()[1:]]
    at = {
        (int(line.split()[0]), int(line.split()[5], 16))
        for line in text.read_text().splitlines()
        if " IT " in line
    }
    assert {(each["time"], int(each["from"], 16)) for each in found} <= at


def test_a_trace_of_instructions_has_no_choice_of_events(tmp_path: Path) -> None:
    for option in (("--trace-what", "calls"), ("--trace-arguments",)):
        result = guestdbg(*RUN, "--trace", str(tmp_path / "q.gdtrace"), *option)
        assert result.returncode == 2
        assert "a .gdtrace file has every instruction" in result.stderr
    assert list(tmp_path.iterdir()) == []
