"""Arguments as people write them: refused in words where they cannot be meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.errors import InvalidLocation

__all__ = ["condition", "handler", "integer"]


def integer(what: str, value: object) -> int:
    """``value`` if it is an int; raises InvalidLocation, which names it by ``what``."""
    if not isinstance(value, int):
        raise InvalidLocation(f"{what} is {value!r}: it must be an int")
    return value


def condition(when: object) -> Callable[[Any], Any] | None:
    """A condition as it is called: a text is taken as ``guestdbg.cond`` takes it."""
    if isinstance(when, str):
        return Condition(when)
    if when is not None and not callable(when):
        raise InvalidLocation(
            f"when is {when!r}: it must be a text or a function that takes the hit"
        )
    return when


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
