"""The promises of tests/conftest.py: skips are listed or fail, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPPING = """
import pytest

def test_fine():
    pass

def test_needs_something():
    pytest.skip("no such thing here")

@pytest.mark.skipif(True, reason="marked")
def test_marked():
    pass

@pytest.mark.xfail(strict=True)
def test_known_bad():
    assert False
"""

MODULE = "import pytest\npytest.importorskip('a_module_nobody_has')\n"


def run(directory: Path, no_skips: str, *options: str) -> tuple[int, str]:
    (directory / "conftest.py").write_text(CONFTEST.read_text())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "."],
        cwd=directory,
        env=environment | {"GUESTDBG_NO_SKIPS": no_skips},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout


def test_skips_are_listed_with_their_reason(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(SKIPPING)
    status, output = run(tmp_path, "0")
    assert status == 0, output
    assert "test_a.py::test_needs_something: no such thing here" in output
    assert "test_a.py::test_marked: marked" in output
    assert "1 passed, 2 skipped, 1 xfailed" in output.splitlines()[-1]


def test_skips_fail_where_nothing_may_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(SKIPPING)
    status, output = run(tmp_path, "1")
    assert status == 1, output
    assert "nothing may be skipped: no such thing here" in output
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output.splitlines()[-1]


@pytest.mark.parametrize(("no_skips", "expected"), [("0", 0), ("1", 2)])
def test_a_skipped_module_counts_too(tmp_path: Path, no_skips: str, expected: int) -> None:
    (tmp_path / "test_module.py").write_text(MODULE)
    (tmp_path / "test_other.py").write_text("def test_fine():\n    pass\n")
    status, output = run(tmp_path, no_skips)
    assert status == expected, output
    assert "a_module_nobody_has" in output


LEAVING = """
import tempfile

def test_that_leaves_a_file():
    tempfile.mkstemp(prefix="left-")
"""

CLEAN = """
def test_that_uses_a_directory(tmp_path):
    (tmp_path / "file").write_text("text")
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_what_is_left_in_the_temporary_directory_fails_the_run(
    tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "test_leaving.py").write_text(LEAVING)
    status, output = run(tmp_path, "0", *options)
    assert status == 1, output
    assert "in the temporary directory: left-" in output
    assert "1 passed" in output.splitlines()[-1]


def test_nothing_left_is_fine(tmp_path: Path) -> None:
    (tmp_path / "test_clean.py").write_text(CLEAN)
    status, output = run(tmp_path, "0")
    assert status == 0, output
    assert "left behind" not in output


def test_a_new_file_in_the_checkout_fails_the_run(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    text = "from pathlib import Path\n\ndef test_a():\n    Path('new.txt').write_text('')\n"
    (tests / "test_writing.py").write_text(text)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    status, output = run(tests, "0")
    assert status == 1, output
    assert "in the checkout: tests/new.txt" in output
