"""Arguments as people write them: refused in words where they cannot be meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from guestdbg.debugger.errors import InvalidLocation

__all__ = ["handler", "integer"]


def integer(what: str, value: object) -> int:
    """``value`` if it is an int; raises InvalidLocation, which names it by ``what``."""
    if not isinstance(value, int):
        raise InvalidLocation(f"{what} is {value!r}: it must be an int")
    return value


def handler(function: object) -> Callable[[Any], Any] | None:
    """A handler that can be called; one whose body would never run is refused."""
    if function is None:
        return None
    if not callable(function):
        raise InvalidLocation(f"{function!r} is no handler: a function that takes the hit is")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidLocation(
            f"{getattr(function, '__name__', function)} is no handler: calling it would not run "
            "it (async def, or yield in it); a plain function that takes the hit is one"
        )
    return function
