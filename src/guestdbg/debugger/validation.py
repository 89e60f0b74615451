"""Checks of arguments, with messages that say what is right."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from guestdbg.debugger.errors import InvalidLocation

__all__ = ["check_digits", "handler", "integer"]

_MANY_DIGITS = re.compile(r"\d{400}")


def integer(what: str, value: object) -> int:
    """``value`` if it is an int; else raises InvalidLocation, whose message calls it ``what``."""
    if not isinstance(value, int):
        raise InvalidLocation(f"{what} is {value!r}: it must be an int")
    return value


def check_digits(text: str) -> str:
    """The text, if its numbers are of a sensible length; Python's int() takes 4300 digits."""
    if _MANY_DIGITS.search(text):
        raise InvalidLocation(
            f"{text[:20]!r}... has a number with hundreds of digits: addresses and values have "
            "64 bits"
        )
    return text


def handler(function: object) -> Callable[[Any], Any] | None:
    """``function`` if it can be a handler; raises InvalidLocation otherwise."""
    if function is None:
        return None
    if not callable(function):
        raise InvalidLocation(
            f"{function!r} is not a handler: it must be a function that takes the hit"
        )
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidLocation(
            f"{getattr(function, '__name__', function)} is not a handler: calling it would not "
            "run it (async def, or yield in it); use a plain function that takes the hit"
        )
    return function
