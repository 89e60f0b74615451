"""The libraries that tables are given to. All of them are optional."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from guestdbg.tables.errors import MissingLibrary

__all__ = ["library"]


def library(name: str, what_for: str) -> Any:
    """The module of this name. Raises MissingLibrary, which says how it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            raise MissingLibrary(f"{what_for}: {name} is installed, but: {error}") from error
        package = name.partition(".")[0]
        raise MissingLibrary(
            f"{what_for} needs {package}, which is not installed: pip install {package} "
            "(or guestdbg[tables])"
        ) from error
