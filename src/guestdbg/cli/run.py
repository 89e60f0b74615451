"""`guestdbg run`: a guest with breakpoints and watchpoints, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.cli.running import keyboard
from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.running.option_types import guest_text
from guestdbg.cli.running.report_options import report_options
from guestdbg.cli.running.saved_run import SaveOptions
from guestdbg.cli.running.session import Reports, Typing, perform
from guestdbg.debugger import load

if TYPE_CHECKING:
    from guestdbg.debugger import Guest


@click.command(
    short_help="Run a guest with breakpoints and watchpoints; show every hit.",
    epilog="""\b
WHERE is a symbol (main), a symbol with an offset (main+0x10), an address
(0x40080000) or a source line (queue.c:25). WHAT is a variable, a member
(queue.tail), a symbol or an address. An address may have a length in bytes
(0x40090000,64). WHAT may end in :r, :w (the default) or :rw: the accesses
that count. Both may have a condition after `if`. It can use new, old, pc,
address, size, count, function, file, line, x0 to x30, sp, and variables of
the guest.

\b
Examples:
  guestdbg run examples/queue.elf --watch queue.tail --count 5 --backtrace
  guestdbg run examples/queue.elf \\
      --watch "queue.tail if function != 'queue_push'" --count 1 --backtrace
  guestdbg run examples/queue.elf --watch queue.tail:rw --log-only \\
      --log q.jsonl
  guestdbg run examples/queue.elf --last-write queue.tail
  guestdbg run examples/queue.elf --save queue.guestrun
  guestdbg run u-boot.bin --kind firmware --answer "Hit any key" " " \\
      --answer "=> " "version\\n" --until "=> " --timeout 60

\b
Exit status: 0 the guest powered off, or there were enough hits (--count);
1 an error, see the message; 2 a wrong command line; 3 the guest's kernel
panicked (--on-panic); 124 a limit was reached; 130 Ctrl-C, or Ctrl-] with
--raw.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@report_options
@click.option("--input", "typed", metavar="TEXT", type=guest_text, help="Type TEXT at the start.")
@click.option(
    "--answer",
    "answers",
    metavar="EXPECTED TEXT",
    nargs=2,
    multiple=True,
    type=guest_text,
    help="When the guest has printed EXPECTED, type TEXT. Repeatable, in this order.",
)
@keyboard.raw_option
@click.option(
    "--save",
    metavar="FILE.guestrun",
    type=click.Path(path_type=Path, dir_okay=False),
    help="At the end, write the run to this file, for guestdbg replay; means --history.",
)
@click.option("--save-overwrite", is_flag=True, help="The file of --save may exist: replace it.")
@guest_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    guest: Path,
    typed: bytes | None,
    answers: tuple[tuple[bytes, bytes], ...],
    raw: bool,
    save: Path | None,
    save_overwrite: bool,
    **options: Any,
) -> None:
    """Run GUEST with hardware breakpoints and watchpoints, and report each hit.

    The guest's console is stdout and stdin; hits and the summary go to stderr.
    """
    if save_overwrite and save is None:
        raise click.UsageError("--save-overwrite without --save: there is no file to write.")
    reports = Reports(**{name: options.pop(name) for name in Reports.__dataclass_fields__})
    options["history"] = options["history"] or bool(reports.last_write or reports.origin)
    options["history"] = options["history"] or save is not None

    def make(console: Callable[[bytes], None]) -> Guest:
        return load(guest, console=console, **options)

    inputs = [guest, *(path for path in options.values() if isinstance(path, Path))]
    if options["drives"]:
        from guestdbg.machine.virtio import parse_drive

        inputs += [Path(parse_drive(drive).path) for drive in options["drives"]]
    saving = None if save is None else SaveOptions(save, save_overwrite)
    perform(ctx, make, reports, Typing(typed, answers, raw), inputs, saving)
