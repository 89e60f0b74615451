"""`guestdbg run` with real guests: hits, log, console, limits, and how each run ends."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.guests import GUESTDBG, ROOT, guestdbg

QUEUE = "examples/queue.elf"


def summary(stderr: str) -> dict[str, tuple[int, int]]:
    """Point -> (hits, seen), of the table at the end."""
    rows = re.findall(
        r"^ +([\d,]+) +([\d,]+) +\w+ +[\d,]+  (?:watch|break) (.*)$", stderr, re.MULTILINE
    )
    return {
        point: (int(hits.replace(",", "")), int(seen.replace(",", "")))
        for hits, seen, point in rows
    }


def test_the_console_is_stdout_and_nothing_else() -> None:
    result = guestdbg("run", "examples/hello.elf")
    assert (result.returncode, result.stdout) == (0, "Hello from EL1\n")
    assert re.fullmatch(
        r"-- the guest powered off \(\d+\.\d\d s, \d+ instructions\)\n", result.stderr
    )


def test_the_parts_of_a_hit_line() -> None:
    result = guestdbg("run", QUEUE, "--watch", "queue.tail", "--count", "2", "--backtrace")
    assert result.returncode == 0
    assert result.stdout == "queue: start\n"
    lines = result.stderr.splitlines()
    assert re.fullmatch(
        r"#1 write queue\.tail  0 -> 1  in queue_push\+0x\w+ \(queue\.c:17\)  "
        r"pc 0x\w+: str w\d+, \[x\d+(, #\w+)?\]  4 bytes at 0x\w+",
        lines[0],
    )
    assert re.fullmatch(r"     called by submit \(main\.c:\d+\)  0x\w+", lines[1])
    assert any(line.startswith("     called by main (main.c:") for line in lines)
    assert any(re.match(r"#2 write queue\.tail  1 -> 2 ", line) for line in lines)
    assert "-- stopped after 2 hits (--count)" in result.stderr
    assert summary(result.stderr) == {"queue.tail": (2, 2)}


def test_the_past_is_asked_where_the_run_has_stopped(tmp_path: Path) -> None:
    asked = ("--last-write", "queue.tail", "--origin", "queue.tail", "--origin", "w3")
    log = tmp_path / "log.jsonl"
    result = guestdbg("run", QUEUE, *asked, "--max-instructions", "300000", "--log", str(log))
    assert result.returncode == 124, "a limit has its status all the same"
    lines = result.stderr.splitlines()
    assert any(line.startswith("-- last write of queue.tail: turn 0, ") for line in lines)
    assert any(re.match(r"-- origin of queue\.tail = \w+$", line) for line in lines)
    assert re.search(
        r"^queue\.tail = \w+ by str w1, \[x19, #4\] in queue_push", result.stderr, re.M
    )
    assert re.search(
        r"^it was computed by `msub w1, w2, w3, w1` at queue_push", result.stderr, re.M
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    origins = [event for event in events if event["event"] == "origin"]
    assert [event["of"] for event in origins] == ["queue.tail", "w3"]
    assert origins[0]["reason"] == "computed"
    assert origins[0]["steps"][0]["target"] == "queue.tail"
    assert origins[0]["steps"][0]["instructions"] <= 300_000
    refused = guestdbg("run", QUEUE, "--origin", "queue.tial")
    assert refused.returncode == 1
    assert "no member of struct queue named 'tial'" in refused.stderr
    assert "queue: start" not in refused.stdout


def test_a_condition_on_the_command_line_finds_the_wrong_write() -> None:
    """The search of the demo, without Python."""
    what = "queue.tail if new != (old + 1) % queue.size"
    result = guestdbg("run", QUEUE, "--watch", what, "--count", "1", "--backtrace")
    assert result.returncode == 0
    assert re.search(r"^#1 write queue\.tail  23 -> 979  in note_worst", result.stderr)
    assert "called by stats_record (stats.c:" in result.stderr
    hits, seen = summary(result.stderr)[what]
    assert hits == 1
    assert seen > 5000


CONDITIONS = [
    # Conditions that hit programs can evaluate, and others: the result is the same.
    ("--watch", "queue.tail:rw if new == 7 and count % 2 == 0", "--count", "9"),
    (
        "--watch",
        "queue.tail if new >= queue.size",
        "--watch",
        "queue.head if x0 == 5",
        "--count",
        "4",
    ),
    ("--watch", "queue.tail if count == 707", "--break", "queue_push if x0 != 0 and count > 699")
    + ("--count", "9"),
    ("--watch", "queue.tail if new == 1 << 40", "--max-instructions", "200000"),
    ("--watch", "queue.tail if line == 15", "--watch", "queue.tail if new == 3", "--count", "20"),
]


@pytest.mark.parametrize("arguments", CONDITIONS, ids=lambda arguments: str(arguments[1]))
def test_conditions_evaluated_by_the_provider_give_the_same_result(
    arguments: tuple[str, ...],
) -> None:
    """The log, the counts of the summary and the status, with hit programs and without."""
    found = []
    for plain in ("", "1"):
        result = guestdbg(
            *("run", QUEUE, *arguments, "--backtrace", "--log-only"), GUESTDBG_PLAIN=plain
        )
        events = [json.loads(line) for line in result.stdout.splitlines()]
        hits, end = events[:-1], events[-1]
        assert summary(result.stderr) == {p["point"]: (p["hits"], p["seen"]) for p in end["points"]}
        for point in end["points"]:
            counts = [hit["count"] for hit in hits if hit["point"] == point["point"]]
            assert counts == list(range(1, point["hits"] + 1))
        assert max(point["seen"] for point in end["points"]) > len(hits)
        del end["seconds"]
        found.append((result.returncode, hits, end))
    assert found[0] == found[1]


def test_breakpoints_and_watches_of_every_kind_in_one_run(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    result = guestdbg(
        *("run", QUEUE, "--break", "job_finish", "--break", "queue.c:25", "--break", "main+4"),
        *("--watch", "queue.tail:rw", "--watch", "queue.head:r", "--count", "200"),
        *("--log", str(log), "--log-only"),
    )
    assert result.returncode == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    hits, end = events[:-1], events[-1]
    assert [hit["number"] for hit in hits] == list(range(1, 201))
    assert {hit["event"] for hit in hits} == {"hit"}
    by_point: dict[str, list[dict[str, object]]] = {}
    for hit in hits:
        by_point.setdefault(str(hit["point"]), []).append(hit)
    for point, found in by_point.items():
        assert [hit["count"] for hit in found] == list(range(1, len(found) + 1)), point
    assert {hit["function"] for hit in by_point["job_finish"]} == {"job_finish"}
    assert all((hit["offset"], hit["kind"]) == (0, "break") for hit in by_point["job_finish"])
    assert all(
        (hit["line"], hit["function"]) == (25, "queue_pop") for hit in by_point["queue.c:25"]
    )
    assert len(by_point["main+4"]) == 1
    for hit in by_point["queue.tail:rw"]:
        assert str(hit["instruction"])[:2] == {"read": "ld", "write": "st"}[str(hit["access"])]
    assert {hit["access"] for hit in by_point["queue.tail:rw"]} == {"read", "write"}
    assert {hit["access"] for hit in by_point["queue.head:r"]} == {"read"}
    # The values are consistent: the old value of each access is the value of the last write.
    value = 0
    for hit in by_point["queue.tail:rw"]:
        assert hit["old"] == value
        if hit["access"] == "write":
            value = int(str(hit["new"]))
            assert value == (int(str(hit["old"])) + 1) % 32
    assert end["event"] == "end"
    assert (end["reason"], end["status"]) == ("count", 0)
    assert {p["point"]: p["hits"] for p in end["points"]} == {
        point: len(found) for point, found in by_point.items()
    }
    assert summary(result.stderr) == {p["point"]: (p["hits"], p["seen"]) for p in end["points"]}


def test_tracing_only_leaves_nothing_but_the_trace_on_stdout() -> None:
    result = guestdbg("run", QUEUE, "--watch", "queue.tail", "--log-only", "--count", "5")
    events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
    assert events == ["hit"] * 5 + ["end"]
    assert "#1" not in result.stderr


def test_the_log_carries_the_backtrace() -> None:
    result = guestdbg(
        *("run", QUEUE, "--break", "note_worst", "--log-only", "--count", "1", "--backtrace")
    )
    frames = json.loads(result.stdout.splitlines()[0])["backtrace"]
    functions = [frame["function"] for frame in frames]
    assert functions[:3] == ["note_worst", "stats_record", "job_finish"]
    assert functions[-2:] == ["main", "_start"]


def test_addresses_lengths_and_wide_watches(tmp_path: Path) -> None:
    """An address with a length watches just those bytes, and a whole structure is one watch."""
    log = tmp_path / "log.jsonl"
    whole = guestdbg(
        "run",
        QUEUE,
        "-w",
        "queue",
        "--overwatch",
        "512",
        "--count",
        "9",
        "--log-only",
        "--log",
        str(log),
    )
    assert whole.returncode == 0, whole.stderr
    first = json.loads(log.read_text().splitlines()[0])
    bytes_only = guestdbg(
        *("run", QUEUE, "-w", f"{first['address']},{first['size']}:w", "--log-only"),
        *("--count", "1"),
    )
    again = json.loads(bytes_only.stdout.splitlines()[0])
    assert (again["pc"], again["new"]) == (first["pc"], first["new"])


def test_a_timeout_ends_with_124_and_says_where() -> None:
    result = guestdbg("run", "examples/spin.elf", "--timeout", "0.3")
    assert result.returncode == 124
    assert "the guest did not end within 0.3 s (--timeout)" in result.stderr
    assert re.search(r"it was at main(\+0x\w+)? \(spin\.c:\d+\)", result.stderr)


@pytest.mark.parametrize("limit", [1, 1000, 1_234_567])
def test_a_limit_of_instructions_is_exact(limit: int) -> None:
    result = guestdbg("run", "examples/loop-endless.elf", "--max-instructions", str(limit))
    assert result.returncode == 124
    assert f"{limit:,} instructions" in result.stderr.split("(")[-1] or re.search(
        rf"\(\d+\.\d\d s, {limit:,} instructions", result.stderr
    )


def test_a_flooded_console_ends_at_the_limit_and_loses_nothing() -> None:
    result = guestdbg("run", "examples/flood.elf", "--max-instructions", "300000")
    assert result.returncode == 124
    lines = result.stdout.splitlines()
    assert len(lines) > 100
    assert lines[:-1] == [f"flood: line {n}" for n in range(len(lines) - 1)]


def test_until_a_text_on_the_console() -> None:
    result = guestdbg("run", "examples/flood.elf", "--until", "line 20\\n", "--timeout", "60")
    assert result.returncode == 0
    assert "flood: line 20\n" in result.stdout
    assert "the guest printed 'line 20\\n'" in result.stderr


def test_a_lost_guest_ends_by_itself_and_is_explained() -> None:
    result = guestdbg("run", "examples/lost.elf")
    assert result.returncode == 1
    assert "cannot go on" in result.stderr
    assert "Traceback" not in result.stderr


def test_more_breakpoints_than_registers_become_software_ones_and_that_is_said() -> None:
    places = [f"job_finish+{4 * n}" for n in range(8)]
    result = guestdbg("run", QUEUE, *(x for p in places for x in ("-b", p)), "--count", "8")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("is a software breakpoint (BRK)") >= 1
    assert summary(result.stderr) == dict.fromkeys(places, (1, 1))


def test_the_same_point_twice_is_two_points_and_the_limit_holds() -> None:
    """Both are hit by one instruction; what is beyond --count is neither shown nor logged."""
    both = guestdbg("run", "examples/hello.elf", "-b", "main", "-b", "main", "--log-only")
    events = [json.loads(line) for line in both.stdout.splitlines()]
    assert [event["event"] for event in events] == ["hit", "hit", "end"]
    assert [point["hits"] for point in events[-1]["points"]] == [1, 1]
    one = guestdbg(
        *("run", "examples/hello.elf", "-b", "main", "-b", "main", "--count", "1", "--log-only")
    )
    assert [json.loads(line)["event"] for line in one.stdout.splitlines()] == ["hit", "end"]


def test_hits_are_in_the_log_when_they_happen(tmp_path: Path) -> None:
    """For `tail -f`: a run that is killed leaves what it found."""
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen(
        [*GUESTDBG, "run", "examples/loop-endless.elf", "-b", "_start", "--log", str(log)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert json.loads(log.read_text())["function"] == "_start"


def test_what_is_piped_in_does_not_hurt_a_guest_that_reads_nothing() -> None:
    assert guestdbg("run", "examples/hello.elf", stdin=b"x" * 100_000).returncode == 0
