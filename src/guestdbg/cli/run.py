"""`guestdbg run`: a guest with breakpoints and watchpoints, from the command line."""

import contextlib
from pathlib import Path
from typing import Any, Literal

import click

from guestdbg.cli.output_file import Existing, OutputFile
from guestdbg.cli.running import (
    coverage,
    diagnosis,
    keyboard,
    last_writes,
    linux_state,
    origins,
    panic,
)
from guestdbg.cli.running.guest_run import GuestRun
from guestdbg.cli.running.hit_log import HitLog, NoLog, check_log_path, make_log
from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.running.messages import show_messages
from guestdbg.cli.running.option_types import Seconds, guest_text
from guestdbg.cli.running.points import ArmedPoints, PointSpecs, arm
from guestdbg.cli.running.summary import RunOutcome, Totals, print_summary, record
from guestdbg.cli.running.terminal import Terminal
from guestdbg.cli.running.text_finder import TextFinder
from guestdbg.cli.running.tracer import HitLines, HitSink, HitTracer
from guestdbg.debugger import Guest, load
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.errors import GuestdbgError
from guestdbg.machine.virtio import parse_drive


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
    "--after",
    metavar="WHERE",
    help="Set --break and --watch when this code is reached for the first time.",
)
@click.option(
    "--task",
    metavar="PID|NAME",
    help="Only in this process of a Linux guest; one of that name may begin later.",
)
@click.option(
    "--exec",
    "programs",
    metavar="FILE:FUNCTION",
    multiple=True,
    help="Report each time a program of a Linux guest, /usr/bin/foo:main, gets there. Repeatable.",
)
@click.option(
    "--follow-fork",
    type=click.Choice(["parent", "child", "both"]),
    default="parent",
    show_default=True,
    help="Who keeps the breakpoints of --exec when a process forks.",
)
@click.option(
    "--sysroot",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with the guest's files, for --exec; otherwise its page cache has them.",
)
@click.option(
    "--follow-pointer",
    is_flag=True,
    help="Let a --watch through pointers move when these change; takes a register for each.",
)
@click.option(
    "--count",
    metavar="N",
    type=click.IntRange(1),
    help="End the run after N hits. [default: no limit]",
)
@click.option("--backtrace", is_flag=True, help="Show the callers with each hit.")
@click.option(
    "--backtrace-limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"Show at most N frames (default {DEFAULT_LIMIT}); means --backtrace.",
)
@click.option(
    "--show",
    "shown",
    metavar="WHAT",
    type=linux_state.what,
    help="At the end show tasks, threads, dmesg, modules, mounts or interrupts of a Linux guest; "
    "several with commas.",
)
@click.option(
    "--log",
    "log_path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write hits, and how the run ended, to a new file: JSON lines, or a table if its name "
    "ends in .parquet or .csv.",
)
@click.option("--log-append", is_flag=True, help="The log may exist: write at its end.")
@click.option("--log-overwrite", is_flag=True, help="The log may exist: replace its contents.")
@click.option(
    "--log-only",
    is_flag=True,
    help="Only the log, to --log or stdout: no hit lines, no console, no progress.",
)
@click.option("--trace-only", is_flag=True, hidden=True)
@click.option(
    "--last-write",
    "last_write",
    metavar="WHAT",
    multiple=True,
    help="At the end, show the last write to this memory; means --history. Repeatable.",
)
@click.option(
    "--origin",
    "origin",
    metavar="WHAT",
    multiple=True,
    help="At the end, show where the value of WHAT came from; means --history. Repeatable.",
)
@coverage.coverage_options
@click.option("--timeout", metavar="S", type=Seconds(0, min_open=True), help="End after S seconds.")
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
@keyboard.raw_option
@guest_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    guest: Path,
    breaks: tuple[str, ...],
    watches: tuple[str, ...],
    after: str | None,
    task: str | None,
    programs: tuple[str, ...],
    follow_fork: Literal["parent", "child", "both"],
    sysroot: Path | None,
    follow_pointer: bool,
    count: int | None,
    backtrace: bool,
    backtrace_limit: int | None,
    shown: tuple[str, ...] | None,
    log_path: Path | None,
    log_append: bool,
    log_overwrite: bool,
    log_only: bool,
    trace_only: bool,
    last_write: tuple[str, ...],
    origin: tuple[str, ...],
    coverage_paths: tuple[Path, ...],
    coverage_form: str | None,
    coverage_overwrite: bool,
    timeout: float | None,
    max_instructions: int | None,
    until: bytes | None,
    typed: bytes | None,
    answers: tuple[tuple[bytes, bytes], ...],
    raw: bool,
    **options: Any,
) -> None:
    """Run GUEST with hardware breakpoints and watchpoints, and report each hit.

    The guest's console is stdout and stdin; hits and the summary go to stderr.
    """
    specs = PointSpecs(breaks, watches, after, follow_pointer, task, programs)
    if count is not None and not breaks and not watches and not programs:
        raise click.UsageError("--count without --break or --watch: there is nothing to count.")
    existing = _existing(log_path, log_append, log_overwrite)
    check_log_path(log_path, existing)
    log_only = log_only or _deprecated(trace_only)
    frames = backtrace_limit or (DEFAULT_LIMIT if backtrace else None)
    terminal = Terminal(console=not log_only)
    terminal.quiet = terminal.quiet or log_only or raw
    with contextlib.ExitStack() as stack:
        covered = stack.enter_context(
            coverage.CoverageFiles(coverage_paths, coverage_form, overwrite=coverage_overwrite)
        )
        guest_run: GuestRun | None = None
        finder = TextFinder(until) if until else None

        def console(data: bytes) -> None:
            terminal.guest_wrote(data)
            if finder is not None and until is not None and finder.feed(data) and guest_run:
                guest_run.text_seen(until.decode(errors="replace"))

        options["history"] = options["history"] or bool(last_write or origin)
        machine = stack.enter_context(load(guest, console=console, **options))
        last_writes.check(machine, last_write)
        origins.check(machine, origin)
        sinks: list[HitSink] = [] if log_only else [HitLines(terminal, backtrace=frames)]
        tracer = HitTracer(sinks, count)
        guest_run = GuestRun(
            machine, terminal, tracer, timeout=timeout, max_instructions=max_instructions
        )
        if sysroot is not None:
            machine.linux.processes.sysroot = sysroot
        armed = arm(machine, terminal, specs, tracer.attach, follow_fork)
        for expected, reply in answers:
            machine.board.console.answer(expected, reply)
        if typed:
            machine.board.console.feed(typed)
        log: HitLog = NoLog()
        if log_path is not None or log_only:
            # Last of all: a command that fails changes no file.
            file = stack.enter_context(
                OutputFile(
                    log_path or Path("-"), "--log", existing, _inputs(guest, machine, options)
                )
            )

            def log_failed(error: OSError) -> None:
                if log_only:
                    raise error  # there would be no other report of what the guest does
                terminal.line(
                    f"-- the log ends here: {error.filename}: {error.strerror}; the run goes on"
                )

            log = make_log(file, log_path, backtrace=frames, on_failure=log_failed)
            stack.callback(log.close)
            sinks.append(log)
        covered.begin(machine)
        show_messages(machine, None if log_only else terminal, log.write)
        failure: GuestdbgError | None = None
        try:
            with keyboard.passed_on(
                guest_run.type,
                guest_run.pending,
                guest_run.end_input,
                escaped=guest_run.escape if raw else None,
            ):
                outcome = guest_run.run()
        except GuestdbgError as error:
            failure = error
            outcome = guest_run.failed(error)
        totals = guest_run.totals()
        log.write(_end(machine, outcome, totals, armed, backtrace_limit))
        print_summary(terminal, machine, outcome, totals, armed)
        if outcome.reason == "panic":
            terminal.line(*panic.lines(machine, backtrace_limit))
        elif failure is None and outcome.reason not in ("exit", "count", "output"):
            terminal.line(*diagnosis.diagnose(machine, lost=outcome.reason != "error"))
        terminal.line(*linux_state.lines(machine, shown or ()))
        is_written = covered.write(terminal)
        # Asked wherever the run has stopped, also at a limit, which has a status of its own.
        asked = last_writes.show(terminal, machine, last_write, limit=frames, log=log.write)
        asked = origins.show(terminal, machine, origin, log=log.write) or asked
        status = outcome.status or asked
        log.close()
        incomplete = terminal.console_failure is not None or log.failed
        ctx.exit(status or int(incomplete or not is_written))


