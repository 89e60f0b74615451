"""Where no C compiler is, everything but the software provider is there, with a clear word."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Builds a copy of the tree with a compiler that always fails."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, directory)
    ignore = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", directory / "src", ignore=ignore)
    # One module says it all, and saves translating the others.
    for source in (directory / "src" / "guestdbg" / "cpu").rglob("*.pyx"):
        if source.stem != "timer":
            source.unlink()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GUESTDBG_")}
    return subprocess.run(
        [sys.executable, "setup.py", "build", "--build-lib", "lib"],
        cwd=directory,
        env=clean | {"CC": "false"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_is_built_all_the_same(tmp_path: Path) -> None:
    result = build(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "guestdbg.cpu.timer" in result.stderr, "it is said that the module was left out"
    assert (tmp_path / "lib" / "guestdbg" / "arm64" / "esr.py").exists()
    assert not list((tmp_path / "lib").rglob("*.so"))


def test_unless_the_processor_is_required(tmp_path: Path) -> None:
    assert build(tmp_path, GUESTDBG_REQUIRE_CPU="1").returncode != 0


WITHOUT = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    # The compiled modules are not there.
    def find_spec(self, name, path, target=None):
        if name.startswith("guestdbg.cpu.") and not name.endswith("processor"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from guestdbg.cli import main
main(prog_name="guestdbg")
"""


def without(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["explain", "esr_el2", "0xc2000022"], ["--version"]])
def test_what_needs_no_processor_works(arguments: list[str]) -> None:
    result = without(*arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("arguments", [["run", "examples/hello.elf"], ["caps"]])
def test_what_needs_it_says_so(arguments: list[str]) -> None:
    result = without(*arguments)
    assert result.returncode == 1
    assert "compiled processor" in result.stderr
    assert "C compiler" in result.stderr
    assert "Traceback" not in result.stderr
