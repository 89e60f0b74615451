"""The option ``--source``: folders with source files of the guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Command = Callable[..., Any]


def source_option(
    text: str = "A folder with source files of the guest.",
) -> Callable[[_Command], _Command]:
    """Adds ``--source``, whose values are ``folders``; each must be there."""
    return click.option(
        "--source",
        "folders",
        metavar="DIR",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help=f"{text} Repeatable.",
    )
