"""`guestdbg differential`, the command."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.program import dumps
from guestdbg.cli import main

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["differential", *arguments], input=stdin)
    return result.exit_code, result.output


def traces(tmp_path: Path, name: str, *arguments: str) -> Path:
    path = tmp_path / name
    status, output = run("run", "--provider", "soft", "--trace", str(path), *arguments)
    assert status == 0, output
    return path


def test_run_and_compare(tmp_path: Path) -> None:
    a = traces(tmp_path, "a", "-n", "12", "--seed", "40", "--full")
    b = traces(tmp_path, "b", "-n", "12", "--seed", "40", "--full")
    lines = [json.loads(line) for line in a.read_text().splitlines()]
    assert [line["name"] for line in lines] == [str(seed) for seed in range(40, 52)]
    assert all(line["moments"] for line in lines)
    status, output = run("compare", str(a), str(b))
    assert status == 0
    assert "12 programs" in output
    assert "12 the same" in output


def test_traces_do_not_take_the_place_of_another_file(tmp_path: Path) -> None:
    a = traces(tmp_path, "a", "-n", "2")
    before = a.read_bytes()
    for arguments in (("-n", "1"), ("--programs", str(a))):
        status, output = run("run", "--provider", "soft", "--trace", str(a), *arguments)
        assert status == 1
        assert "give the name of a new file" in output
        assert a.read_bytes() == before


def test_a_difference_is_printed(tmp_path: Path) -> None:
    a = traces(tmp_path, "a", "-n", "3", "--full")
    lines = [json.loads(line) for line in a.read_text().splitlines()]
    lines[1]["moments"][0][2]["x3"] ^= 1
    lines[1]["digest"] = "0" * 16
    b = tmp_path / "b"
    b.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, output = run("compare", str(a), str(b))
    assert status == 1
    assert "2 the same" in output
    assert "1 unexplained" in output
    assert "unexplained: 1: x" in output
    assert "differ at 0" in output
    assert "movk" in output


def test_digests_say_that_they_are_not_enough(tmp_path: Path) -> None:
    a = traces(tmp_path, "a", "-n", "2")
    b = tmp_path / "b"
    b.write_text(a.read_text().replace('"digest":"', '"digest":"x'))
    assert "moments" not in a.read_text()
    assert run("compare", str(a), str(a))[0] == 0
    status, output = run("compare", str(a), str(b))
    assert status == 1
    assert "only a digest" in output


def test_files_of_other_programs(tmp_path: Path) -> None:
    a = traces(tmp_path, "a", "-n", "2")
    b = traces(tmp_path, "b", "-n", "2", "--seed", "1")
    status, output = run("compare", str(a), str(b))
    assert status == 1
    assert "not traces of the same programs" in output
    short = traces(tmp_path, "c", "-n", "1")
    assert run("compare", str(a), str(short))[0] == 1
    (tmp_path / "d").write_text("nonsense\n")
    status, output = run("compare", str(a), str(tmp_path / "d"))
    assert status == 1
    assert "not a trace" in output
    assert "Traceback" not in output


def test_programs_from_a_file(tmp_path: Path) -> None:
    status, program = run("show", "7", "--json")
    assert status == 0
    assert program.strip() == dumps(generate(7))
    status, output = run("run", "--provider", "soft", "--programs", "-", stdin=program * 2)
    assert status == 0
    assert [json.loads(line)["name"] for line in output.splitlines()] == ["7", "7"]
    status, output = run("run", "--provider", "soft", "--programs", "-", stdin="{}\n")
    assert status == 1
    assert "not a program" in output


def test_show() -> None:
    status, output = run("show", "7", "--trace")
    assert status == 0
    assert "program 7: EL" in output
    assert "mmio write 0x9000800/8" in output


def test_rules() -> None:
    status, output = run("rules")
    assert status == 0
    assert "permitted-far (right: both)" in output
