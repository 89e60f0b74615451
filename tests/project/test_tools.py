"""The set-up scripts say clearly what is wrong, and do nothing where nothing is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n'


def program(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def find_python(path: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "find-python")],
        env={"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named(tmp_path: Path) -> None:
    program(tmp_path, "python3", OLD)
    result = find_python(str(tmp_path))
    assert result.returncode == 1
    assert "needs Python 3.11 or newer: python3 here is Python 3.9.2" in result.stderr


def test_no_python_at_all(tmp_path: Path) -> None:
    result = find_python(str(tmp_path))
    assert result.returncode == 1
    assert "there is no python3 here" in result.stderr
    assert "apt-get install python3" in result.stderr


def test_a_newer_one_beside_an_old_one_is_found(tmp_path: Path) -> None:
    program(tmp_path, "python3", OLD)
    newer = program(tmp_path, "python3.12", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    result = find_python(str(tmp_path))
    assert (result.returncode, result.stdout.strip()) == (0, str(newer))


def test_the_one_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    old = program(tmp_path, "old", OLD)
    assert find_python(os.environ["PATH"], PYTHON=sys.executable).stdout.strip() == sys.executable
    result = find_python(os.environ["PATH"], PYTHON=str(old))
    assert result.returncode == 1
    assert f"PYTHON={old} is not: Python 3.9.2" in result.stderr


def requirements(kind: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "requirements.py"), kind],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "expected"), [("build", "cython"), ("dev", "pytest"), ("types", "drgn")]
)
def test_requirements_come_out_of_pyproject(kind: str, expected: str) -> None:
    result = requirements(kind)
    assert result.returncode == 0
    assert any(line.startswith(expected) for line in result.stdout.splitlines())


def test_an_extra_that_is_not_there() -> None:
    result = requirements("everything")
    assert result.returncode != 0
    assert "no extra called 'everything'" in result.stderr


def setup_tests(directory: Path) -> "subprocess.CompletedProcess[str]":
    """Where neither apt-get nor any of the programs is to be found."""
    for name in ("dirname", "uname"):
        (directory / name).symlink_to(Path("/usr/bin") / name)
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "setup-tests")],
        env={"PATH": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_cannot_be_installed_is_named(tmp_path: Path) -> None:
    result = setup_tests(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "not installed here:" in result.stderr
    assert "qemu-system-arm" in result.stderr
    assert "gdb-multiarch" in result.stderr


def test_without_drgn_the_set_up_goes_on_and_says_what_is_missing(tmp_path: Path) -> None:
    """The tree's tools over a venv whose Python has no drgn and whose pip gets none."""
    tools = tmp_path / "tools"
    shutil.copytree(ROOT / "tools", tools, ignore=shutil.ignore_patterns("__pycache__"))
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$1" in tools/*) echo "drgn>=9; here";; *) exit 1;; esac\n')
    python.chmod(0o755)
    path = tmp_path / "path"
    path.mkdir()
    for name in ("dirname", "uname", "mkdir"):
        (path / name).symlink_to(Path("/usr/bin") / name)
    result = subprocess.run(
        ["/bin/sh", str(tools / "setup-drgn"), str(tmp_path / "venv")],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "building drgn>=9, which has no wheel" in result.stdout
    assert "libelf-dev" in result.stderr


def test_make_quick_names_tests_that_exist() -> None:
    """`make test` does not run it: a renamed file would go unnoticed."""
    named = re.findall(r"tests/[\w/.]+", (ROOT / "tools" / "quick").read_text())
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]
