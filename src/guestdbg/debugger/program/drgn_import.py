"""The import of drgn, which is optional because it runs on Linux only."""

from __future__ import annotations

from typing import Any

from guestdbg.debugger.errors import MissingDependency

__all__ = ["drgn"]


def drgn() -> Any:
    """The module ``drgn``; raises MissingDependency if it is not installed."""
    try:
        import drgn
    except ImportError as error:
        raise MissingDependency(
            "variables, members and types are read with drgn, which is not installed "
            "(`pip install drgn`; it runs on Linux only). Symbols, addresses and file:line work "
            "without it"
        ) from error
    return drgn
