"""The recipes of CONTRIBUTING.md are changes that apply to this tree, and whose checks pass."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from .test_house_rules import ROOT

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

PAGE = (ROOT / "CONTRIBUTING.md").read_text()


@dataclass(frozen=True)
class Recipe:
    """A section of the page: its patches, and the command that shows that they work."""

    title: str
    patches: tuple[str, ...]
    check: str

    @property
    def compiles(self) -> bool:
        return any(re.search(r"^\+\+\+ \S+\.(pyx|pxd|h)$", p, re.MULTILINE) for p in self.patches)


def recipes(page: str) -> list[Recipe]:
    found = []
    for section in re.split(r"^### ", page.split("\n## Recipes\n")[1], flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        patches = re.findall(r"^```diff\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
        (check,) = re.findall(r"^Check:\n\n((?:    .+\n)+)", body, re.MULTILINE)
        found.append(Recipe(title, tuple(patches), textwrap.dedent(check)))
    return found


def copy_of_the_tree(directory: Path, *, build: bool) -> Path:
    """The tree as it is, times of files included, so that only what is changed is compiled."""
    tree = directory / "tree"
    ignore = shutil.ignore_patterns("__pycache__", ".git", ".cache", "*.egg-info")
    for name in ("src", "tests", "tools", "examples", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "CONTRIBUTING.md"):
        shutil.copy2(ROOT / name, tree)
    if build:
        # Where setuptools looks whether a module is up to date, and its source in C.
        for made in (ROOT / "build" / "cython", *(ROOT / "build").glob("lib.*")):
            if made.is_dir():
                shutil.copytree(made, tree / "build" / made.name)
    return tree


def run(tree: Path, command: list[str], text: str | None = None) -> str:
    result = subprocess.run(
        command, cwd=tree, input=text, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def commands(check: str) -> list[list[str]]:
    """The lines of a check, run by this interpreter in the copy instead of by ``.venv``."""
    found = []
    for line in check.splitlines():
        program, *arguments = line.split()
        if program == ".venv/bin/guestdbg":
            found.append([sys.executable, "-m", "guestdbg", *arguments])
        elif program == ".venv/bin/python":
            found.append([sys.executable, *arguments])
        else:
            assert line == "make dev", line
    return found


RECIPES = recipes(PAGE)


@pytest.mark.slow
@pytest.mark.timeout(900)  # a change of a .pxd file compiles the whole processor
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_a_recipe_works(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = copy_of_the_tree(tmp_path, build=recipe.compiles)
    monkeypatch.setenv("PYTHONPATH", str(tree / "src"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for patch in recipe.patches:
        run(tree, ["git", "apply", "--verbose", "-"], patch)
    if recipe.compiles:
        assert "make dev" in recipe.check
        run(tree, [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"])
    for command in commands(recipe.check):
        run(tree, command)


def test_there_is_a_recipe_for_each_thing() -> None:
    things = ("instruction", "system register", "conformance case", "packet", "monitor", "device")
    titles = " ".join(recipe.title for recipe in RECIPES)
    assert all(word in titles for word in things)
