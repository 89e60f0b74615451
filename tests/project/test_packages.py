"""Every package says what it is for, and lists its modules in reading order."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "guestdbg"
LARGE = 15


def packages() -> list[Path]:
    return sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def members(package: Path) -> set[str]:
    """The modules and packages that lie directly in a package."""
    found = {p.stem for p in package.iterdir() if p.suffix in (".py", ".pyx")} - {"__init__"}
    return found | {p.parent.name for p in package.glob("*/__init__.py")}


def docstring(package: Path) -> str:
    tree = ast.parse((package / "__init__.py").read_text())
    return ast.get_docstring(tree) or ""


def name(package: Path) -> str:
    return ".".join(["guestdbg", *package.relative_to(PACKAGE).parts])


@pytest.mark.parametrize("package", packages(), ids=name)
def test_a_package_lists_its_modules(package: Path) -> None:
    """A module that is not listed is one that a reader does not find."""
    words = set(re.findall(r"\w+", docstring(package)))
    assert not {m for m in members(package) if m not in words and not m.startswith("__")}


@pytest.mark.parametrize("package", packages(), ids=name)
def test_a_large_package_gives_its_reason(package: Path) -> None:
    modules = [m for m in members(package) if not (package / m).is_dir()]
    if len(modules) > LARGE:
        reason = r"more than (?:about )?fifteen (?:modules|files)(?:,? because|:)"
        assert re.search(reason, " ".join(docstring(package).split()), re.IGNORECASE)
