"""Imports form no cycles, those under ``TYPE_CHECKING`` included.

Import-linter holds the order of the packages. Within a package it says nothing: a cycle there works
at run time as long as one of its imports is for types only, and still ties its modules into one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

Graph = dict[str, set[str]]

#: Two modules that describe one thing from two sides: a point's handler takes a hit, and a hit
#: names its point.
PAIRS: set[frozenset[str]] = {
    frozenset({"guestdbg.debugger.breakpoints.hit", "guestdbg.debugger.breakpoints.point"}),
}
#: Types only: a handler's ``hit.guest`` and ``hit.vcpu`` are typed as the user's Guest and Cpu.
FROM_THE_OWN_PACKAGE = {("guestdbg.debugger.breakpoints.hit", "guestdbg.debugger")}


def modules(root: Path) -> dict[str, Path]:
    """The modules below a folder by their dotted names; a package is named as it is imported."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the tree that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module


def graph(root: Path) -> Graph:
    """Which module imports which.

    A package's ``__init__`` gathers its own modules for those outside: these imports do not count.
    """
    known = modules(root)
    found: Graph = {}
    for name, path in known.items():
        targets = {t for t in imported(ast.parse(path.read_text()), known) if t in known}
        targets.discard(name)
        if path.name == "__init__.py":
            targets = {t for t in targets if not t.startswith(f"{name}.")}
        found[name] = targets
    return found


def own_packages(root: Path) -> set[tuple[str, str]]:
    """(module, package around it) where a module imports from a package that imports it."""
    known = modules(root)
    found = set()
    for name, path in known.items():
        for target in imported(ast.parse(path.read_text()), known):
            home = known.get(target)
            if home is None or home.name != "__init__.py" or not name.startswith(f"{target}."):
                continue
            gathered = set(imported(ast.parse(home.read_text()), known))
            branch = ".".join(name.split(".")[: target.count(".") + 2])
            if any(one == branch or one.startswith(f"{branch}.") for one in gathered):
                found.add((name, target))
    return found


def reachable(start: str, imports: Graph) -> set[str]:
    """All that a module imports, directly or through others."""
    seen: set[str] = set()
    left = list(imports[start])
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += imports[name]
    return seen


def cycles(imports: Graph) -> set[frozenset[str]]:
    """The sets of modules that all import each other, directly or through others."""
    reach = {name: reachable(name, imports) for name in imports}
    return {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in imports
        if name in reach[name]
    }


def test_there_are_no_cycles_but_the_named_pairs() -> None:
    found = cycles(graph(SRC))
    assert not found - PAIRS, [sorted(cycle) for cycle in found - PAIRS]


def test_the_named_pairs_are_still_pairs() -> None:
    """A pair that has come apart is taken off the list."""
    assert cycles(graph(SRC)) >= PAIRS


def test_no_module_imports_from_the_package_that_gathers_it() -> None:
    assert own_packages(SRC) == FROM_THE_OWN_PACKAGE


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": "import p.b", "b": "from p import a"}, [{"p.a", "p.b"}]),
        (
            {"a": "if TYPE_CHECKING:\n    from p.b import B", "b": "def f():\n    import p.a"},
            [{"p.a", "p.b"}],
        ),
        ({"a": "import p.b", "b": "import p.c", "c": "import p.a"}, [{"p.a", "p.b", "p.c"}]),
        ({"a": "import p.b", "b": "import p.c", "c": ""}, []),
        ({"__init__": "from p.a import A", "a": ""}, []),
    ],
)
def test_cycles_are_found(
    tmp_path: Path, sources: dict[str, str], expected: list[set[str]]
) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)
    assert cycles(graph(tmp_path)) == {frozenset(cycle) for cycle in expected}


def test_imports_from_the_own_package_are_found(tmp_path: Path) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("from p.a import A\n")
    (package / "a.py").write_text("from p import A\n")
    (package / "b.py").write_text("from p import A\n")
    (package / "c.py").write_text("from p import a\n")
    assert own_packages(tmp_path) == {("p.a", "p")}
