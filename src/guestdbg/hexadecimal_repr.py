"""Reprs that show addresses and register values in hexadecimal, as everything else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["hexadecimal"]

_Class = TypeVar("_Class", bound=type)


def hexadecimal(*names: str) -> Callable[[_Class], _Class]:
    """Have these fields of a dataclass or named tuple in hexadecimal in its repr.

    A field may be an int, a tuple of ints, or anything else, which is shown as it is.
    """

    def decorate(class_: _Class) -> _Class:
        known = getattr(class_, "_fields", None) or tuple(f.name for f in fields(class_))

        def show(self: object) -> str:
            values = {name: getattr(self, name) for name in known}
            parts = (
                f"{name}={_shown(value) if name in names else repr(value)}"
                for name, value in values.items()
            )
            return f"{type(self).__name__}({', '.join(parts)})"

        assert set(names) <= set(known), (names, known)
        class_.__repr__ = show  # type: ignore[assignment]
        return class_

    return decorate


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        inner = ", ".join(map(_shown, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:#x}"
    return repr(value)
