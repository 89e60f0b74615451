"""`guestdbg check`: does this KVM keep the promises of the guest-debug interface?"""

import json

import click

from guestdbg.check import CASES, Result, select
from guestdbg.check.report import counts, document, of_case
from guestdbg.check.runner import run_cases
from guestdbg.cli.group import EXIT_PROBLEM
from guestdbg.kvm import open_kvm
from guestdbg.kvm.provider import PROVIDERS

_COLOURS = {"pass": "green", "fail": "red", "skip": "yellow"}


@click.command(
    short_help="Does a KVM keep its promises? Judge it, case by case.",
    epilog="""\b
Examples:
  guestdbg check                            the whole suite
  guestdbg check -k watchpoint --verbose    one topic, with every promise
  guestdbg check --provider host --json     on an arm64 machine: what to send back
Exit status: 0 when nothing failed, 1 otherwise.
""",
)
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default="auto",
    show_default=True,
    help="Whose KVM is judged.",
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option(
    "-k",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="Only cases whose name has this in it (with * ? [: the whole name). Several: any.",
)
@click.option("--list", "only_list", is_flag=True, help="Show the cases and run nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Also what passed, with what it rests on.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="How long a guest may run before it is kicked out and its case has failed.",
)
def check(
    provider: str,
    as_json: bool,
    patterns: tuple[str, ...],
    only_list: bool,
    verbose: bool,
    seconds: float,
) -> None:
    """Judge a KVM by the guest-debug interface and the debug architecture, case by case."""
    chosen = select(patterns)
    if only_list:
        if as_json:
            click.echo(json.dumps({"cases": [of_case(c) for c in chosen]}, indent=2))
            return
        for case in chosen:
            click.echo(case.name)
            if verbose:
                click.echo(f"    {case.promise}\n    [{case.source}]")
        click.echo(f"{len(chosen)} of {len(CASES)} cases", err=True)
        return
    with open_kvm(provider) as kvm:
        results = []
        for result in run_cases(chosen, kvm, seconds=seconds):
            results.append(result)
            if not as_json:
                _show(result, verbose)
        if as_json:
            click.echo(json.dumps(document(kvm, results), indent=2))
        total = counts(results)
        if not as_json:
            words = ", ".join(f"{n} {verdict}" for verdict, n in total.items())
            click.echo(f"provider {kvm.provider}: {len(results)} cases: {words}")
    if total["fail"]:
        click.get_current_context().exit(EXIT_PROBLEM)


def _show(result: Result, verbose: bool) -> None:
    if result.verdict == "pass" and not verbose:
        return
    verdict = click.style(result.verdict, fg=_COLOURS[result.verdict])
    click.echo(f"{verdict}  {result.case.name}" + (f": {result.reason}" if result.reason else ""))
    if verbose or result.verdict == "fail":
        click.echo(f"      {result.case.promise}\n      [{result.case.source}]")
        if verbose and result.traceback:
            click.echo(result.traceback)
