"""`guestdbg campaign`: thousands of runs of a guest from one place."""

import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from guestdbg.campaign import Campaign, CampaignError, ExecutorLost, Progress, Summary
from guestdbg.cli.group import EXIT_INTERRUPTED, EXIT_PROBLEM
from guestdbg.cli.running.terminal import Terminal
from guestdbg.cli.source_option import source_option
from guestdbg.cli.wrapping import wrapped
from guestdbg.workers import MOST_WORKERS

_DIRECTORY = click.argument(
    "directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)
)


class _WithFile(click.Group):
    """`campaign FILE` is `campaign run FILE`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().resolve_command(ctx, args)


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where cases run."""
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on a Dask cluster: the address of its scheduler (tcp://HOST:8786).",
        ),
        click.option(
            "-j",
            "--workers",
            metavar="N",
            type=click.IntRange(0, MOST_WORKERS),
            help="Processes that run cases; 0: this one. [default: as many as processors]",
        ),
    ):
        command = option(command)
    return command


@click.group(
    cls=_WithFile,
    short_help="Run a guest thousands of times from one place, each time a little different.",
    subcommand_metavar="FILE.py|FILE.toml | COMMAND ...",
    epilog="""\b
FILE says where the cases begin, what differs in each, and what its outcome is
called: see docs/campaigns.md. The campaign is a directory (FILE.campaign
without -o), which has the results as Parquet files.

\b
Examples:
  guestdbg campaign examples/queue-faults.py --cases 1000
  guestdbg campaign resume queue-faults.campaign
  guestdbg campaign show queue-faults.campaign
  guestdbg campaign replay queue-faults.campaign 42 --gdb tcp:127.0.0.1:1234

\b
Exit status: 0 all cases have results, and none is a failure; 1 an error, see
the message; 2 a wrong command line; 3 some are failures; 130 Ctrl-C: resume
it later.
""",
)
def campaign() -> None:
    """Run a guest thousands of times from one place, each time a little different.

    guestdbg campaign FILE.py makes a campaign and runs it. When it was interrupted, by whatever,
    nothing is lost: resume runs the cases that have no result yet.
    """


