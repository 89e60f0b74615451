"""One run of a guest with everything that is reported of it: what `run` and `replay` do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from guestdbg.cli.lasting_objects import lasting_objects
from guestdbg.cli.output_file import OutputFile
from guestdbg.cli.running import coverage, keyboard, linux_state, sampling, tracing
from guestdbg.cli.running.guest_run import GuestRun
from guestdbg.cli.running.hit_log import NoLog
from guestdbg.cli.running.messages import show_messages
from guestdbg.cli.running.points import PointSpecs, arm
from guestdbg.cli.running.saved_run import SavedAtEnd
from guestdbg.cli.running.summary import print_summary, record
from guestdbg.cli.running.terminal import Terminal
from guestdbg.cli.running.text_finder import TextFinder
from guestdbg.cli.running.tracer import HitLines, HitTracer
from guestdbg.debugger import Guest
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.cli.output_file import Existing
    from guestdbg.cli.running.hit_log import HitLog
    from guestdbg.cli.running.points import ArmedPoints
    from guestdbg.cli.running.saved_run import SaveOptions
    from guestdbg.cli.running.summary import RunOutcome, Totals
    from guestdbg.cli.running.tracer import HitSink

#: Makes the guest; its console's output goes to the function.
MakeGuest = Callable[[Callable[[bytes], None]], Guest]


@dataclass(frozen=True)
class Reports:
    """What is reported of a run, and when it ends: the options with these names."""

    breaks: tuple[str, ...]
    watches: tuple[str, ...]
    after: str | None
    task: str | None
    programs: tuple[str, ...]
    follow_fork: Literal["parent", "child", "both"]
    sysroot: Path | None
    follow_pointer: bool
    count: int | None
    backtrace: bool
    backtrace_limit: int | None
    shown: tuple[str, ...] | None
    log_path: Path | None
    log_append: bool
    log_overwrite: bool
    log_only: bool
    trace_only: bool
    last_write: tuple[str, ...]
    origin: tuple[str, ...]
    coverage_paths: tuple[Path, ...]
    coverage_form: str | None
    coverage_overwrite: bool
    sample_path: Path | None
    sample_every: int | None
    sample_overwrite: bool
    trace_path: Path | None
    trace_what: tuple[str, ...] | None
    trace_start: str | None
    trace_stop: str | None
    trace_arguments: bool
    trace_overwrite: bool
    timeout: float | None
    max_instructions: int | None
    until: bytes | None

    @property
    def trace(self) -> tracing.TraceOptions:
        """The options of --trace."""
        return tracing.TraceOptions(
            self.trace_path,
            self.trace_what,
            self.trace_start,
            self.trace_stop,
            self.trace_arguments,
            self.trace_overwrite,
        )


class Typing(NamedTuple):
    """What the guest gets from the keyboard: the options with these names."""

    typed: bytes | None
    answers: tuple[tuple[bytes, bytes], ...]
    raw: bool


def perform(
    ctx: click.Context,
    make: MakeGuest,
    reports: Reports,
    typing: Typing | None,
    inputs: Iterable[Path],
    save: SaveOptions | None = None,
) -> None:
    """Make a guest, run it and report; ends the command with its exit status.

    ``inputs``: files that the command reads. ``typing`` is None: the guest gets nothing that is
    typed. ``save``: where the run goes to a file at its end.
    """
    specs = PointSpecs(
        reports.breaks,
        reports.watches,
        reports.after,
        reports.follow_pointer,
        reports.task,
        reports.programs,
    )
    armable = reports.breaks or reports.watches or reports.programs
    if reports.count is not None and not armable:
        raise click.UsageError("--count without --break or --watch: there is nothing to count.")
    existing = _existing(reports)
    if reports.log_path is not None:
        from guestdbg.cli.running.log_files import check_log_path

        check_log_path(reports.log_path, existing)
    reports.trace.check()
    log_only = reports.log_only or _deprecated(reports.trace_only)
    frames = reports.backtrace_limit or (DEFAULT_LIMIT if reports.backtrace else None)
    until = reports.until
    raw = typing is not None and typing.raw
    terminal = Terminal(console=not log_only)
    terminal.quiet = terminal.quiet or log_only or raw
    with contextlib.ExitStack() as stack:
        covered = stack.enter_context(
            coverage.CoverageFiles(
                reports.coverage_paths, reports.coverage_form, overwrite=reports.coverage_overwrite
            )
        )
        sampled = stack.enter_context(
            sampling.SampleFile(
                reports.sample_path, reports.sample_every, overwrite=reports.sample_overwrite
            )
        )
        guest_run: GuestRun | None = None
        finder = TextFinder(until) if until else None

        def console(data: bytes) -> None:
            terminal.guest_wrote(data)
            if finder is not None and until is not None and finder.feed(data) and guest_run:
                guest_run.text_seen(until.decode(errors="replace"))

        with lasting_objects():
            machine = stack.enter_context(make(console))
        inputs = [*inputs, *(image.path for image in machine.images)]
        saved = None if save is None else SavedAtEnd(save, inputs)
        _check_questions(machine, reports)
        sinks: list[HitSink] = [] if log_only else [HitLines(terminal, backtrace=frames)]
        tracer = HitTracer(sinks, reports.count)
        guest_run = GuestRun(
            machine,
            terminal,
            tracer,
            timeout=reports.timeout,
            max_instructions=reports.max_instructions,
        )
        if reports.sysroot is not None:
            machine.linux.processes.sysroot = reports.sysroot
        armed = arm(machine, terminal, specs, tracer.attach, reports.follow_fork)
        for expected, reply in typing.answers if typing is not None else ():
            machine.board.console.answer(expected, reply)
        if typing is not None and typing.typed:
            machine.board.console.feed(typing.typed)
        log: HitLog = NoLog()
        if reports.log_path is not None or log_only:
            # Last of all: a command that fails changes no file.
            file = stack.enter_context(
                OutputFile(reports.log_path or Path("-"), "--log", existing, inputs)
            )
            from guestdbg.cli.running.log_files import make_log

            on_failure = _on_failure(terminal, log_only)
            log = make_log(file, reports.log_path, backtrace=frames, on_failure=on_failure)
            stack.callback(log.close)
            sinks.append(log)
        traced = stack.enter_context(tracing.TraceFile(reports.trace, inputs))
        traced.begin(machine)
        covered.begin(machine)
        sampled.begin(machine, guest_run)
        show_messages(machine, None if log_only else terminal, log.write)
        failure: GuestdbgError | None = None
        try:
            with _keys(guest_run, typing):
                outcome = guest_run.run()
            if typing is None and outcome.reason == "exit":
                machine.history.goto_end()  # which checks that it is as it was
        except GuestdbgError as error:
            failure = error
            outcome = guest_run.failed(error)
        totals = guest_run.totals()
        if not isinstance(log, NoLog):  # it needs symbols, which many runs do not
            log.write(_end(machine, outcome, totals, armed, reports.backtrace_limit))
        print_summary(terminal, machine, outcome, totals, armed)
        _show_state(terminal, machine, reports, outcome, failed=failure is not None)
        is_written = traced.end(terminal) & covered.write(terminal) & sampled.write(terminal)
        if saved is not None:
            saved.write(machine, terminal)
        # Asked wherever the run has stopped, also at a limit, which has a status of its own.
        asked = _answer_questions(terminal, machine, reports, frames, log)
        status = outcome.status or asked
        log.close()
        incomplete = terminal.console_failure is not None or log.failed
        ctx.exit(status or int(incomplete or not is_written))


def _show_state(
    terminal: Terminal, machine: Guest, reports: Reports, outcome: RunOutcome, *, failed: bool
) -> None:
    """Show where the guest was, if it did not end by itself, and what --show asks for."""
    if outcome.reason == "panic":
        from guestdbg.cli.running import panic

        terminal.line(*panic.lines(machine, reports.backtrace_limit))
    elif not failed and outcome.reason not in ("exit", "count", "output", "history"):
        from guestdbg.cli.running import diagnosis

        terminal.line(*diagnosis.diagnose(machine, lost=outcome.reason != "error"))
    if reports.shown:
        terminal.line(*linux_state.lines(machine, reports.shown))


def _check_questions(machine: Guest, reports: Reports) -> None:
    """Raise the errors now of what is asked about the past at the end."""
    if reports.last_write:
        from guestdbg.cli.running import last_writes

        last_writes.check(machine, reports.last_write)
    if reports.origin:
        from guestdbg.cli.running import origins

        origins.check(machine, reports.origin)


def _answer_questions(
    terminal: Terminal, machine: Guest, reports: Reports, frames: int | None, log: HitLog
) -> int:
    """Show what --last-write and --origin ask; returns an exit status."""
    asked = 0
    if reports.last_write:
        from guestdbg.cli.running import last_writes

        asked = last_writes.show(terminal, machine, reports.last_write, limit=frames, log=log.write)
    if reports.origin:
        from guestdbg.cli.running import origins

        asked = origins.show(terminal, machine, reports.origin, log=log.write) or asked
    return asked


def _keys(guest_run: GuestRun, typing: Typing | None) -> contextlib.AbstractContextManager[None]:
    """Standard input goes to the guest inside this context, if anything does."""
    if typing is None:
        return contextlib.nullcontext()
    return keyboard.passed_on(
        guest_run.type,
        guest_run.pending,
        guest_run.end_input,
        escaped=guest_run.escape if typing.raw else None,
    )


def _on_failure(terminal: Terminal, log_only: bool) -> Callable[[OSError], None]:
    """What is done where the log cannot be written any more."""

    def failed(error: OSError) -> None:
        if log_only:
            raise error  # there would be no other report of what the guest does
        terminal.line(f"-- the log ends here: {error.filename}: {error.strerror}; the run goes on")

    return failed


def _end(
    machine: Guest, outcome: RunOutcome, totals: Totals, armed: ArmedPoints, limit: int | None
) -> dict[str, Any]:
    """What the log has of the end of the run."""
    from guestdbg.cli.running import diagnosis

    end = record(machine, outcome, totals, armed) | {"vcpus": diagnosis.records(machine)}
    if outcome.reason == "panic":
        from guestdbg.cli.running import panic

        end["panic"] = panic.record(machine, limit)
    return end


def _deprecated(trace_only: bool) -> bool:
    if trace_only:
        name = "--trace-only is now called --log-only; the next version will not have the old name"
        click.echo(f"guestdbg: {name}", err=True)
    return trace_only


def _existing(reports: Reports) -> Existing:
    """What to do with a log that exists."""
    append, overwrite = reports.log_append, reports.log_overwrite
    if append and overwrite:
        raise click.UsageError("--log-append and --log-overwrite: give one of them.")
    if (append or overwrite) and reports.log_path is None:
        option = "--log-append" if append else "--log-overwrite"
        raise click.UsageError(f"{option} without --log: there is no file to write.")
    return "append" if append else "overwrite" if overwrite else "refuse"
