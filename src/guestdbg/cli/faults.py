"""`guestdbg faults`: what skipped instructions and flipped bits lead to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from guestdbg.campaign import CampaignError
from guestdbg.cli.campaign import run_campaign, worker_options
from guestdbg.cli.fault_results import show_results
from guestdbg.cli.running.load_options import guest_options
from guestdbg.cli.source_option import source_option
from guestdbg.debugger import Guest, load
from guestdbg.faults import FaultModel, fault_campaign
from guestdbg.faults.model_parser import MODEL_FORMS, parse_model
from guestdbg.report import Sources

#: What a saved guest does not have, and the guest of each worker needs again.
_AGAIN = ("semihosting", "vmlinux", "modules", "net", "drives")
_TO_START = 10_000_000_000


def _model(text: str) -> FaultModel:
    """A fault model as the type of a click option."""
    try:
        return parse_model(text)
    except CampaignError as error:
        raise click.BadParameter(str(error)) from error


def _interval(text: str) -> tuple[int, int]:
    """FIRST:END as the type of a click option."""
    first, _, end = text.partition(":")
    try:
        return int(first, 0), int(end, 0)
    except ValueError:
        raise click.BadParameter(f"{text!r} must be like 1000:2000") from None


_Command = Callable[..., Any]


def _many(flag: str, name: str, metavar: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(flag, name, metavar=metavar, multiple=True, help=f"{text} Repeatable.")


@click.command(
    short_help="Skip instructions and flip bits, and show what that leads to.",
    epilog=f"""\b
MODEL is one of
{chr(10).join("  " + form for form in MODEL_FORMS)}

\b
Examples:
  guestdbg faults examples/secure-boot.elf --from main \\
      --function check_signature --function boot --end reject \\
      --success start_image --source examples
  guestdbg faults examples/secure-boot-hardened.elf --from main \\
      --function boot --model skip --model load-flip --end reject \\
      --success start_image --detected fault_detected

\b
The results stay in a directory. They are those of a campaign: guestdbg
campaign resume, show and replay work with it, and docs/fault-injection.md
says what is in it.

\b
Exit status: 0 all faults were tried, and none is a failure; 1 an error, see
the message; 2 a wrong command line; 3 some are failures; 130 Ctrl-C: resume
it later.
""",
)
@click.argument("guest", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A new directory for the results. [default: GUEST.faults here]",
)
@click.option(
    "--from", "start", metavar="WHERE", help="Where the cases begin. [default: the guest's start]"
)
@click.option(
    "--model",
    "models",
    metavar="MODEL",
    multiple=True,
    type=_model,
    help="A fault model, see below. Repeatable. [default: skip]",
)
@_many("--function", "function", "NAME", "Faults at the instructions of this function.")
@_many("--lines", "lines", "FILE:FIRST[-LAST]", "Faults at the instructions of these lines.")
@click.option(
    "--instructions",
    metavar="FIRST:END",
    type=_interval,
    help="Faults at these instructions of the run, counted from 0.",
)
@_many("--success", "success", "WHERE", "It must not come here: a fault that does it, succeeds.")
@_many("--detected", "detected", "WHERE", "It comes here when it has noticed a fault.")
@_many("--end", "ends", "WHERE", "A case is over here.")
@_many("--compare", "compare", "NAME", "A register or variable that is compared at the end.")
@click.option(
    "--exceptions/--no-exceptions",
    default=True,
    help="Whether an exception from EL1 to EL1 is a crash. [default: it is]",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=1),
    help="Try so many faults, chosen by chance (--seed). [default: all]",
)
@click.option(
    "--max-instructions",
    metavar="N",
    type=click.IntRange(min=1),
    help="A case that takes more hangs. [default: twice as many as without a fault, and 20,000]",
)
@source_option()
@click.option(
    "--page",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results as a page, too: a new file.",
)
@worker_options
@guest_options
@click.pass_context
def faults(
    ctx: click.Context,
    /,
    guest: Path,
    output: Path | None,
    start: str | None,
    models: tuple[FaultModel, ...],
    samples: int | None,
    folders: tuple[Path, ...],
    page: Path | None,
    workers: int | None,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Run GUEST once without a fault, then with each fault that MODEL has, one at a time.

    Each is tried at each instruction that is meant, each time that it is executed. Then it shows,
    by source line, how many had no effect, were detected, crashed the guest, or succeeded.
    """
    directory = output or Path(f"{guest.stem}.faults")
    names = (
        *("function", "lines", "instructions", "success", "detected", "ends", "compare"),
        *("exceptions", "max_instructions"),
    )
    settings = {name: options.pop(name) for name in names}
    settings |= {name: settings[name] or None for name in ("function", "lines")}
    again = {name: options[name] for name in _AGAIN if options.get(name)}
    sources = Sources(folders)
    if page is not None and page.exists():
        raise CampaignError(f"{page} exists already: give the name of a new file")
    with load(guest, console=None, **options) as loaded:
        if start is not None:
            _run_to(loaded, start)
        made = fault_campaign(
            loaded,
            directory,
            models or [parse_model("skip")],
            **settings,
            samples=samples,
            seed=options["seed"] or 0,
            options=again,
            title=f"faults in {guest.name}",
        )
    summary = run_campaign(ctx, made, workers, scheduler)
    show_results(made, sources, page)
    if summary.failures:
        case = summary.failures[0].case
        click.echo(f"run one again: guestdbg campaign replay {directory} {case}")
        ctx.exit(3)


def _run_to(guest: Guest, start: str) -> None:
    stop = guest.run(until=start, max_instructions=_TO_START)
    if stop.reason != "until":
        raise CampaignError(f"the guest does not come to {start!r}: {stop}")