def _end(
    machine: Guest, outcome: RunOutcome, totals: Totals, armed: ArmedPoints, limit: int | None
) -> dict[str, Any]:
    """What the log has of the end of the run."""
    end = record(machine, outcome, totals, armed) | {"vcpus": diagnosis.records(machine)}
    if outcome.reason == "panic":
        end["panic"] = panic.record(machine, limit)
    return end


def _inputs(guest: Path, machine: Guest, options: dict[str, Any]) -> list[Path]:
    """The files that the run reads."""
    return [
        guest,
        *(option for option in options.values() if isinstance(option, Path)),
        *(image.path for image in machine.images),
        *(Path(parse_drive(drive).path) for drive in options["drives"]),
    ]


def _deprecated(trace_only: bool) -> bool:
    if trace_only:
        name = "--trace-only is now called --log-only; the next version will not have the old name"
        click.echo(f"guestdbg: {name}", err=True)
    return trace_only


def _existing(path: Path | None, append: bool, overwrite: bool) -> Existing:
    """What to do with a log that exists."""
    if append and overwrite:
        raise click.UsageError("--log-append and --log-overwrite: give one of them.")
    if (append or overwrite) and path is None:
        option = "--log-append" if append else "--log-overwrite"
        raise click.UsageError(f"{option} without --log: there is no file to write.")
    return "append" if append else "overwrite" if overwrite else "refuse"
