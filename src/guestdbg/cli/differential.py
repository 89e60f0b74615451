"""`guestdbg differential`: random programs on two KVMs, compared exit by exit."""

import contextlib
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import click

from guestdbg.arm64.disassembly import instruction
from guestdbg.campaign import Progress
from guestdbg.check.differential.campaign import Programs, make_or_resume, report_of
from guestdbg.check.differential.compare import Difference
from guestdbg.check.differential.generate import generate, of_name
from guestdbg.check.differential.lab_side import LabSides
from guestdbg.check.differential.players import playing_on
from guestdbg.check.differential.program import (
    Program,
    ProgramError,
    dumps,
    loads,
    loads_request,
)
from guestdbg.check.differential.report import Report
from guestdbg.check.differential.rules import RULES
from guestdbg.check.differential.show import comparison_lines, program_lines
from guestdbg.check.differential.trace import Trace, from_json, to_json
from guestdbg.cli.group import EXIT_PROBLEM
from guestdbg.cli.lab_options import lab_options
from guestdbg.cli.output_file import OutputFile
from guestdbg.cli.provider_options import provider_options
from guestdbg.cli.wrapping import wrapped
from guestdbg.kvm.linux_release import dotted
from guestdbg.workers import MOST_WORKERS

_NUMBER = click.option(
    "-n",
    "--number",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Number of programs.",
)
_SEED = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the first program."
)
_INTERRUPTS = click.option(
    "--interrupts", is_flag=True, help="Programs with interrupts, on a machine with a GICv3."
)


@click.group(
    short_help="Compare two KVMs, exit by exit, on random guests.",
    epilog="""\b
Examples:
  guestdbg differential lab -n 200        the software KVM and the lab's
  guestdbg differential show 7 --trace    one program, and its trace
  guestdbg differential run -n 5 --full   traces of one KVM, to compare
""",
)
def differential() -> None:
    """Run random guests, with random guest debugging, on two KVMs; compare them exit by exit.

    A seed gives the same program on every machine: instructions, registers, memory, and the calls
    that the host makes between exits. A difference that a rule explains is counted. Any other is
    shown and, by `lab`, reduced to a smaller program.
    """


@differential.command()
@_NUMBER
@_SEED
@_INTERRUPTS
@click.option(
    "--programs",
    type=click.File("r"),
    metavar="FILE",
    help="Read the programs from a file (from `show --json`).",
)
@provider_options("The KVM to run them on.")
@click.option("--full", is_flag=True, help="Write whole traces, for `compare`, instead of digests.")
@click.option(
    "--trace",
    "traces",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="A new file for the traces, one JSON object per line.  [default: stdout]",
)
def run(
    number: int,
    seed: int,
    interrupts: bool,
    programs: IO[str] | None,
    kvm: dict[str, str],
    full: bool,
    traces: Path,
) -> None:
    """Run programs on one KVM and write their traces."""
    chosen: Iterable[tuple[Program, bool | None]] = (
        (program, None) for program in _programs(number, seed, interrupts)
    )
    if programs is not None:
        # One line at a time: the writer of the programs may wait for each trace (LabSide does).
        chosen = map(loads_request, iter(programs.readline, ""))
    inputs = [Path(programs.name)] if programs is not None else []
    with contextlib.ExitStack() as stack:
        player = stack.enter_context(playing_on(**kvm, full=full))
        write: Callable[[str], None] = click.echo
        if str(traces) != "-":
            file = stack.enter_context(OutputFile(traces, "--trace", inputs=inputs))
            file.begin()
            write = file.line
        for program, wants_full in chosen:
            is_full = full if wants_full is None else wants_full
            write(to_json(player.play(program, full=is_full), full=is_full))


