"""`guestdbg fuzz`: a guest as the target of AFL++, and one input at a time for people."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.running.option_types import Seconds, guest_text, number
from guestdbg.fuzz.afl import AflTarget, started_by_afl
from guestdbg.regular_file import read_regular_file

if TYPE_CHECKING:
    # Imported later: AFL++ waits for its first word.
    from guestdbg.fuzz import FuzzTarget
    from guestdbg.fuzz.afl import OnHang

_EXIT_CRASH = 1
_EXIT_HANG = 124
#: How long executions are counted, for their rate.
_RATE_SECONDS = 0.5


@click.command(
    short_help="Make a guest the target of AFL++; replay the inputs that it finds.",
    epilog="""\b
BUFFER is a variable or an address, or x0 to x30 or *POINTER, which have the
address. LENGTH is a register, a variable, or ADDRESS:SIZE; without it, a zero
byte follows the input. WHERE and WHAT are those of guestdbg run.

\b
Examples:
  guestdbg fuzz examples/packet.elf --at parse --input buffer,length
  afl-fuzz -U -i IN -o OUT -- guestdbg fuzz examples/packet.elf \\
      --at parse --input buffer,length
The first tries the target, and says how fast it is. AFL++ is given the same
command (-U: it is no program that AFL++ has compiled). With --replay
OUT/default/crashes/FILE it shows what a crash is.

\b
Exit status, with --replay that of the worst input: 0 it ended; 1 a crash, or
an error, see the message; 2 a wrong command line; 124 a hang.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option("--at", metavar="WHERE", help="Where inputs begin. [default: where a saved guest is]")
@click.option(
    "--input", "place", metavar="BUFFER[,LENGTH]", required=True, help="Where an input goes."
)
@click.option(
    "--until",
    metavar="WHERE",
    default="return",
    show_default=True,
    help="Where an input ends. return: where the function returns to.",
)
@click.option(
    "--max-length",
    metavar="N",
    type=number,
    help="Bytes of an input; more are cut off. [default: the size of BUFFER]",
)
@click.option(
    "--max-instructions",
    metavar="N",
    type=number,
    default=1_000_000,
    show_default=True,
    help="An input that takes more is a hang.",
)
@click.option(
    "--crash", metavar="WHERE", multiple=True, help="Executing this is a crash. Repeatable."
)
@click.option(
    "--crash-watch",
    metavar="WHAT",
    multiple=True,
    help="Accessing this is a crash, as for --watch. Repeatable.",
)
@click.option(
    "--exceptions/--no-exceptions",
    default=True,
    help="Whether a synchronous exception at EL1 is a crash. [default: it is]",
)
@click.option(
    "--hang",
    type=click.Choice(["wait", "crash", "ignore"]),
    default="wait",
    show_default=True,
    help="What AFL++ gets for a hang. wait: nothing, until its time is over (-t).",
)
@click.option(
    "--replay",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run this input, and show what it does. Repeatable.",
)
@click.option(
    "--answer",
    "answers",
    metavar="EXPECTED TEXT",
    nargs=2,
    multiple=True,
    type=guest_text,
    help="On the way to --at: when the guest has printed EXPECTED, type TEXT. Repeatable.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(0),
    help="The guest must come to --at in this time.",
)
@guest_options
@click.pass_context
def fuzz(
    ctx: click.Context,
    /,
    guest: Path,
    place: str,
    hang: OnHang,
    replay: tuple[Path, ...],
    answers: tuple[tuple[bytes, bytes], ...],
    **options: Any,
) -> None:
    """Give GUEST one input after the other, always from the same state: for AFL++.

    The guest runs to --at; each input starts there.
    """
    afl = AflTarget(hang) if started_by_afl() and not replay else None
    answered = afl is not None and afl.announce()
    from guestdbg.debugger import load
    from guestdbg.fuzz import FuzzTarget

    of_target = {name: options.pop(name) for name in _OF_TARGET} | {"input": place}
    console = None if afl is not None or not replay else sys.stdout.buffer.write
    with load(guest, console=console, **options) as machine:
        for expected, reply in answers:
            machine.board.console.answer(expected, reply)
        counters = None if afl is None else afl.counters
        with FuzzTarget(machine, counters=counters, **of_target) as target:
            if replay:
                ctx.exit(max(_replay(target, path) for path in replay))
            if afl is None:
                _try(target)
            elif answered:
                afl.serve(target)
            else:
                _run_once(afl, target)


#: The options with the names of arguments of ``FuzzTarget``.
_OF_TARGET = (
    *("at", "until", "crash", "crash_watch", "exceptions"),
    *("max_length", "max_instructions", "timeout"),
)


def _run_once(afl: AflTarget, target: FuzzTarget) -> None:
    """Run one input, and end as a process of the host would have ended."""
    outcome = afl.run_once(target)
    if outcome.signal:
        signal.signal(outcome.signal, signal.SIG_DFL)
        os.kill(os.getpid(), outcome.signal)


def _replay(target: FuzzTarget, path: Path) -> int:
    """Run one input and show what it does; the exit status for it."""
    data = read_regular_file(path, what="input")
    counters, outcome = target(data)
    sys.stdout.flush()
    click.echo(f"{path}: {len(data)} bytes", err=True)
    if len(data) > target.input.max_length:
        click.echo(f"  the first {target.input.max_length} of them", err=True)
    click.echo(f"  {outcome}", err=True)
    if outcome.kind != "end":
        for frame in target.backtrace(outcome):
            click.echo(f"    in {frame.location}", err=True)
    edges = sum(map(bool, counters))
    executed = target.instructions
    click.echo(f"  {edges:,} edges, {executed:,} instructions", err=True)
    return {"end": 0, "crash": _EXIT_CRASH, "hang": _EXIT_HANG}[outcome.kind]


def _try(target: FuzzTarget) -> None:
    """Say that the target works, and how AFL++ is started."""
    _, outcome = target(b"")
    count, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < _RATE_SECONDS:
        target(b"")
        count += 1
    click.echo(
        f"Inputs have up to {target.input.max_length} bytes, at {target.input.address:#x}. "
        f"The empty one:\n  {outcome}\n"
        f"  {count / passed:,.0f} executions a second\n"
        "AFL++ starts this target; IN is a directory with one input or more:\n"
        f"  afl-fuzz -U -i IN -o OUT -- guestdbg {shlex.join(sys.argv[1:])}"
    )
