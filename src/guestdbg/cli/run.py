"""`guestdbg run`: run a guest under watch from the command line."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from guestdbg.cli import keyboard
from guestdbg.cli.diagnosis import diagnose
from guestdbg.cli.loading import guest_options
from guestdbg.cli.session import Session
from guestdbg.cli.summary import print_summary, record
from guestdbg.cli.terminal import Terminal
from guestdbg.cli.text import guest_text
from guestdbg.cli.tracing import Lines, Log, Sink, Tracer
from guestdbg.debugger import Breakpoint, Guest, Point, load
from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec, parse_break, parse_watch
from guestdbg.errors import GuestdbgError


class Until:
    """Looks for a text in what the guest prints, across the pieces it comes in."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._tail = b""

    def seen(self, data: bytes) -> bool:
        window = self._tail + data
        self._tail = window[-(len(self._text) - 1) :] if len(self._text) > 1 else b""
        return self._text in window


@click.command(
    short_help="A guest under breakpoints and watchpoints, every hit shown.",
    epilog="""\b
WHERE is a symbol (main), a symbol with an offset (main+0x10), an address
(0x40080000) or a source line (queue.c:25). WHAT is a variable, a member
(queue.tail), a symbol or an address; an address takes a length in bytes
(0x40090000,64), and each can say which accesses count: :r, :w (unless told
otherwise) or :rw. Either may end in a condition, over new, old, pc, address,
size, count, function, file, line, x0 to x30, sp, and variables of the guest.

\b
Examples:
  guestdbg run examples/queue.elf --watch queue.tail --count 5 --backtrace
  guestdbg run examples/queue.elf \\
      --watch "queue.tail if function != 'queue_push'" --count 1 --backtrace
  guestdbg run examples/queue.elf --watch queue.tail:rw --trace-only \\
      --log q.jsonl
  guestdbg run u-boot.bin --kind firmware --answer "Hit any key" " " \\
      --answer "=> " "version\\n" --until "=> " --timeout 60

\b
Exit status: 0 the guest powered off, or there were enough hits (--count);
1 something was wrong, and the message says what; 2 a wrong command line;
124 a limit was reached; 130 Ctrl-C.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option("-b", "--break", "breaks", metavar="WHERE", multiple=True, help="Stop at this code.")
@click.option(
    "-w", "--watch", "watches", metavar="WHAT[:r|w|rw]", multiple=True, help="Watch this memory."
)
@click.option(
    "--count", metavar="N", type=click.IntRange(1), help="End after N hits. [default: go on]"
)
@click.option("--backtrace", is_flag=True, help="With each hit, who called.")
@click.option(
    "--log",
    "log_path",
    metavar="FILE.jsonl",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write hits, and the end, as JSON lines.",
)
@click.option(
    "--trace-only",
    is_flag=True,
    help="Hits as JSON lines only, to --log or to stdout: no hit lines, no console, no progress.",
)
@click.option("--timeout", metavar="S", type=click.FloatRange(0, min_open=True), help="Seconds.")
@click.option(
    "--max-instructions", metavar="N", type=click.IntRange(1), help="Instructions, of all vCPUs."
)
@click.option(
    "--until", metavar="TEXT", type=guest_text, help="End once the guest has printed TEXT."
)
@click.option("--input", "typed", metavar="TEXT", type=guest_text, help="Type TEXT to the guest.")
@click.option(
    "--answer",
    "answers",
    metavar="EXPECTED TEXT",
    nargs=2,
    multiple=True,
    type=guest_text,
    help="Once the guest has printed EXPECTED, type TEXT; several come in turn.",
)
@guest_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    guest: Path,
    breaks: tuple[str, ...],
    watches: tuple[str, ...],
    count: int | None,
    backtrace: bool,
    log_path: Path | None,
    trace_only: bool,
    timeout: float | None,
    max_instructions: int | None,
    until: bytes | None,
    typed: bytes | None,
    answers: tuple[tuple[bytes, bytes], ...],
    **options: Any,
) -> None:
    """Run GUEST under hardware breakpoints and watchpoints, and tell of each hit.

    The guest's console is stdout and stdin; hits and the summary go to stderr.
    """
    wanted_breaks = [parse_break(text) for text in breaks]
    wanted_watches = [parse_watch(text) for text in watches]
    if count is not None and not breaks and not watches:
        raise click.UsageError("--count without --break or --watch: there is nothing to count.")
    terminal = Terminal(console=not trace_only)
    terminal.quiet = terminal.quiet or trace_only
    with contextlib.ExitStack() as stack:
        session: Session | None = None
        end_text = Until(until) if until else None

        def console(data: bytes) -> None:
            terminal.guest_wrote(data)
            if end_text is not None and until is not None and end_text.seen(data) and session:
                session.text_seen(until.decode(errors="replace"))

        machine = stack.enter_context(load(guest, console=console, **options))
        log = _open_log(stack, log_path, trace_only, backtrace)
        sinks: list[Sink] = [] if trace_only else [Lines(terminal, backtrace=backtrace)]
        sinks += [log] if log is not None else []
        tracer = Tracer(sinks, count)
        session = Session(
            machine, terminal, tracer, timeout=timeout, max_instructions=max_instructions
        )
        points = _arm(machine, terminal, wanted_breaks, wanted_watches, tracer.attach)
        for expected, reply in answers:
            machine.board.console.answer(expected, reply)
        if typed:
            machine.board.console.feed(typed)
        failure: GuestdbgError | None = None
        try:
            with keyboard.passed_on(session.type):
                ending = session.run()
        except GuestdbgError as error:
            failure = error
            ending = session.failed(error)
        totals = session.totals()
        if log is not None:
            log.write(record(ending, totals, points))
        print_summary(terminal, ending, totals, points)
        if failure is None and ending.reason not in ("exit", "count", "output"):
            terminal.line(*diagnose(machine, lost=ending.reason != "error"))
        ctx.exit(ending.status)


def _open_log(
    stack: contextlib.ExitStack, path: Path | None, trace_only: bool, backtrace: bool
) -> Log | None:
    """The log, if one is wanted; `--trace-only` without a file, and `-`, mean stdout."""
    if path is None and not trace_only:
        return None
    # Line by line, so that `tail -f` and `| jq` see a hit when it happens.
    if path is not None and str(path) != "-":
        file: TextIO = stack.enter_context(path.open("w", encoding="utf-8", buffering=1))
    else:
        stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        file = stack.enter_context(stdout)
    return Log(file, backtrace=backtrace)


def _arm(
    guest: Guest,
    terminal: Terminal,
    breaks: list[BreakSpec],
    watches: list[WatchSpec],
    attach: Callable[[Point, BreakSpec | WatchSpec], None],
) -> list[tuple[str, Point]]:
    """Sets all the points; the label of each is what was written on the command line."""
    points: list[tuple[str, Point]] = []
    # Whether there are such variables is better said now than at the first hit, after an hour.
    for condition in [place.condition for place in breaks] + [what.condition for what in watches]:
        if condition is not None:
            condition.check(guest)
    for place in breaks:
        breakpoint_ = guest.break_(place.where, when=place.condition, kind="auto")
        if isinstance(breakpoint_, Breakpoint) and breakpoint_.why_software:
            terminal.line(
                f"-- {place.text} is a software breakpoint (BRK): {breakpoint_.why_software}"
            )
        points.append((place.text, breakpoint_))
        attach(breakpoint_, place)
    for what in watches:
        watch = guest.watch(what.where, what.length, access=what.access, when=what.condition)
        points.append((what.text, watch))
        attach(watch, what)
    return points
