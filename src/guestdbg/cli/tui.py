"""`guestdbg tui`: a guest in an interface in the terminal."""

import importlib.util
from pathlib import Path
from typing import Any

import click

from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.source_option import source_option
from guestdbg.debugger import load
from guestdbg.tui.errors import MissingTextual


@click.command(
    short_help="Debug a guest in the terminal: source, registers, hits, console.",
    epilog="""\b
Examples:
  guestdbg tui examples/queue.elf --source examples
  guestdbg tui examples/queue.elf --break main --command continue
  guestdbg tui examples/queue.elf --history --watch "queue.tail if new > 8"
  guestdbg tui Image --initrd initrd.cpio.gz --vmlinux vmlinux -m 512M

\b
In it: `help` lists the commands, F1 the keys, Ctrl-C stops the guest, `quit`
ends. Exit status: 0 it was ended; 1 an error, see the message; 2 a wrong
command line.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option(
    "-b", "--break", "breaks", metavar="WHERE", multiple=True, help="A breakpoint. Repeatable."
)
@click.option(
    "-w", "--watch", "watches", metavar="WHAT[:r|w|rw]", multiple=True, help="A watch. Repeatable."
)
@click.option(
    "-x",
    "--command",
    "commands",
    metavar="TEXT",
    multiple=True,
    help="Carry out a command at the start. Repeatable.",
)
@source_option()
@click.option(
    "--theme",
    type=click.Choice(["dark", "light", "terminal"]),
    help="Colours; terminal: the terminal's own 16. [default: light or dark, as it says it is]",
)
@guest_options
@click.pass_context
def tui(
    ctx: click.Context,
    /,
    guest: Path,
    breaks: tuple[str, ...],
    watches: tuple[str, ...],
    commands: tuple[str, ...],
    folders: tuple[Path, ...],
    theme: str | None,
    **options: Any,
) -> None:
    """Debug GUEST in an interface in the terminal.

    It shows source and disassembly, registers, watched values, hits and the console, and has a
    prompt with commands as in GDB.
    """
    if importlib.util.find_spec("textual") is None:
        raise MissingTextual(
            "guestdbg tui needs textual, which is not installed: pip install textual "
            "(or guestdbg[tui])"
        )
    from guestdbg.tui.app import run_app
    from guestdbg.tui.feed import Feed

    feed = Feed()
    lines = [*(f"break {text}" for text in breaks), *(f"watch {text}" for text in watches)]
    with load(guest, console=feed.print, **options) as machine:
        status = run_app(machine, feed, folders=folders, lines=[*lines, *commands], theme=theme)
    ctx.exit(status)
