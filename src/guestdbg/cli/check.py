"""`guestdbg check`: does this KVM keep the promises of the guest-debug interface?"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import click

from guestdbg.check import CASES, Case, Result, select
from guestdbg.check.report import counts, document, of_case
from guestdbg.check.runner import kernel_release, run_cases
from guestdbg.cli.group import EXIT_PROBLEM
from guestdbg.kvm import Kvm, open_kvm
from guestdbg.kvm.provider import PROVIDERS

_COLOURS = {"pass": "green", "fail": "red", "skip": "yellow"}


@click.command(
    short_help="Does a KVM keep its promises? Judge it, case by case.",
    epilog="""\b
Examples:
  guestdbg check                           the whole suite
  guestdbg check -k watchpoint --verbose   one topic, with every promise
  guestdbg check --provider host --json    on an arm64 machine: to send back

\b
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
@click.option(
    "-v", "--verbose", is_flag=True, help="Also what passed; how things stood at a failure."
)
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
        results: list[Result] = []
        for result in _with_progress(chosen, run_cases(chosen, kvm, seconds=seconds)):
            results.append(result)
            if not as_json:
                _show(result, verbose)
        if as_json:
            click.echo(json.dumps(document(kvm, results), indent=2))
        else:
            _sum_up(results, kvm, verbose)
    if counts(results)["fail"]:
        click.get_current_context().exit(EXIT_PROBLEM)


def _with_progress(chosen: Sequence[Case], results: Iterator[Result]) -> Iterator[Result]:
    """The results, while a terminal shows which case runs: if the machine dies of it, too."""
    shown = os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb"

    def show(words: str) -> None:
        if shown:
            width = shutil.get_terminal_size().columns
            click.echo(f"\r\x1b[K{words[: width - 1]}", nl=False, err=True)

    try:
        for n, case in enumerate(chosen, 1):
            show(f"{n}/{len(chosen)} {case.name}")
            result = next(results)
            show("")
            yield result
    finally:
        show("")


def _show(result: Result, verbose: bool) -> None:
    if result.verdict != "fail" and not verbose:
        return
    click.echo(
        f"{_coloured(result.verdict)}  {result.case.name}"
        + (f": {result.reason}" if result.reason else "")
    )
    click.echo(f"      {result.case.promise}\n      [{result.case.source}]")
    if verbose and result.situation is not None:
        _show_situation(result.situation)
    if verbose and result.traceback:
        click.echo(result.traceback)


def _coloured(verdict: str) -> str:
    """In its colour on a terminal, unless its user wants none (NO_COLOR)."""
    wanted = not os.environ.get("NO_COLOR")
    return click.style(verdict, fg=_COLOURS[verdict]) if wanted else verdict


def _show_situation(told: dict[str, Any]) -> None:
    registers = [f"{name} {value}" for name, value in told["registers"].items()]
    parts = (
        ("asked", told["asked"]),
        ("exit", [told.get("exit", "none: it has not run")]),
        ("guest", [f"vCPU {told['vcpu']}", *(", ".join(r) for r in _batched(registers, 4))]),
        ("code", told["program"]),
    )
    for name, lines in parts:
        for n, line in enumerate(lines):
            click.echo(f"      {'' if n else name:6}{line}")


def _batched(items: list[str], size: int) -> Iterator[list[str]]:
    """``size`` of them at a time."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _sum_up(results: list[Result], kvm: Kvm, verbose: bool) -> None:
    """What was skipped and why, what failed, how to see more of it, and the counts."""
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.verdict == "skip":
            skipped.setdefault(result.reason, []).append(result.case.name)
    for reason, names in skipped.items():
        if not verbose:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            click.echo(f"{_coloured('skip')}  {names[0]}{more}: {reason}")
    failed = [result.case.name for result in results if result.verdict == "fail"]
    if failed and not verbose:
        click.echo(
            f"How it came to that: guestdbg check --provider {kvm.provider} -v -k {failed[0]}"
        )
    words = ", ".join(f"{n} {verdict}" for verdict, n in counts(results).items())
    release = kernel_release(kvm)
    who = f"provider {kvm.provider}" + (f" (Linux {release})" if release else "")
    click.echo(f"{who}: {len(results)} cases: {words}")
