"""Text for the guest as written on a command line, with the usual escapes."""

import click

from guestdbg.machine.typed import unescape


def guest_text(text: str) -> bytes:
    """`unescape` as the type of a click option."""
    try:
        return unescape(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def number(text: str | int) -> int:
    """A number as a click option takes it: decimal, or hexadecimal after 0x."""
    try:
        return int(str(text), 0)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number; write e.g. 4096 or 0x1000") from None
