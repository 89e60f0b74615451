"""`guestdbg run`: a guest with breakpoints and watchpoints, from the command line."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from guestdbg.cli.running import keyboard
from guestdbg.cli.running.diagnosis import diagnose
from guestdbg.cli.running.guest_run import GuestRun
from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.running.option_types import guest_text
from guestdbg.cli.running.summary import print_summary, record
from guestdbg.cli.running.terminal import Terminal
from guestdbg.cli.running.text_finder import TextFinder
from guestdbg.cli.running.tracer import HitLines, HitLog, HitSink, HitTracer
from guestdbg.debugger import Breakpoint, Guest, Point, load
from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec, parse_break, parse_watch
from guestdbg.errors import GuestdbgError


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
  guestdbg run examples/queue.elf --watch queue.tail:rw --trace-only \\
      --log q.jsonl
  guestdbg run u-boot.bin --kind firmware --answer "Hit any key" " " \\
      --answer "=> " "version\\n" --until "=> " --timeout 60

\b
Exit status: 0 the guest powered off, or there were enough hits (--count);
1 an error, see the message; 2 a wrong command line; 124 a limit was reached;
130 Ctrl-C.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option(
    "-b",
    "--break",
    "breaks",
    metavar="WHERE",
    multiple=True,
    help="Report each time this code is reached. Repeatable.",
)
@click.option(
    "-w",
    "--watch",
    "watches",
    metavar="WHAT[:r|w|rw]",
    multiple=True,
    help="Report each access to this memory. Repeatable.",
)
@click.option(
    "--count",
    metavar="N",
    type=click.IntRange(1),
    help="End the run after N hits. [default: no limit]",
)
@click.option("--backtrace", is_flag=True, help="Show the callers with each hit.")
@click.option(
    "--log",
    "log_path",
    metavar="FILE.jsonl",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write hits, and how the run ended, as JSON lines.",
)
@click.option(
    "--trace-only",
    is_flag=True,
    help="Only JSON lines, to --log or stdout: no hit lines, no console, no progress.",
)
@click.option(
    "--timeout", metavar="S", type=click.FloatRange(0, min_open=True), help="End after S seconds."
)
@click.option(
    "--max-instructions",
    metavar="N",
    type=click.IntRange(1),
    help="End after N instructions of all vCPUs together.",
)
@click.option(
    "--until", metavar="TEXT", type=guest_text, help="End when the guest has printed TEXT."
)
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
    """Run GUEST with hardware breakpoints and watchpoints, and report each hit.

    The guest's console is stdout and stdin; hits and the summary go to stderr.
    """
    break_specs = [parse_break(text) for text in breaks]
    watch_specs = [parse_watch(text) for text in watches]
    if count is not None and not breaks and not watches:
        raise click.UsageError("--count without --break or --watch: there is nothing to count.")
    terminal = Terminal(console=not trace_only)
    terminal.quiet = terminal.quiet or trace_only
    with contextlib.ExitStack() as stack:
        guest_run: GuestRun | None = None
        finder = TextFinder(until) if until else None

        def console(data: bytes) -> None:
            terminal.guest_wrote(data)
            if finder is not None and until is not None and finder.feed(data) and guest_run:
                guest_run.text_seen(until.decode(errors="replace"))

        machine = stack.enter_context(load(guest, console=console, **options))
        log = _open_log(stack, log_path, trace_only, backtrace)
        sinks: list[HitSink] = [] if trace_only else [HitLines(terminal, backtrace=backtrace)]
        sinks += [log] if log is not None else []
        tracer = HitTracer(sinks, count)
        guest_run = GuestRun(
            machine, terminal, tracer, timeout=timeout, max_instructions=max_instructions
        )
        points = _arm(machine, terminal, break_specs, watch_specs, tracer.attach)
        for expected, reply in answers:
            machine.board.console.answer(expected, reply)
        if typed:
            machine.board.console.feed(typed)
        failure: GuestdbgError | None = None
        try:
            with keyboard.passed_on(guest_run.type, guest_run.pending):
                outcome = guest_run.run()
        except GuestdbgError as error:
            failure = error
            outcome = guest_run.failed(error)
        totals = guest_run.totals()
        if log is not None:
            log.write(record(outcome, totals, points))
        print_summary(terminal, outcome, totals, points)
        if failure is None and outcome.reason not in ("exit", "count", "output"):
            terminal.line(*diagnose(machine, lost=outcome.reason != "error"))
        ctx.exit(outcome.status)


def _open_log(
    stack: contextlib.ExitStack, path: Path | None, trace_only: bool, backtrace: bool
) -> HitLog | None:
    """The log, if the options ask for it; `-`, or `--trace-only` alone, is stdout."""
    if path is None and not trace_only:
        return None
    # Line-buffered, so that `tail -f` and `| jq` see a hit when it happens.
    if path is not None and str(path) != "-":
        file: TextIO = stack.enter_context(path.open("w", encoding="utf-8", buffering=1))
    else:
        stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        file = stack.enter_context(stdout)
    return HitLog(file, backtrace=backtrace)


def _arm(
    guest: Guest,
    terminal: Terminal,
    breaks: list[BreakSpec],
    watches: list[WatchSpec],
    attach: Callable[[Point, BreakSpec | WatchSpec], None],
) -> list[tuple[str, Point]]:
    """Set all breakpoints and watchpoints. Returns each with its text of the command line."""
    points: list[tuple[str, Point]] = []
    # Unknown variables are reported now, and not at the first hit, which may come after an hour.
    specs: list[BreakSpec | WatchSpec] = [*breaks, *watches]
    for spec in specs:
        if spec.condition is not None:
            spec.condition.check(guest)
    for spec in breaks:
        breakpoint_ = guest.break_(spec.where, when=spec.condition, kind="auto")
        if isinstance(breakpoint_, Breakpoint) and breakpoint_.why_software:
            terminal.line(
                f"-- {spec.text} is a software breakpoint (BRK): {breakpoint_.why_software}"
            )
        points.append((spec.text, breakpoint_))
        attach(breakpoint_, spec)
    for spec in watches:
        watch = guest.watch(spec.where, spec.length, access=spec.access, when=spec.condition)
        points.append((spec.text, watch))
        attach(watch, spec)
    return points
