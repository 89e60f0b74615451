"""Imports point down only, and each contract of pyproject.toml notices when that is broken."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint_imports(directory: Path) -> tuple[int, str]:
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as c; c()",
            "--no-cache",
        ],
        cwd=directory,
        env={"PYTHONPATH": str(directory / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def test_imports_point_down() -> None:
    status, output = lint_imports(ROOT)
    assert status == 0, output


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("arm64", "guestdbg.kvm"),
        ("cpu", "guestdbg.kvm"),
        ("kvm", "guestdbg.machine"),
        ("machine", "guestdbg.debugger"),
        ("debugger", "guestdbg.cli"),
        ("debugger", "guestdbg.gdb"),
        ("gdb", "guestdbg.cli"),
        ("gdb", "guestdbg.kvm.soft"),
        ("debugger", "guestdbg.kvm.soft"),
        ("machine", "guestdbg.kvm.soft"),
        ("cli", "guestdbg.cpu"),
        ("check", "guestdbg.debugger"),
        ("check", "guestdbg.kvm.soft"),
        ("lab", "guestdbg.kvm"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, module: str, imported: str) -> None:
    """On a skeleton of the package with that one import in it: the contract is what is tested."""
    package = tmp_path / "src" / "guestdbg"
    for name in (
        "",
        "arm64",
        "cpu",
        "kvm",
        "kvm/soft",
        "kvm/host",
        "machine",
        "debugger",
        "gdb",
        "check",
        "lab",
        "cli",
    ):
        (package / name).mkdir(parents=True, exist_ok=True)
        (package / name / "__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    status, output = lint_imports(tmp_path)
    assert status == 0, output
    (package / module / "__init__.py").write_text(f"import {imported}\n")
    status, output = lint_imports(tmp_path)
    assert status == 1, output
    assert "BROKEN" in output
