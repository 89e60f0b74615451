"""Option values: numbers, and text for the guest with the usual escapes."""

import math
from typing import Any

import click

from guestdbg.machine.escapes import unescape


def guest_text(text: str) -> bytes:
    """`unescape` as the type of a click option."""
    try:
        return unescape(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def number(text: str | int) -> int:
    """An integer as the type of a click option: decimal, or hexadecimal after 0x."""
    try:
        value = int(str(text), 0)
    except ValueError:
        short = f"{text!r}" if len(str(text)) < 80 else f"a text of {len(str(text))} characters"
        raise click.BadParameter(f"{short} is not a number; write e.g. 4096 or 0x1000") from None
    if not -(1 << 63) <= value < 1 << 64:
        raise click.BadParameter("the number does not fit 64 bits")
    return value


class Seconds(click.FloatRange):
    """A time in seconds as the type of a click option: a number, not `nan` or `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a time: give a number of seconds", param, ctx)
        return seconds
