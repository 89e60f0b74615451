"""The demo finds the wrong write: what `make demo` runs, and the same with the library."""

import subprocess
import sys

import guestdbg
from tests.machine.guests import EXAMPLES, guest

SOURCE = EXAMPLES / "queue" / "stats.c"
WRONG_LINE = 1 + next(
    number
    for number, line in enumerate(SOURCE.read_text().splitlines())
    if "stats->worst = ticks" in line
)


def test_the_demo_names_function_line_values_and_callers() -> None:
    result = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    output = result.stdout
    assert "queue corrupt" in output, "the guest alone"
    assert "note_worst wrote queue.tail" in output
    assert f"stats.c:{WRONG_LINE}" in output
    assert "queue_push+0x54 (queue.c:17)  29 -> 30" in output, "the last write, from its past"
    assert f"note_worst+0xc (stats.c:{WRONG_LINE})  28 -> 932" in output, "the last wrong one"
    assert max(map(len, output.splitlines())) <= 80
    assert output.index("stats_record (") < output.index("job_finish (") < output.index("worker (")


def test_one_function_writes_the_tail_often_and_one_rarely() -> None:
    """Over the whole run: queue_push thousands of times, note_worst up to three times."""
    writers: dict[str | None, list[tuple[object, object]]] = {}
    with guestdbg.load(guest("queue"), console=None) as machine:

        @machine.watch("queue.tail", access="write")
        def wrote(hit: guestdbg.Hit) -> None:
            writers.setdefault(hit.location.function, []).append((hit.old, hit.new))

        assert machine.run(timeout=60).reason == "exit"
    assert set(writers) == {"queue_push", "note_worst"}
    assert len(writers["queue_push"]) == 20000
    assert 1 <= len(writers["note_worst"]) <= 3
    for old, new in writers["note_worst"]:
        assert isinstance(old, int)
        assert isinstance(new, int)
        assert old < 32 <= 900 <= new < 1000
    assert all(new == (old + 1) % 32 for old, new in writers["queue_push"])  # type: ignore[operator]


def test_the_first_wrong_write_comes_after_thousands_of_right_ones() -> None:
    with guestdbg.load(guest("queue"), console=None) as machine:
        size = machine["queue.size"].value_()
        point = machine.watch("queue.tail", access="write", when=lambda hit: hit.new >= size)
        stop = machine.run(timeout=60)
        assert stop.reason == "hit"
        assert stop.hit is not None
        assert stop.hit.location.function == "note_worst"
        assert stop.hit.location.line == WRONG_LINE
        assert point.seen == 6008
        assert [frame.location.function for frame in stop.hit.backtrace()] == [
            "note_worst",
            "stats_record",
            "job_finish",
            "worker",
            "main",
            "_start",
        ]
        assert machine["queue_push"].address_ == machine.symbol("queue_push").address
        assert machine["source_stats[0].budget"].value_() == 20
