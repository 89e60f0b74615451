"""Kept runs: how they are named and found, compared, and shown on the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import bench.__main__ as bench_main
from bench import environment, history, page, record
from bench.environment import Environment
from bench.record import Figure, Record

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MACHINE = {
    "processor": "Example 3000",
    "cpus": 2,
    "kernel": "6.1.0",
    "system": "Linux-6.1.0-x86_64",
    "python": "3.11.7",
    "compiler": "gcc (Debian 12.2.0) 12.2.0",
    "guestdbg": "0.1.0",
    "taken": "2026-11-29T10:20:30+00:00",
}
VERSIONS = {"QEMU": "7.2.22", "GDB": "13.1", "Unicorn": "2.1.4"}


def figure(key: str, value: float | None, **more: Any) -> Figure:
    unit = more.pop("unit", "MIPS")
    how = "best of 1" if value is not None else "not measured"
    return Figure(key, unit, f"what {key} is", more.pop("better", "more"), value, how, **more)


def run_of(
    *figures: Figure,
    machine: dict[str, Any] | None = None,
    commit: str | None = COMMIT,
    dirty: bool = False,
) -> Record:
    where = Environment(MACHINE | (machine or {}), VERSIONS, commit, dirty)
    return Record({f.key: f for f in figures}, where)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history of its own for each test."""
    path = tmp_path / "history"
    monkeypatch.setattr(history, "DIRECTORY", path)
    return path


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(bench_main.main, list(arguments), env={"COLUMNS": "80"})


def saved(path: Path, run: Record) -> str:
    record.write(run, path)
    return str(path)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = run_of(
        figure("loop_mips", 900.0, runs=(900.0, 850.0)),
        figure("suite_mips", 20.0, parts={"a": 8.0, "b": 50.0}),
        figure("qemu_loop_mips", None, reason="not installed"),
    )
    assert record.read(Path(saved(tmp_path / "run.json", run))) == run


def test_a_kept_run_has_everything_that_a_reader_needs(tmp_path: Path, directory: Path) -> None:
    source = saved(tmp_path / "bench.json", run_of(figure("loop_mips", 900.0)))
    result = bench("--from", source, "--keep")
    assert result.exit_code == 0, result.output
    path = directory / "2026-11-29-0123456.json"
    assert f"kept as {path}" in result.output
    document = json.loads(path.read_text())
    assert document["loop_mips"] == 900.0
    assert document["details"]["loop_mips"]["unit"] == "MIPS"
    assert document["machine"] == MACHINE
    assert document["versions"] == VERSIONS
    assert (document["commit"], document["dirty"]) == (COMMIT, False)


def test_a_second_run_of_a_day_and_commit_leaves_the_first_alone(directory: Path) -> None:
    paths = [history.keep(run_of(figure("loop_mips", value)), "x") for value in (1.0, 2.0, 3.0)]
    assert [path.name for path in paths] == [
        "2026-11-29-0123456.json",
        "2026-11-29-0123456-2.json",
        "2026-11-29-0123456-3.json",
    ]
    assert [record.read(path).value("loop_mips") for path in paths] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (run_of(figure("loop_mips", 1.0), commit=None), "the commit is not known"),
        (
            run_of(Figure("loop_mips", "MIPS", "w", "more", None, "failed", reason="failed: x")),
            "a run with a failed measurement is not kept: loop_mips",
        ),
    ],
)
def test_what_is_not_kept(tmp_path: Path, directory: Path, run: Record, message: str) -> None:
    result = bench("--from", saved(tmp_path / "bench.json", run), "--keep")
    assert result.exit_code == 1
    assert message in result.output
    assert not directory.exists()


def test_a_run_that_cannot_be_kept_is_refused_before_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(environment, "_git", lambda *_: None)
    monkeypatch.setattr(bench_main, "take_all", measured)
    result = bench("--output", str(tmp_path / "bench.json"), "--keep")
    assert result.exit_code == 1
    assert "--keep: the commit is not known" in result.output
    monkeypatch.undo()
    monkeypatch.setattr(bench_main, "take_all", measured)
    (tmp_path / "file").write_text("")
    result = bench("--output", str(tmp_path / "file" / "bench.json"))
    assert result.exit_code == 1
    assert "bench.json: " in result.output