@campaign.command(
    short_help="Make the campaign of a file, and run it.",
    epilog="""\b
Example:
  guestdbg campaign run examples/queue-faults.py -o /tmp/faults --cases 200
""",
)
@click.argument(
    "file", metavar="FILE.py|FILE.toml", type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A new directory for the campaign. [default: FILE.campaign here]",
)
@click.option("-n", "--cases", metavar="N", type=click.IntRange(min=1), help="How many cases.")
@click.option("--seed", metavar="N", type=int, help="All that is random is computed from it.")
@worker_options
@click.pass_context
def run(
    ctx: click.Context,
    file: Path,
    output: Path | None,
    cases: int | None,
    seed: int | None,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Make the campaign that FILE describes, and run it. FILE.py is executed."""
    from guestdbg.guest_campaign.campaign_file import read_campaign_file

    directory = output or Path(f"{file.stem}.campaign")
    if (directory / "campaign.json").is_file():
        raise CampaignError(
            f"{directory}: there is a campaign already: guestdbg campaign resume {directory} goes "
            "on with it; -o DIR makes another one"
        )
    made = read_campaign_file(file).create(directory, cases=cases, seed=seed)
    _run(ctx, made, workers, scheduler)


@campaign.command(
    short_help="Go on with a campaign.",
    epilog="""\b
Example:
  guestdbg campaign resume queue-faults.campaign
""",
)
@_DIRECTORY
@worker_options
@click.pass_context
def resume(ctx: click.Context, directory: Path, workers: int | None, scheduler: str | None) -> None:
    """Run the cases of the campaign in DIR that have no result yet.

    It executes the functions that are in DIR.
    """
    _run(ctx, Campaign(directory), workers, scheduler)


@campaign.command(
    short_help="Show what a campaign has found.",
    epilog="""\b
Examples:
  guestdbg campaign show queue-faults.campaign
  guestdbg campaign show queue-faults.campaign 42
""",
)
@_DIRECTORY
@click.argument("case", required=False, type=click.IntRange(min=0))
@source_option("Of faults: a folder with source files of the guest.")
@click.option(
    "--page",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of faults: write them as a page, too, a new file.",
)
@click.pass_context
def show(
    ctx: click.Context,
    directory: Path,
    case: int | None,
    folders: tuple[Path, ...],
    page: Path | None,
) -> None:
    """Show the results of the campaign in DIR, or of one CASE. Nothing of it is executed.

    Of the faults of guestdbg faults it shows what they led to by source line.
    """
    found = Campaign(directory)
    if case is None and any(column.name == "fault_at" for column in found.manifest.columns):
        from guestdbg.cli.fault_results import show_faults

        show_faults(directory, folders, page)
        return
    if folders or page is not None:
        raise click.UsageError("--source and --page are for all cases of guestdbg faults")
    if case is None:
        _show_manifest(found)
        _show(found, found.summary())
        return
    found.case(case)
    result = found.result(case)
    if result is None:
        click.echo(f"case {case} has no result yet")
        ctx.exit(EXIT_PROBLEM)
    for name, value in result.items():
        shown = f"{value:#x}" if name in ("seed", "pc") else value
        click.echo(wrapped(f"{name}: {shown}", hanging="    "))
    for failure in found.summary().failures:
        if failure.case == case:
            _show_evidence(failure.evidence)


@campaign.command(
    short_help="Run one case again, and stop at its end.",
    epilog="""\b
Examples:
  guestdbg campaign replay queue-faults.campaign 42
  guestdbg campaign replay queue-faults.campaign 42 --minimised --tui

\b
Exit status: 0 the case has ended as it did in the campaign; 1 an error, or it
has ended in another way; 2 a wrong command line.
""",
)
@_DIRECTORY
@click.argument("case", type=click.IntRange(min=0))
@click.option(
    "--minimised", is_flag=True, help="With what is left of the case when it was minimised."
)
@click.option(
    "--gdb",
    "listen",
    metavar="tcp:HOST:PORT|unix:PATH",
    help="Then wait here for GDB, which can go back from the end of the case.",
)
@click.option("--tui", is_flag=True, help="Then show the guest as guestdbg tui does.")
@click.pass_context
def replay(
    ctx: click.Context, directory: Path, case: int, minimised: bool, listen: str | None, tui: bool
) -> None:
    """Run CASE of the campaign in DIR again, in this process, and stop at its end.

    What the guest prints goes to stdout. With --gdb or --tui the guest can be looked at there, and
    go back to what led to it. It executes the functions that are in DIR.
    """
    if listen is not None and tui:
        raise click.UsageError("--gdb and --tui: one of them at a time")
    from guestdbg.guest_campaign import Replay

    found = Campaign(directory)
    wants_guest = tui or listen is not None
    feed = _tui_feed() if tui else None
    printed = _print if feed is None else feed.print
    with Replay(found, case, minimised=minimised, history=wants_guest, console=printed) as again:
        sys.stdout.flush()
        result = again.result
        click.echo(_result_line(case, result.outcome, result.failure, result.detail), err=True)
        if result.evidence:
            _show_evidence(result.text)
        elif again.run is not None:
            click.echo(wrapped(str(again.run.stop), indent="  ", hanging="      "), err=True)
        if wants_guest:
            _look_at(ctx, again.guest, listen, feed)
            return
        if not minimised and (differences := again.differences):
            for name, (before, now) in differences.items():
                click.echo(
                    f"guestdbg: {name} was {before!r} in the campaign, and is {now!r}", err=True
                )
            ctx.exit(EXIT_PROBLEM)


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)


def _tui_feed() -> Any:
    import importlib.util

    from guestdbg.tui.errors import MissingTextual

    if importlib.util.find_spec("textual") is None:
        raise MissingTextual(
            "--tui needs textual, which is not installed: pip install textual (or guestdbg[tui])"
        )
    from guestdbg.tui.feed import Feed

    return Feed()


def _look_at(ctx: click.Context, guest: Any, listen: str | None, feed: Any) -> None:
    for point in list(guest.points):  # of the campaign: here they would be in the way
        point.delete()
    if listen is not None:
        from guestdbg.gdb import Server

        with Server(guest, listen, announce=lambda text: click.echo(f"-- {text}", err=True)) as at:
            address = at.address
            click.echo(f"-- {address}; in GDB: target remote {address.for_gdb}", err=True)
            at.serve()
        return
    from guestdbg.tui.app import run_app

    ctx.exit(run_app(guest, feed, folders=(), lines=[], theme=None))


# ---- running ---------------------------------------------------------------------------------


def run_campaign(
    ctx: click.Context, made: Campaign, workers: int | None, scheduler: str | None
) -> Summary:
    """Run a campaign, and show how far it is. Ctrl-C ends the command."""
    if workers is not None and scheduler is not None:
        raise click.UsageError("--workers is for processes of this machine, not with --scheduler")
    executor = None if scheduler is None else _connect(scheduler)
    terminal = Terminal(console=False)
    try:
        summary = made.run(
            executor, workers=workers, on_progress=lambda p: terminal.progress(_line(p))
        )
    except KeyboardInterrupt:
        terminal.clear_progress()
        done = made.summary().done
        text = f"guestdbg: interrupted: {done:,} cases have results; to go on:"
        click.echo(f"{text}\n    guestdbg campaign resume {made.directory}", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    except ExecutorLost as error:
        raise CampaignError(f"{error}: guestdbg campaign resume {made.directory}") from error
    finally:
        terminal.clear_progress()
        if executor is not None:
            executor.close()
    return summary


def _run(ctx: click.Context, made: Campaign, workers: int | None, scheduler: str | None) -> None:
    summary = run_campaign(ctx, made, workers, scheduler)
    _show(made, summary)
    if summary.failures:
        ctx.exit(_EXIT_FAILURES)


#: Some cases are failures.
_EXIT_FAILURES = 3


def _connect(scheduler: str) -> Any:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise CampaignError(
            "--scheduler needs distributed, which is not installed: pip install distributed (or "
            "guestdbg[distributed])"
        ) from error
    try:
        return distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CampaignError(f"--scheduler {scheduler}: no scheduler answers: {error}") from error


def _line(progress: Progress) -> str:
    """How far it is, in a line that fits the terminal."""
    width = max(40, shutil.get_terminal_size().columns) - 1
    done = f"{progress.done:,}"
    if progress.cases is not None:
        done += f"/{progress.cases:,}"
    parts = [done, f"{progress.rate:,.0f}/s"]
    if progress.doing != "running":
        parts = [progress.doing]
    elif progress.remaining is not None:
        parts.append(f"{_duration(progress.remaining)} left")
    counts = [f"{outcome} {count:,}" for outcome, count in progress.counts.most_common()]
    text = ", ".join(parts)
    for separator, more in zip(("; ", *[", "] * len(counts)), counts, strict=False):
        if len(text) + len(separator) + len(more) > width - 2:
            text += " …"
            break
        text += separator + more
    return text[:width]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# ---- showing ---------------------------------------------------------------------------------

_SHOWN = 20
_EVIDENCE_LINES = 24


def _show_manifest(found: Campaign) -> None:
    manifest = found.manifest
    click.echo(manifest.title or str(found.directory))
    about = "; ".join(f"{name}: {text}" for name, text in manifest.about.items())
    click.echo(wrapped(f"seed {manifest.seed}" + (f"; {about}" if about else ""), indent="  "))


def _show(found: Campaign, summary: Summary) -> None:
    of = "" if summary.cases is None else f" of {summary.cases:,}"
    click.echo(f"{summary.done:,}{of} cases have results")
    for outcome, count in summary.counts.most_common():
        share = 100 * count / summary.done
        click.echo(f"  {count:>11,}  {share:5.1f}%  {outcome}")
    if (all_failed := summary.all_failed) is not None:
        click.echo(wrapped(f"every case is a failure of the same kind: {all_failed}", hanging="  "))
    if not summary.failures:
        return
    several = len(summary.failures) > 1
    click.echo(f"{len(summary.failures):,} different failures:" if several else "1 failure:")
    for failure in summary.failures[:_SHOWN]:
        says_nothing = failure.signature == failure.outcome and failure.minimised is None
        click.echo(
            wrapped(
                f"{failure.count:>11,}  case {failure.case}: {failure.signature}"
                + (f": {failure.detail}" if says_nothing else ""),
                hanging=" " * 15,
            )
        )
        if failure.minimised is not None:
            tries = failure.minimised.tries
            text = f"least: {failure.minimised.text}" + (f" ({tries} runs)" if tries else "")
            click.echo(wrapped(text, indent=" " * 13, hanging=" " * 15))
    if len(summary.failures) > _SHOWN:
        click.echo(f"  and {len(summary.failures) - _SHOWN:,} more")
    click.echo(
        wrapped(
            f"run one again: guestdbg campaign replay {found.directory} {summary.failures[0].case}",
            hanging="  ",
        )
    )


def _result_line(case: int, outcome: str, failure: bool, detail: str) -> str:
    what = "a failure" if failure else "no failure"
    return wrapped(f"case {case}: {outcome} ({what})" + (f": {detail}" if detail else ""),
                   hanging="    ")  # fmt: skip


def _show_evidence(evidence: str) -> None:
    for line in evidence.splitlines()[:_EVIDENCE_LINES]:
        click.echo(wrapped(line, indent="  ", hanging="      "), err=True)
