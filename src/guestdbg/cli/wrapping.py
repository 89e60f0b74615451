"""Lines of output that fit the terminal."""

import shutil
import textwrap


def wrapped(text: str, *, indent: str = "", hanging: str | None = None) -> str:
    """One line of text on as many lines as the terminal's width needs (80 if it is not known).

    ``indent`` precedes the first line, ``hanging`` the others (default: the same). A word that is
    too long for a line is not broken. A line that fits is left as it is, with all its spaces.
    """
    width = max(40, shutil.get_terminal_size().columns)
    if len(indent + text) <= width:
        return indent + text
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