def test_a_run_is_found_by_name_by_a_part_of_it_and_as_a_file(tmp_path: Path) -> None:
    first = history.keep(run_of(figure("loop_mips", 1.0)), "x")
    second = history.keep(run_of(figure("loop_mips", 2.0), commit="f" * 40), "x")
    assert history.find("2026-11-29-0123456") == first
    assert history.find("fffffff") == second
    assert history.find(str(second)) == second
    for name, message in [
        ("2026-11-29", "'2026-11-29' is the name of more than one run: 2026-11-29-0123456, "),
        ("eeeeeee", "neither a file nor a kept run; the kept runs are: 2026-11-29-0123456, "),
        ("", "neither a file nor a kept run"),
    ]:
        with pytest.raises(record.RecordError, match=message):
            history.find(name)


def test_no_run_has_been_kept(directory: Path) -> None:
    with pytest.raises(record.RecordError, match="no run has been kept yet"):
        history.find("2026")


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no details": (lambda d: d.pop("details"), "not a file that"),
    "no figure": (lambda d: d.pop("loop_mips"), "not a file that"),
    "text": (lambda d: d.update(loop_mips="fast"), "not a file that"),
    "no machine": (lambda d: d.pop("machine"), "not a file that"),
    "no time": (lambda d: d["machine"].pop("taken"), "not a file that"),
    "bad time": (lambda d: d["machine"].update(taken="../../x"), "not a file that"),
    "bad commit": (lambda d: d.update(commit="../../x"), "not a file that"),
    "a list": (lambda d: d.update(details=[]), "not a file that"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGE[name]
    path = tmp_path / "bench.json"
    saved(path, run_of(figure("loop_mips", 1.0)))
    document = json.loads(path.read_text())
    damage(document)
    path.write_text(json.dumps(document))
    for arguments in (("--from", str(path)), ("--compare", str(path), str(path))):
        result = bench(*arguments)
        assert result.exit_code == 1
        assert f"Error: {path}: " in result.output
        assert message in result.output


@pytest.mark.parametrize(("text", "message"), [("", "not a JSON"), ("[]", "not a file that")])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    result = bench("--from", str(path))
    assert result.exit_code == 1
    assert message in result.output
    assert "No such file" in bench("--from", str(tmp_path / "missing.json")).output


def test_a_comparison_has_ratios_and_names_what_differs(tmp_path: Path) -> None:
    a = saved(
        tmp_path / "a.json",
        run_of(
            figure("loop_mips", 800.0),
            figure("suite_mips", 20.0, parts={"sort": 8.0, "crc": 50.0}),
            figure("uboot_seconds", 0.5, unit="s", better="less"),
            figure("qemu_loop_mips", None, reason="not installed"),
        ),
    )
    b = saved(
        tmp_path / "b.json",
        run_of(
            figure("loop_mips", 1000.0),
            figure("suite_mips", 10.0, parts={"sort": 4.0}),
            figure("uboot_seconds", 0.25, unit="s", better="less"),
            figure("qemu_loop_mips", 1700.0),
            machine={"processor": "Example 4000"},
            commit="f" * 40,
            dirty=True,
        ),
    )
    result = bench("--compare", a, b)
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.output.splitlines() if line}
    assert rows["loop_mips"][1:] == ["800", "1,000", "MIPS", "1.250", "more"]
    assert rows["sort"][1:] == ["8.0", "4.0", "MIPS", "0.500"]
    assert "crc" not in rows
    assert rows["uboot_seconds"][-2:] == ["0.500", "less"]
    assert "only in B: qemu_loop_mips" in result.output
    assert "only in A" not in result.output
    assert "machines differ: processor: A Example 3000, B Example 4000" in result.output
    assert "fffffff, changed, 2026-11-29T10:20:30+00:00" in result.output


