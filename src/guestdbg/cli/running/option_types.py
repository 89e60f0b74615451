"""Option values: numbers, and text for the guest with the usual escapes."""

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
        return int(str(text), 0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number; write e.g. 4096 or 0x1000") from None
