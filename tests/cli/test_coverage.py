"""`guestdbg run --coverage`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.guests import EXAMPLES, GUESTDBG, ROOT, guestdbg, problem

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = str(EXAMPLES / "queue.elf")
RUN = ("run", QUEUE, "--provider", "soft")


def test_files_of_each_form(tmp_path: Path) -> None:
    paths = [tmp_path / f"q.{ending}" for ending in ("info", "drcov", "json")]
    options = [word for path in paths for word in ("--coverage", str(path))]
    result = guestdbg(*RUN, *options, "--coverage-form", "counts", "--break", "queue_corrupt")
    assert result.returncode == 1, "there is no such function: nothing is written"
    assert list(tmp_path.iterdir()) == []
    result = guestdbg(*RUN, *options, "--coverage-form", "counts")
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if "coverage" in line] == [
        f"-- coverage: {path}" for path in paths
    ]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert "DA:17,20000\n" in paths[0].read_text()
    assert paths[1].read_bytes().startswith(b"DRCOV VERSION: 2\n")
    assert json.loads(paths[2].read_text())["form"] == "counts"


def test_a_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "q.info"
    path.write_text("old")
    assert "the file exists; add --coverage-overwrite" in problem(*RUN, "--coverage", str(path))
    assert path.read_text() == "old"
    result = guestdbg(*RUN, "--coverage", str(path), "--coverage-overwrite")
    assert result.returncode == 0
    assert path.read_text().startswith("TN:\nSF:")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("q.txt", "ends in .info (lcov, genhtml), .drcov (Lighthouse and the like) or .json"),
        ("nowhere/q.info", "coverage cannot be written there: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_before_the_run(
    tmp_path: Path, name: str, why: str
) -> None:
    assert why in problem(*RUN, "--coverage", str(tmp_path / name))


@pytest.mark.parametrize("option", [("--coverage-form", "edges"), ("--coverage-overwrite",)])
def test_options_without_a_file(option: tuple[str, ...]) -> None:
    result = guestdbg(*RUN, *option)
    assert result.returncode == 2
    assert f"{option[0]} without --coverage" in result.stderr


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A limit of the process does the same: the other file is written, and the status says so."""
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    program += GUESTDBG[2]
    small, large = tmp_path / "q.drcov", tmp_path / "q.json"
    result = subprocess.run(
        [GUESTDBG[0], "-c", program, *RUN, "--coverage", str(large), "--coverage", str(small)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        timeout=120,
    )
    assert result.returncode == 1, result.stderr
    assert f"-- {large}: coverage cannot be written there: File too large" in result.stderr
    assert f"-- coverage: {small}" in result.stderr
    assert list(tmp_path.iterdir()) == [small]


def test_a_guest_without_lines(tmp_path: Path) -> None:
    image = tmp_path / "guest.bin"
    image.write_bytes(bytes.fromhex("000080d200000014"))  # mov x0, #0; b .
    path = tmp_path / "g.info"
    result = guestdbg(
        *("run", str(image), "--kind", "raw", "--address", "0x40000000", "--provider", "soft"),
        *("--max-instructions", "5", "--coverage", str(path)),
        *("--coverage", str(tmp_path / "g.json")),
    )
    assert result.returncode == 124
    assert "no line numbers are known of this guest: a .info file has lines only" in result.stderr
    assert path.read_bytes() == b""
    (vcpu,) = json.loads((tmp_path / "g.json").read_text())["vcpus"]
    assert vcpu["instructions"] == [["0x40000000", 2, 1]]


def test_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "loop.json"
    process = subprocess.Popen(
        [*GUESTDBG, "run", str(EXAMPLES / "spin.elf"), "--break", "main", "--coverage", str(path)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stderr is not None
    assert b"main" in process.stderr.readline()  # the hit: the guest runs
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text())["vcpus"][0]["instructions"]


def test_a_history_counts_once(tmp_path: Path) -> None:
    found = []
    for name, options in (("a.json", ()), ("b.json", ("--last-write", "queue.tail"))):
        path = tmp_path / name
        result = guestdbg(*RUN, "--coverage", str(path), "--coverage-form", "edges", *options)
        assert result.returncode == 0, result.stderr
        found.append(json.loads(path.read_text())["vcpus"])
    assert found[0] == found[1]
