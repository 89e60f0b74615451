"""`guestdbg replay`: a recorded run again, with other breakpoints, watchpoints and questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.cli.running.load_options import replay_options
from guestdbg.cli.running.report_options import report_options
from guestdbg.cli.running.session import Reports, perform
from guestdbg.container import RECORDED_RUN, ContainerError, form_of
from guestdbg.container.forms import MAGIC_SIZE
from guestdbg.debugger import load
from guestdbg.machine.virtio import parse_drive

if TYPE_CHECKING:
    from guestdbg.debugger import Guest


@click.command(
    short_help="Play a run that was recorded to a file.",
    epilog="""\b
A run is recorded by `guestdbg run --save FILE.guestrun`, or by
guest.history.save(FILE) in Python. WHERE and WHAT are those of guestdbg run.

\b
Examples:
  guestdbg run examples/queue.elf --save queue.guestrun
  guestdbg replay queue.guestrun --last-write queue.tail
  guestdbg replay queue.guestrun --watch "queue.tail if new > 20" --backtrace
  guestdbg gdb queue.guestrun                 with reverse-continue

\b
Exit status: 0 the run has been played to its end, or there were enough hits
(--count); that of the guest if it powered off; 1 an error, see the message; 2
a wrong command line; 3 the guest's kernel panicked (--on-panic); 124 a limit
was reached; 130 Ctrl-C.
""",
)
@click.argument("recording", metavar="RUN", type=click.Path(path_type=Path))
@report_options
@replay_options
@click.pass_context
def replay(ctx: click.Context, /, recording: Path, **options: Any) -> None:
    """Play the recorded RUN: the guest does again what it did, instruction by instruction.

    Its input comes from the file, and nothing reaches the outside. What it prints goes to stdout,
    hits and the summary to stderr.
    """
    reports = Reports(**{name: options.pop(name) for name in Reports.__dataclass_fields__})
    _check(recording)

    def make(console: Callable[[bytes], None]) -> Guest:
        return load(recording, console=console, **options)

    inputs = [recording, *(path for path in options.values() if isinstance(path, Path))]
    inputs += [Path(parse_drive(drive).path) for drive in options["drives"]]
    perform(ctx, make, reports, None, inputs)


def _check(path: Path) -> None:
    """Raise ContainerError for another file that ``load`` takes."""
    if not path.is_file():
        return  # loading it says why
    with path.open("rb") as file:
        form = form_of(file.read(MAGIC_SIZE))
    if form is RECORDED_RUN:
        return
    what = "a saved guest" if form is not None else "no recorded run"
    raise ContainerError(
        f"{path}: {what}; guestdbg run --save FILE.guestrun records one, and guestdbg run runs a "
        "guest"
    )
