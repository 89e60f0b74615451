"""The options of `run` and `replay`: what is reported of a run, and when that ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from guestdbg.cli.running import coverage, linux_state, sampling, tracing
from guestdbg.cli.running.option_types import Seconds, guest_text
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT

#: They are named as the fields of ``session.Reports``.
_OPTIONS = (
    click.option(
        "-b",
        "--break",
        "breaks",
        metavar="WHERE",
        multiple=True,
        help="Report each time this code is reached. Repeatable.",
    ),
    click.option(
        "-w",
        "--watch",
        "watches",
        metavar="WHAT[:r|w|rw]",
        multiple=True,
        help="Report each access to this memory. Repeatable.",
    ),
    click.option(
        "--after",
        metavar="WHERE",
        help="Set --break and --watch when this code is reached for the first time.",
    ),
    click.option(
        "--task",
        metavar="PID|NAME",
        help="Only in this process of a Linux guest; one of that name may begin later.",
    ),
    click.option(
        "--exec",
        "programs",
        metavar="FILE:FUNCTION",
        multiple=True,
        help="Report each time a program of a Linux guest, /usr/bin/foo:main, gets there. "
        "Repeatable.",
    ),
    click.option(
        "--follow-fork",
        type=click.Choice(["parent", "child", "both"]),
        default="parent",
        show_default=True,
        help="Who keeps the breakpoints of --exec when a process forks.",
    ),
    click.option(
        "--sysroot",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="A folder with the guest's files, for --exec; otherwise its page cache has them.",
    ),
    click.option(
        "--follow-pointer",
        is_flag=True,
        help="Let a --watch through pointers move when these change; takes a register for each.",
    ),
    click.option(
        "--count",
        metavar="N",
        type=click.IntRange(1),
        help="End the run after N hits. [default: no limit]",
    ),
    click.option("--backtrace", is_flag=True, help="Show the callers with each hit."),
    click.option(
        "--backtrace-limit",
        metavar="N",
        type=click.IntRange(min=1),
        help=f"Show at most N frames (default {DEFAULT_LIMIT}); means --backtrace.",
    ),
    click.option(
        "--show",
        "shown",
        metavar="WHAT",
        type=linux_state.what,
        help="At the end show tasks, threads, dmesg, modules, mounts or interrupts of a Linux "
        "guest; several with commas.",
    ),
    click.option(
        "--log",
        "log_path",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help="Write hits, and how the run ended, to a new file: JSON lines, or a table if its name "
        "ends in .parquet or .csv.",
    ),
    click.option("--log-append", is_flag=True, help="The log may exist: write at its end."),
    click.option("--log-overwrite", is_flag=True, help="The log may exist: replace its contents."),
    click.option(
        "--log-only",
        is_flag=True,
        help="Only the log, to --log or stdout: no hit lines, no console, no progress.",
    ),
    click.option("--trace-only", is_flag=True, hidden=True),
    click.option(
        "--last-write",
        "last_write",
        metavar="WHAT",
        multiple=True,
        help="At the end, show the last write to this memory; means --history. Repeatable.",
    ),
    click.option(
        "--origin",
        "origin",
        metavar="WHAT",
        multiple=True,
        help="At the end, show where the value of WHAT came from; means --history. Repeatable.",
    ),
    click.option(
        "--timeout", metavar="S", type=Seconds(0, min_open=True), help="End after S seconds."
    ),
    click.option(
        "--max-instructions",
        metavar="N",
        type=click.IntRange(1),
        help="End after N instructions of all vCPUs together.",
    ),
    click.option(
        "--until", metavar="TEXT", type=guest_text, help="End when the guest has printed TEXT."
    ),
)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which makes ``session.Reports`` of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    command = tracing.tracing_options(sampling.sampling_options(command))
    return coverage.coverage_options(command)
