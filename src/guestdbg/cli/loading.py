"""What the commands that load a guest have in common: how it is loaded, and on what board."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from guestdbg.cli.text import number
from guestdbg.kvm.provider import PROVIDERS

KINDS = ("auto", "elf", "raw", "image", "firmware")

#: The options, named as the arguments of ``guestdbg.load``.
_OPTIONS = (
    click.option(
        "--kind",
        type=click.Choice(KINDS),
        default="auto",
        show_default=True,
        help="What the guest's file is; a firmware is entered at address 0.",
    ),
    click.option("--address", metavar="N", type=number, help="Where a raw guest is loaded."),
    click.option(
        "--symbols",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="An ELF file with the symbols, where the guest has none.",
    ),
    click.option(
        "--slide",
        metavar="N",
        type=number,
        default=0,
        help="How far the guest moves itself from where it was linked.",
    ),
    click.option(
        "--memory", metavar="SIZE", default="128M", show_default=True, help="Of the guest."
    ),
    click.option(
        "--vcpus",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Processors.",
    ),
    click.option("--bootargs", metavar="TEXT", default="", help="A kernel's command line."),
    click.option(
        "--overwatch",
        metavar="N",
        type=number,
        default=0,
        help="Bytes that one register may watch too much where registers run out.",
    ),
    click.option(
        "--provider",
        type=click.Choice(PROVIDERS),
        default="auto",
        show_default=True,
        help="Who runs it: our processor, or the kernel's KVM.",
    ),
)


def guest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which passes them on to ``load``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
