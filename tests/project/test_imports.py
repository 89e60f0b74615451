"""Imports point down only, and each contract of pyproject.toml notices when that is broken."""

import subprocess
import sys
import tomllib
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


def skeleton(directory: Path) -> None:
    """Every module of the tree, empty but for what a contract names as its exception."""
    for path in (ROOT / "src").rglob("*.py"):
        empty = directory / path.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.write_text("")
    configuration = (ROOT / "pyproject.toml").read_text()
    (directory / "pyproject.toml").write_text(configuration)
    for contract in tomllib.loads(configuration)["tool"]["importlinter"]["contracts"]:
        for exception in contract.get("ignore_imports", ()):
            module, imported = exception.split(" -> ")
            path = directory / "src" / Path(*module.split(".")).with_suffix(".py")
            path.write_text(f"import {imported}\n")


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
        ("debugger/errors", "guestdbg.debugger.validation"),
        ("debugger/program/image", "guestdbg.debugger.memory"),
        ("debugger/hardware", "guestdbg.debugger.breakpoints"),
        ("debugger/breakpoints/point", "guestdbg.debugger.target"),
        ("debugger/vcpu/driver", "guestdbg.debugger.guest"),
        ("debugger/execution", "guestdbg.debugger.point_methods"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path: Path, module: str, imported: str) -> None:
    """On the tree with all modules empty and that one import in it: the contract is tested."""
    skeleton(tmp_path)
    path = tmp_path / "src" / "guestdbg" / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with path.open("a") as file:
        file.write(f"import {imported}\n")
    status, output = lint_imports(tmp_path)
    assert status == 1, output
    assert "BROKEN" in output


def test_the_empty_tree_keeps_the_contracts(tmp_path: Path) -> None:
    skeleton(tmp_path)
    status, output = lint_imports(tmp_path)
    assert status == 0, output