@differential.command(short_help="Compare two files of traces.")
@click.argument("a", type=click.File("r"))
@click.argument("b", type=click.File("r"))
@click.option(
    "--programs",
    type=click.File("r"),
    metavar="FILE",
    help="The programs, if they are not from seeds.",
)
@click.pass_context
def compare(context: click.Context, a: IO[str], b: IO[str], programs: IO[str] | None) -> None:
    """Compare the traces of the same programs: file A from the software KVM, B from another.

    Exit status: 0 if every difference is explained, 1 otherwise.
    """
    known = {p.name: p for p in map(loads, programs or ())}
    report = Report()
    for x, y in itertools.zip_longest(map(from_json, a), map(from_json, b)):
        if x is None or y is None or x.name != y.name:
            raise ProgramError(
                "the two files are not traces of the same programs in the same order"
            )
        program = known.get(x.name) or of_name(x.name)
        report.add(program, x, y)
    _print_report(context, report)


def _programs(number: int, seed: int, interrupts: bool) -> Programs:
    return Programs(seed, 0, number) if interrupts else Programs(seed, number)


@differential.command(short_help="Compare the software KVM with the lab's.")
@_NUMBER
@_SEED
@_INTERRUPTS
@lab_options
@click.option(
    "--shrink",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Reduce this many of the unexplained differences.",
)
@click.option(
    "--campaign",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Keep the results there; the same command goes on where it was interrupted.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    metavar="N",
    help="Use so many processes, each with a lab of its own.  [default: one lab]",
)
@click.pass_context
def lab(
    context: click.Context,
    number: int,
    seed: int,
    interrupts: bool,
    chosen: dict[str, Any],
    shrink: int,
    directory: Path | None,
    workers: int | None,
) -> None:
    """Compare the software KVM with the real one of the lab (see `guestdbg lab`).

    Exit status: 0 if every difference is explained, 1 otherwise.
    """
    programs = _programs(number, seed, interrupts)
    with contextlib.ExitStack() as stack:
        if directory is None:
            temporary = stack.enter_context(TemporaryDirectory(prefix="guestdbg-differential-"))
            directory = Path(temporary) / "campaign"
        campaign = make_or_resume(directory, programs, LabSides(chosen), chosen)
        campaign.run(workers=workers or 0, minimise=shrink, on_progress=_Progress())
        report = report_of(campaign)
    _print_report(context, report)


class _Progress:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self._printed = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.seconds - self._printed >= 5 or progress.done == progress.cases:
            self._printed = progress.seconds
            counts = ", ".join(f"{count} {what}" for what, count in progress.counts.most_common())
            click.echo(f"{progress.seconds:6.0f} s: {progress.done} programs: {counts}", err=True)


def _print_report(context: click.Context, report: Report) -> None:
    for each in report.unexplained:
        if (finding := each.finding) is not None:
            _print_program(finding.program)
            _print_comparison(finding.a, finding.b, finding.difference)
            click.echo()
    for line in str(report).splitlines():
        click.echo(wrapped(line, hanging="    "))
    if report.unexplained:
        context.exit(EXIT_PROBLEM)


def _print_comparison(a: Trace, b: Trace, difference: Difference | None = None) -> None:
    for line in comparison_lines(a, b, ("soft", "real"), difference):
        click.echo(wrapped(line, hanging="     "))


def _print_program(program: Program) -> None:
    for line in program_lines(program, instruction):
        click.echo(wrapped(line, hanging="    "))


@differential.command()
@click.argument("seed", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON that `run --programs` reads.")
@click.option("--trace", is_flag=True, help="Print its trace on the software KVM, too.")
@_INTERRUPTS
def show(seed: int, as_json: bool, trace: bool, interrupts: bool) -> None:
    """Print the program of a seed."""
    program = generate(seed, with_interrupts=interrupts)
    if as_json:
        click.echo(dumps(program))
        return
    _print_program(program)
    if trace:
        with playing_on("soft", full=True) as player:
            seen = player.play(program)
        _print_comparison(seen, seen)


@differential.command(short_help="List the rules that explain differences.")
def rules() -> None:
    """List the rules that explain differences: which KVM is right, and why."""
    for rule in RULES:
        kernels = [f"since Linux {dotted(rule.since)}"] if rule.since else []
        kernels += [f"before Linux {dotted(rule.until)}"] if rule.until else []
        click.echo(f"{rule.name} ({', '.join((f'right: {rule.right}', *kernels))})")
        click.echo(wrapped(rule.why, indent="    "))
