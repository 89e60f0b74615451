"""Coverage on a page: what its file says; a file that is damaged or hostile is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.errors import GuestdbgError
from guestdbg.report import ExecutedLines, Hits, ReportError, Sources, page, read_coverage
from tests.cli.guests import EXAMPLES, problem
from tests.cli.guests import guestdbg as command
from tests.report.test_page import data

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coverage of the queue with counts."""
    path = tmp_path_factory.mktemp("coverage") / "queue.json"
    result = command(
        *("run", "examples/queue.elf", "--max-instructions", "400000"),
        *("--coverage", str(path), "--coverage-form", "counts"),
    )
    assert result.returncode == 124, result.stderr
    return path


def test_the_page_has_the_lines_and_functions_of_the_file(made: Path) -> None:
    document = json.loads(made.read_text())
    hits = Hits("queue.json")
    shown = data(page(hits, Sources([EXAMPLES]), coverage=read_coverage(made)))["coverage"]
    lines = {file: {str(n): count for n, count in counts} for file, _, counts, _ in shown["files"]}
    assert lines == document["lines"]
    assert shown["lines"] == sum(map(len, document["lines"].values()))
    assert shown["executedLines"] == sum(
        count > 0 for counts in document["lines"].values() for count in counts.values()
    )
    assert {name: count for name, count, *_ in shown["functions"]} == {
        each["name"]: each["count"] for each in document["functions"]
    }
    text = {file: dict(lines) for file, _, _, lines in shown["files"]}
    assert "q->items[q->tail] = job;" in text["queue/queue.c"][16]
    hidden = data(page(hits, coverage=read_coverage(made)))["coverage"]
    assert not any(text for *_, text in hidden["files"]), "no folder was given"
    assert data(page(hits))["coverage"] is None


def test_of_a_guest(tmp_path: Path) -> None:
    with guestdbg.load(EXAMPLES / "queue.elf", console=None, provider="soft") as guest:
        tail = guest.record("queue.tail")
        with guest.coverage(counts=True) as coverage:
            guest.run(max_instructions=400_000)
        result = coverage.result()
        shown = data(guest.report(tmp_path / "x.html", coverage=result, sources=(EXAMPLES,)))
        tail.delete()
        alone = data(guest.report(coverage=result))
    assert shown["total"] > 0 == alone["total"]
    assert shown["coverage"]["executedLines"] == sum(line.count > 0 for line in result.lines())
    assert alone["coverage"]["functions"] == shown["coverage"]["functions"]


def test_more_than_a_page_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.report.coverage_data.MOST_LINES", 30)
    lines = {f"{n}.c": dict.fromkeys(range(1, 11), n) for n in range(10)}
    shown = data(page(Hits("x"), coverage=ExecutedLines(True, False, lines)))["coverage"]
    assert len(shown["files"]) == 3
    assert (shown["moreFiles"], shown["lines"], shown["executedLines"]) == (7, 100, 90)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no coverage of guestdbg"),
        ({"version": 2}, "version 2 of the format"),
        ({"lines": []}, "not as expected"),
        ({"lines": {"a.c": {"x": 1}}}, "not as expected"),
        ({"lines": {"a.c": {"1": -1}}}, "is no count"),
        ({"lines": {"a.c": {"1": 1e400}}}, "is no count"),
        ({"functions": [1]}, "not as expected"),
        ({"functions": [{"name": 1}]}, "not as expected"),
        ({"complete": None, "form": None, "functions": None}, "not as expected"),
    ],
)
def test_a_file_that_is_none(
    made: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(made.read_text()) | changes))
    with pytest.raises(ReportError, match=message):
        read_coverage(other)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_file_is_an_error_or_a_page(made: Path, tmp_path: Path, data: Any) -> None:
    whole = bytearray(made.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(whole)
    try:
        page(Hits("x"), Sources([EXAMPLES]), coverage=read_coverage(damaged))
    except GuestdbgError as error:
        said = str(error)
    else:
        return
    assert str(damaged) in said


@pytest.mark.parametrize("name", ["</script><script>", "\udcff", "a\nb", "", "\0", "x" * 70000])
def test_names_do_no_harm(name: str, tmp_path: Path) -> None:
    coverage = ExecutedLines(True, True, {name: {1: 1 << 70}})
    text = page(Hits(name), Sources([tmp_path]), coverage=coverage)
    text.encode()
    assert text.count("<script") == text.count("</script>") == 2
    shown = data(text)["coverage"]["files"]
    assert shown == [[name, 1, [[1, str(1 << 70)]], []]]


def test_the_command(made: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    command("run", "examples/queue.elf", "-w", "queue.tail", "--count", "9", "--log", str(log))
    result = command("report", str(log), "--coverage", str(made))
    assert (result.returncode, result.stderr) == (
        *(0, f"{tmp_path}/run.html: 9 hits, 189 lines with code\n"),
    )
    assert data((tmp_path / "run.html").read_text())["coverage"]["counted"]
    assert "Give a LOG, --coverage FILE.json, or both" in command("report").stderr
    assert "give it as --coverage" in problem("report", str(made))
    assert "no coverage of guestdbg" in problem("report", "--coverage", str(log))
    assert "takes coverage as JSON" in problem("report", "--coverage", "x.info")
    assert "not a regular file" in problem("report", "--coverage", "/dev/zero")
    same = problem("report", "--coverage", str(made), "-o", str(made), "--overwrite")
    assert "which the command reads" in same
