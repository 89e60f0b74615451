"""A page has what the log has; a log that is damaged or hostile is named, and does no harm."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guestdbg
from guestdbg.errors import GuestdbgError
from guestdbg.report import MOST_HITS, Hits, ReportError, Sources, page, read_log
from guestdbg.report.hits import HitRow
from tests.cli.guests import EXAMPLES, problem
from tests.cli.guests import guestdbg as command

RUN = ("run", "examples/queue.elf", "-w", "queue.tail", "-b", "job_finish", "--backtrace")


def data(text: str) -> dict[str, Any]:
    """What a page has for its script."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def column(shown: dict[str, Any], name: str) -> list[Any]:
    return [None if n is None else shown["texts"][n] for n in shown["hits"].get(name, [])]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    endings = ["jsonl"]
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        pass
    else:
        endings.append("parquet")
    for ending in endings:
        result = command(*RUN, "--count", "60", "--log", str(folder / f"run.{ending}"))
        assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_the_page_has_the_hits_of_the_log(logs: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    lines = (logs / "run.jsonl").read_text().splitlines()
    hits = [event for event in map(json.loads, lines) if event["event"] == "hit"]
    shown = data(page(read_log(logs / f"run.{ending}")))
    assert shown["total"] == len(hits) == 60
    assert shown["end"]["text"] == "stopped after 60 hits (--count)"
    assert shown["hits"]["time"] == [hit["instructions"] for hit in hits]
    assert column(shown, "function") == [hit["function"] for hit in hits]
    assert column(shown, "pc") == [hit["pc"] for hit in hits]
    assert shown["hits"]["new"] == [hit.get("new") for hit in hits]
    backtraces = [json.loads(text) for text in column(shown, "backtrace")]
    assert [[shown["texts"][frame[0]] for frame in frames] for frames in backtraces] == [
        [frame["function"] for frame in hit["backtrace"]] for hit in hits
    ]
    assert {place[0]: place[-1] for place in shown["places"]} == {
        name: sum(hit["function"] == name for hit in hits) for name in ("queue_push", "job_finish")
    }


def test_source_lines_are_read_below_the_given_folders_only(logs: Path, tmp_path: Path) -> None:
    hits = read_log(logs / "run.jsonl")
    lines = {file: dict(text) for file, _, text in data(page(hits, Sources([EXAMPLES])))["sources"]}
    assert "q->tail" in lines["queue/queue.c"][17]
    assert not any(text for *_, text in data(page(hits))["sources"])
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.c").write_text("secret\n" * 20)
    (tmp_path / "inside" / "link.c").symlink_to(tmp_path / "secret.c")
    for name in ("../secret.c", str(tmp_path / "secret.c"), "link.c", "x\0y.c", "", "/", "."):
        assert Sources([tmp_path / "inside"]).lines(name, [1]) == []
    assert Sources([tmp_path]).lines("/build/secret.c", [1])[0] == (1, "secret")


def test_a_report_of_recordings(tmp_path: Path) -> None:
    with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
        with pytest.raises(ReportError, match=r"guest\.record"):
            guest.report()
        tail = guest.record("queue.tail", limit=100)
        head = guest.record("queue.head")
        guest.run()
        text = guest.report(tmp_path / "report.html", sources=(EXAMPLES,))
        with pytest.raises(FileExistsError):
            guest.report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == text
    shown = data(text)
    assert shown["title"] == "queue.elf"
    assert shown["total"] == len(tail) + len(head)
    assert shown["hits"]["time"] == sorted(shown["hits"]["time"])
    assert set(column(shown, "function")) == {"queue_push", "queue_pop"}


_HOSTILE = st.text() | st.sampled_from(
    ["</script><script>alert(1)</script>", "<!--", "{{DATA}}", "{{SCRIPT}}", "\u2028", "&lt;", '"']
)


@given(_HOSTILE, st.lists(_HOSTILE, max_size=3))
def test_text_of_the_guest_is_data_only(title: str, names: list[str]) -> None:
    hits = Hits(title)
    for number, name in enumerate(names):
        hits.add(HitRow(number, name, "break", 0, None, 0, function=name, file=name, line=1))
    hits.events.append({"event": "end", "text": title, "points": [{"point": title}]})
    text = page(hits)
    shown = data(text)
    assert shown["title"] == title
    assert column(shown, "function") == names
    assert text.count("<script") == text.count("</script>") == 2
    assert text.count("<!--") == 0


def test_more_hits_than_a_page_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.report.hits.MOST_HITS", 10)
    hits = Hits("many")
    for number in range(25):
        hits.add(HitRow(number, "p", "break", 0, number, 0, function="f"))
    shown = data(page(hits))
    assert (shown["total"], len(shown["hits"]["number"])) == (25, 10)
    assert shown["places"][0][-1] == 25
    assert MOST_HITS >= 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "line 1 is no event of a log"),
        (b"hello", "line 1 is no event of a log"),
        (b'{"a": 1}\n', "line 1 is no event of a log"),
        (b"[" * 100_000 + b"\n", "line 1 is no event of a log"),
        (b'{"event": "hit"}\n', "line 1: a hit is not as expected"),
        (b'{"event": "end"}\n{"event": "hit", "number": "x"}\n', "line 2: a hit is not"),
        (b"\xff\xfe\n", "line 1 is no event of a log"),
        (b"x" * (5 << 20), "longer than any of a log"),
    ],
)
def test_a_log_that_is_none(tmp_path: Path, text: bytes, message: str) -> None:
    log = tmp_path / "run.jsonl"
    log.write_bytes(text)
    with pytest.raises(ReportError, match=message):
        read_log(log)


