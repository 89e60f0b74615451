"""`guestdbg check`: the conformance suite of the KVM guest-debug interface."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from guestdbg.check import CASES, select
from guestdbg.check.report import counts, document, of_case
from guestdbg.check.runner import run_cases
from guestdbg.cli.group import EXIT_PROBLEM
from guestdbg.cli.provider_options import provider_options, who
from guestdbg.cli.running.option_types import Seconds
from guestdbg.cli.wrapping import wrapped
from guestdbg.kvm import open_kvm

if TYPE_CHECKING:
    from guestdbg.check import Case, Result
    from guestdbg.kvm import Kvm

_INDENT = "      "
_COLOURS = {"pass": "green", "fail": "red", "skip": "yellow"}


@click.command(
    short_help="Test a KVM's guest debugging, case by case.",
    epilog="""\b
Examples:
  guestdbg check                           the whole suite
  guestdbg check -k watchpoint --verbose   one topic, every case shown
  guestdbg check --provider host --json    on an arm64 machine: to send back

\b
Exit status: 0 when nothing failed, 1 otherwise.
""",
)
@provider_options("The KVM to test.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "-k",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    help="Only cases with PATTERN in their name. With * ? [ it must match all of the name. "
    "Repeatable.",
)
@click.option("--list", "only_list", is_flag=True, help="List the cases and run nothing.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show passed cases too, and the state of the guest at each failure.",
)
@click.option(
    "--seconds",
    type=Seconds(min=0.1),
    default=5.0,
    show_default=True,
    help="How long a guest may run. After that it is kicked, and the case fails.",
)
def check(
    kvm: dict[str, str],
    as_json: bool,
    patterns: tuple[str, ...],
    only_list: bool,
    verbose: bool,
    seconds: float,
) -> None:
    """Test a KVM against the guest-debug interface and the debug architecture, case by case."""
    chosen = select(patterns)
    if only_list:
        if as_json:
            click.echo(json.dumps({"cases": [of_case(c) for c in chosen]}, indent=2))
            return
        for case in chosen:
            click.echo(case.name)
            if verbose:
                _print_promise(case, "    ")
        click.echo(f"{len(chosen)} of {len(CASES)} cases", err=True)
        return
    with open_kvm(**kvm) as opened:
        results: list[Result] = []
        for result in _with_progress(chosen, run_cases(chosen, opened, seconds=seconds)):
            results.append(result)
            if not as_json:
                _print_result(result, verbose)
        if as_json:
            click.echo(json.dumps(document(opened, results), indent=2))
        else:
            _print_totals(results, opened, verbose)
    if counts(results)["fail"]:
        click.get_current_context().exit(EXIT_PROBLEM)


def _with_progress(chosen: Sequence[Case], results: Iterator[Result]) -> Iterator[Result]:
    """The results; a terminal shows the running case, so that it is known if the host crashes."""
    shown = os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb"

    def show(text: str) -> None:
        if shown:
            width = shutil.get_terminal_size().columns
            click.echo(f"\r\x1b[K{text[: width - 1]}", nl=False, err=True)

    try:
        for n, case in enumerate(chosen, 1):
            show(f"{n}/{len(chosen)} {case.name}")
            result = next(results)
            show("")
            yield result
    finally:
        show("")


def _print_result(result: Result, verbose: bool) -> None:
    if result.verdict != "fail" and not verbose:
        return
    reason = f": {result.reason}" if result.reason else ""
    _print_verdict(result.verdict, f"{result.case.name}{reason}")
    _print_promise(result.case, _INDENT)
    if verbose and result.situation is not None:
        _print_situation(result.situation)
    if verbose and result.traceback:
        click.echo(result.traceback)


def _print_promise(case: Case, indent: str) -> None:
    """What a case tests, and the section that says so."""
    click.echo(wrapped(case.promise, indent=indent))
    click.echo(wrapped(f"[{case.source}]", indent=indent))


def _print_verdict(verdict: str, text: str) -> None:
    line = wrapped(f"{verdict}  {text}", hanging=_INDENT)
    click.echo(_coloured(verdict) + line.removeprefix(verdict))


def _coloured(verdict: str) -> str:
    """A verdict in its colour, unless NO_COLOR is set. click removes it if this is no terminal."""
    if os.environ.get("NO_COLOR"):
        return verdict
    return click.style(verdict, fg=_COLOURS[verdict])


def _print_situation(situation: dict[str, Any]) -> None:
    registers = [f"{name} {value}" for name, value in situation["registers"].items()]
    parts = (
        ("asked", situation["asked"]),
        ("exit", [situation.get("exit", "none: the guest did not run")]),
        ("guest", [f"vCPU {situation['vcpu']}", *(", ".join(r) for r in _batched(registers, 4))]),
        ("code", situation["program"]),
    )
    for name, lines in parts:
        for n, line in enumerate(lines):
            click.echo(f"{_INDENT}{'' if n else name:6}{line}")


def _batched(items: list[str], size: int) -> Iterator[list[str]]:
    """The items in lists of ``size``; the last list may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _print_totals(results: list[Result], kvm: Kvm, verbose: bool) -> None:
    """Print why cases were skipped, how to see more of a failure, and the totals."""
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.verdict == "skip":
            skipped.setdefault(result.reason, []).append(result.case.name)
    for reason, names in skipped.items():
        if not verbose:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            _print_verdict("skip", f"{names[0]}{more}: {reason}")
    failed = [result.case.name for result in results if result.verdict == "fail"]
    if failed and not verbose:
        click.echo(f"For the details: guestdbg check --provider {kvm.provider} -v -k {failed[0]}")
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in counts(results).items())
    click.echo(f"provider {who(kvm)}: {len(results)} cases: {verdicts}")
