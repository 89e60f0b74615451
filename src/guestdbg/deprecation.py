"""Former names of public things: they work for one more version, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["deprecated_names", "moved_module"]


def deprecated_names(
    module: str, names: Mapping[str, str], otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that answers to former names.

        __getattr__ = deprecated_names(__name__, {"BadWhere": "InvalidLocation"})

    Args:
        module: the module's ``__name__``.
        names: from the former name to the present one, which the module defines.
        otherwise: is asked for all other names (see ``lazy_names``); None: there are none.

    The first access from each place gives a DeprecationWarning.
    """

    def __getattr__(name: str) -> Any:
        new = names.get(name)
        if new is None:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now called {new}; the next version will not have the old name",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(sys.modules[module], new)

    return __getattr__


def moved_module(
    module: str, new: ModuleType, renamed: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that only keeps the former name of another.

    Args:
        module: the module's ``__name__``.
        new: the module as it is called now.
        renamed: from former to present names, of those that were renamed as well.

    Each access gives a DeprecationWarning.
    """

    def __getattr__(name: str) -> Any:
        present = (renamed or {}).get(name, name)
        if name.startswith("__") or not hasattr(new, present):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now called {new.__name__}.{present}; the next version will not "
            "have the old name",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(new, present)

    return __getattr__
