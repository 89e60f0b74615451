"""The map of the soft provider in its ``__init__``: complete, and in the order of the imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import guestdbg.kvm

SOFT = Path(guestdbg.kvm.__file__).parent / "soft"
PACKAGE = "guestdbg.kvm.soft."


def modules() -> set[str]:
    """Every module of the provider, as the map names it."""
    found = (path.relative_to(SOFT) for path in SOFT.rglob("*.py") if path.name != "__init__.py")
    return {str(path.with_suffix("")) for path in found}


def mapped() -> list[str]:
    """The modules that the map names, in its order."""
    text = ast.get_docstring(ast.parse((SOFT / "__init__.py").read_text()))
    assert text is not None
    return re.findall(r"^    ([a-z0-9_/]+)  ", text, re.MULTILINE)


def imports(module: str) -> set[str]:
    """The modules of the provider that one imports, also for type checking alone."""
    names = set()
    for node in ast.walk(ast.parse((SOFT / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE[:-1]):
            base = (node.module or "")[len(PACKAGE) :]
            names |= {base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)}
    return {name.replace(".", "/") for name in names} & modules()


def test_every_module_is_in_the_map() -> None:
    assert sorted(mapped()) == sorted(modules())


def test_a_module_imports_only_what_is_above_it_in_the_map() -> None:
    order = mapped()
    wrong = {
        (module, lower)
        for module in order
        for lower in imports(module)
        if order.index(lower) >= order.index(module)
    }
    assert not wrong
