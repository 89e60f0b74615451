"""The breakpoints and watches of a command line: set at the start, or when code is reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from guestdbg.debugger.errors import AddressError, NullPointer

if TYPE_CHECKING:
    # Imported only for a guest with Linux.
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Breakpoint, Guest, Watch
    from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec
    from guestdbg.linux.processes.program import FollowFork, ProgramBreakpoint

__all__ = ["ArmedPoints", "PointSpecs", "arm"]

Attach = Callable[["Watch | Breakpoint | ProgramBreakpoint", "BreakSpec | WatchSpec"], None]


class PointSpecs:
    """What --break, --watch, --after, --task and --follow-pointer say.

    Raises UsageError for options without what they are about, and what the parsers do.
    """

    def __init__(
        self,
        breaks: Sequence[str],
        watches: Sequence[str],
        after: str | None,
        follow: bool,
        task: str | None = None,
        programs: Iterable[str] = (),
    ) -> None:
        self.breaks: list[BreakSpec] = []
        self.watches: list[WatchSpec] = []
        self.after: BreakSpec | None = None
        if breaks or watches or after is not None:
            from guestdbg.debugger.breakpoints.spec_parser import parse_break, parse_watch

            self.breaks = [parse_break(text) for text in breaks]
            self.watches = [parse_watch(text) for text in watches]
            self.after = None if after is None else parse_break(after, "--after")
        self.follow = follow
        self.programs = [_program(text) for text in programs]
        self.task = int(task) if task is not None and task.isascii() and task.isdigit() else task
        if task is not None and not self.breaks and not self.watches:
            raise click.UsageError("--task without --break or --watch: there is nothing to set.")
        if after is not None and not self.breaks and not self.watches:
            raise click.UsageError("--after without --break or --watch: there is nothing to set.")


def _program(text: str) -> tuple[BreakSpec, str, str]:
    """--exec FILE:FUNCTION [if CONDITION] as a breakpoint, the file and the function."""
    from guestdbg.debugger.breakpoints.spec_parser import parse_break

    spec = parse_break(text, "--exec")
    file, colon, function = spec.name.rpartition(":")
    if not colon or not function or not file.startswith("/"):
        raise click.UsageError(
            f"--exec {text}: it is a path in the guest and a function, as /usr/bin/foo:main."
        )
    return spec, file, function


@dataclass
class ArmedPoints:
    """The points, each with its text of the command line.

    `programs`: the breakpoints of --exec, likewise.
    `waiting`: the text of --after until it has been reached; then None.
    """

    points: list[tuple[str, Watch | Breakpoint]] = field(default_factory=list)
    waiting: str | None = None
    programs: list[tuple[str, ProgramBreakpoint]] = field(default_factory=list)


def _followed(guest: Guest, specs: PointSpecs) -> set[str]:
    """The texts of the watches that are to follow pointers."""
    if not specs.follow:
        return set()
    return {
        spec.text
        for spec in specs.watches
        if isinstance(spec.where, str)
        and spec.length is None
        and guest.follows_pointers(spec.where)
    }


def arm(
    guest: Guest,
    terminal: Terminal,
    specs: PointSpecs,
    attach: Attach,
    follow_fork: FollowFork = "parent",
) -> ArmedPoints:
    """Set all breakpoints and watches, or have them set at --after.

    Raises UsageError for --follow-pointer without a pointer, and what setting them does.
    """
    armed = ArmedPoints()
    followed = _followed(guest, specs)

    def set_points() -> None:
        _arm(guest, terminal, specs, followed, attach, armed)

    if specs.after is None:
        set_points()
    else:
        _check(guest, specs)
        armed.waiting = specs.after.text
        reached = guest.break_(specs.after.where, when=specs.after.condition)

        @reached
        def set_now(_hit: object) -> None:
            reached.delete()
            armed.waiting = None
            set_points()

    for program, file, function in specs.programs:
        reached = guest.linux.processes.break_in(
            file, function, when=program.condition, follow_fork=follow_fork
        )
        attach(reached, program)
        armed.programs.append((program.text, reached))
    if specs.follow and not followed:
        raise click.UsageError(
            "--follow-pointer: there is no --watch through a pointer, such as head->next.id."
        )
    return armed


def _check(guest: Guest, specs: PointSpecs) -> None:
    """Raise the errors now that do not depend on what the guest does until then."""
    with guest.detached():
        for spec in specs.breaks:
            guest.break_(spec.where, when=spec.condition).delete()
        for each in specs.watches:
            with contextlib.suppress(NullPointer, AddressError):
                guest.check_watch(each.where, each.length, each.access, each.condition)


def _arm(
    guest: Guest,
    terminal: Terminal,
    specs: PointSpecs,
    followed: set[str],
    attach: Attach,
    armed: ArmedPoints,
) -> None:
    for spec in specs.breaks:
        breakpoint_ = guest.break_(spec.where, when=spec.condition, kind="auto", task=specs.task)
        if breakpoint_.why_software:
            terminal.line(
                f"-- {spec.text} is a software breakpoint (BRK): {breakpoint_.why_software}"
            )
        armed.points.append((spec.text, breakpoint_))
        attach(breakpoint_, spec)
    for each in specs.watches:
        watch = guest.watch(
            each.where,
            each.length,
            access=each.access,
            when=each.condition,
            task=specs.task,
            follow=each.text in followed,
        )
        armed.points.append((each.text, watch))
        attach(watch, each)
