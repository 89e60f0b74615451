"""The public names of a package, each imported at its first use.

A package whose modules take long to import, and of which most programs need few, states where its
names are defined instead of importing them (PEP 562)::

    if TYPE_CHECKING:
        from guestdbg.history.history import History

    __all__ = ["History"]

    __getattr__, __dir__ = lazy_names(__name__, {"guestdbg.history.history": ("History",)})

Type checkers, import-linter and readers see the imports; users see the same names as before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, Iterable[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a package that imports its names at their first use.

    Args:
        package: the package's ``__name__``.
        homes: from the full name of a module to the names that it defines.

    An import that fails raises its ImportError, and is tried again at the next use.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def __getattr__(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home), name)
        setattr(sys.modules[package], name, value)  # the next use does not come here
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return __getattr__, __dir__