def test_a_comparison_of_equals_has_no_notes(tmp_path: Path) -> None:
    a = saved(tmp_path / "a.json", run_of(figure("loop_mips", 800.0)))
    output = bench("--compare", a, a).output
    assert "1.000" in output
    assert "differ" not in output
    assert "only in" not in output


def test_every_table_fits_80_columns(tmp_path: Path) -> None:
    figures = []
    for m in bench_main.MEASUREMENTS:
        programs = page._FP_PROGRAMS if "fp_suite" in m.key else page._PROGRAMS
        parts = dict.fromkeys(programs, 12345.6) if "suite" in m.key else {}
        value = None if m.key == "uboot_seconds" else 123456789.0
        reason = "an explanation with very many words " * 5 if value is None else None
        figures.append(
            Figure(m.key, m.unit, m.what, m.better, value, "best of 5", (), parts, reason)
        )
    source = saved(tmp_path / "run.json", run_of(*figures))
    for arguments in (("--from", source), ("--compare", source, source), ("--help",)):
        result = bench(*arguments)
        assert result.exit_code == 0, result.output
        # The names of the two runs are the test's own paths.
        lines = [line for line in result.output.splitlines() if str(tmp_path) not in line]
        assert [line for line in lines if len(line.rstrip()) > 80] == []
        if arguments[0] != "--help":
            measured = [f.key for f in figures if f.value is not None]
            assert [key for key in measured if key not in result.output] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep", "--page", "x"),
        ("--keep", "--compare", "a", "b"),
        ("--only", "loop_mips", "--from", "x"),
        ("--output", "x", "--page", "x"),
        ("--from", "x", "--page", "x"),
        ("--only", "mips"),
        ("--compare", "a"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(arguments: tuple[str, ...]) -> None:
    result = bench(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_the_environment_names_machine_commit_and_tools() -> None:
    here = environment.current()
    assert set(here.machine) == set(environment.MACHINE)
    assert here.machine["kernel"]
    assert set(here.versions) == {"QEMU", "GDB", "Unicorn"}
    assert Environment.of_document(here.document()) == here


def test_version_numbers() -> None:
    for line, number in [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "7.2.22"),
        ("GNU gdb (Debian 13.1-3) 13.1", "13.1"),
        ("a version without digits", "a version without digits"),
        (None, None),
    ]:
        assert environment._number(line) == number


def test_the_page_shows_the_figures_of_the_run_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # the kept runs of the repository
    text = page.PAGE.read_text(encoding="utf-8")
    name = page.run_of_page(text)
    assert text == page.with_figures(text, name), f"run: python -m bench --page {name}"


def test_the_page_is_rewritten_from_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- figures of x -->\nold\n<!-- /figures -->\nafter\n")
    monkeypatch.setattr(page, "PAGE", path)
    history.keep(
        run_of(
            figure("loop_mips", 1234.5),
            figure("suite_mips", 20.0, parts={"sort": 543.2}),
            figure("stops_per_second", 222263.4, unit="/s"),
            figure("host_exit_ratio", 1.204, unit="times"),
            figure("qemu_loop_mips", None, reason="not installed"),
        ),
        "x",
    )
    assert bench("--page", "0123456").exit_code == 0
    text = path.read_text()
    assert text.startswith(
        "before\n<!-- figures of 2026-11-29-0123456 -->\nOne run of `make bench`"
    )
    assert text.endswith("<!-- /figures -->\nafter\n")
    assert "commit 0123456, compared with QEMU 7.2.22, GDB 13.1, Unicorn 2.1.4." in text
    assert "2 processors (Example 3000), Linux 6.1.0, Python 3.11.7, gcc (Debian 12.2.0)" in text
    assert "| the loop, nothing armed | `loop_mips` | 1,234 MIPS | - | - |" in text
    assert "| `stops_per_second` | 222,263 a second | - |  |" in text
    assert "| `host_exit_ratio` | 1.20 |  |" in text
    assert "| `sort`: quicksort | 543 | - | - |" in text
    path.write_text("no place for figures\n")
    result = bench("--page", "0123456")
    assert result.exit_code == 1
    assert "there is no <!-- figures of NAME -->" in result.output
    assert path.read_text() == "no place for figures\n"
