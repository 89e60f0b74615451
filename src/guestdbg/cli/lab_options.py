"""The options that choose the lab's machine, for all commands that boot one."""

import functools
from collections.abc import Callable
from typing import Any

import click

from guestdbg.lab.fetch.packages import SUITE

_OPTIONS = (
    click.option(
        "--cpu",
        default="nvhe",
        show_default=True,
        metavar="nvhe|vhe|NAME",
        help="The processor: nvhe (Cortex-A57, A72 for Linux 6.14 and later), vhe (slower), or a "
        "name of QEMU's.",
    ),
    click.option(
        "--debian",
        metavar="RELEASE",
        default=SUITE,
        show_default=True,
        help="Release to take the kernel from: bookworm (Linux 6.1), trixie (6.12), sid (the "
        "newest).",
    ),
    click.option(
        "--append", metavar="TEXT", default="", help="Arguments for the kernel, such as nokaslr."
    ),
    click.option(
        "--machine",
        metavar="NAME=VALUE,...",
        default="",
        help="Properties for QEMU's machine, such as secure=on.",
    ),
    click.option(
        "--qemu",
        metavar="PATH",
        help="The QEMU to run: a program or a script.  [default: qemu-system-aarch64]",
    ),
)


def lab_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a click command, which gets one argument ``chosen`` for all of them.

    ``chosen`` are arguments of ``Lab``.
    """

    @functools.wraps(command)
    def with_chosen(
        *args: Any, cpu: str, debian: str, append: str, machine: str, qemu: str | None, **more: Any
    ) -> Any:
        chosen = {
            "cpu": cpu,
            "suite": debian,
            "append": append,
            "machine": machine,
            "qemu": qemu,
        }
        return command(*args, chosen=chosen, **more)

    for option in reversed(_OPTIONS):
        option(with_chosen)
    return with_chosen