def test_a_log_that_was_cut(logs: Path, tmp_path: Path) -> None:
    whole = (logs / "run.jsonl").read_bytes()
    cut = tmp_path / "run.jsonl"
    cut.write_bytes(whole[: whole.index(b"\n", 5000) + 100])
    shown = data(page(read_log(cut)))
    assert "in the middle of line" in shown["incomplete"]
    assert shown["total"] == whole[:5000].count(b"\n") + 1


def test_a_parquet_file_that_is_no_log(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet

    other = tmp_path / "other.parquet"
    pyarrow.parquet.write_table(arrow.table({"a": [1]}), other)
    with pytest.raises(ReportError, match="no log of hits: it has no column"):
        read_log(other)
    other.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    with pytest.raises(ReportError, match="cannot be read as Parquet"):
        read_log(other)


@given(st.data())
def test_a_damaged_log_is_an_error_or_a_page(logs: Path, tmp_path_factory: Any, data: Any) -> None:
    whole = bytearray((logs / "run.jsonl").read_bytes()[:3000])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    log = tmp_path_factory.mktemp("damaged") / "run.jsonl"
    log.write_bytes(whole)
    try:
        page(read_log(log))
    except GuestdbgError as error:
        said = str(error)
    else:
        return
    assert str(log) in said


def test_the_command(logs: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    log.write_bytes((logs / "run.jsonl").read_bytes())
    result = command("report", str(log), "--title", "A run")
    assert (result.returncode, "run.html: 60 hits" in result.stderr) == (0, True)
    made = (tmp_path / "run.html").read_text()
    assert data(made)["title"] == "A run"
    assert "add --overwrite" in problem("report", str(log))
    assert "which the command reads" in problem("report", str(log), "-o", str(log), "--overwrite")
    assert (tmp_path / "run.html").read_text() == made
    assert command("report", str(log), "--overwrite").returncode == 0
    assert data(command("report", str(log), "-o", "-").stdout)["total"] == 60
    assert "no such file" in problem("report", str(tmp_path / "none.jsonl"))
    assert "No space left" in problem("report", str(log), "-o", "/dev/full")
    (tmp_path / "run.csv").write_text("number\n")
    assert "make a log that ends in .jsonl" in problem("report", str(tmp_path / "run.csv"))


def test_the_example_of_its_help_works(tmp_path: Path) -> None:
    text = command("report", "--help").stdout.split("Examples:")[-1]
    lines = re.findall(r"^ {4}guestdbg (.*)$", re.sub(r"\s*\\\n\s*", " ", text), re.MULTILINE)
    for line in lines:
        words = re.sub(r"(run\.jsonl|report\.html|queue\.json)", rf"{tmp_path}/\1", line)
        assert command(*words.split()).returncode == 0
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "queue.html").is_file()


def test_the_assets_are_in_the_package() -> None:
    from importlib.resources import files

    assert (files("guestdbg.report") / "assets" / "page.js").is_file()
    assert "guestdbg.report" in sys.modules
