"""`guestdbg lab`: run a command on a real arm64 KVM, on any machine."""

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from guestdbg.check.registry import select
from guestdbg.cli.check import check
from guestdbg.cli.lab_options import lab_options
from guestdbg.cli.running.option_types import Seconds
from guestdbg.cli.running.terminal import is_foreground
from guestdbg.lab import CommandTimeout, Forward, Lab, Live
from guestdbg.lab import prepare as prepare_cache
from guestdbg.lab.machine.local_files import in_the_way, named_files, write_results

EXIT_LIMIT = 124
#: Programs that can be run, besides the commands of guestdbg.
PROGRAMS = ("python3", "sh", "busybox")
ESCAPE = b"\x1d"


@click.command(
    short_help="Run a command on a real arm64 KVM, in an emulated machine.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
COMMAND is a guestdbg command (with or without `guestdbg` before it), python3,
sh, busybox, or the path of a program in the lab. Files that it names are
copied into the lab. It runs in a directory with the same path as this one.

\b
Examples:
  guestdbg lab -- caps
  guestdbg lab -- guestdbg run examples/hello.elf
  guestdbg lab --cpu vhe -- python3 experiment.py
  guestdbg lab --fetch hits.jsonl -- \\
      run examples/queue.elf --break job_finish --count 5 --log hits.jsonl
  guestdbg lab --forward 1234 -- gdb examples/hello.elf

\b
Exit status: that of the command, 128 + N if signal N ended it; 1 if the lab
does not start, 124 after --timeout.
""",
)
@lab_options
@click.option("--smp", metavar="N", default=1, show_default=True, help="Number of processors.")
@click.option("--memory", metavar="MIB", default=1024, show_default=True, help="Memory in MiB.")
@click.option(
    "--gic", type=click.Choice(["2", "3"]), default="3", show_default=True, help="GIC version."
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(min=0, min_open=True),
    default=3600,
    show_default=True,
    help="Kill the command after this time.",
)
@click.option(
    "--file",
    "files",
    metavar="PATH",
    multiple=True,
    type=click.Path(exists=True),
    help="Copy this file or directory into the lab, too. Repeatable.",
)
@click.option(
    "--fetch",
    "results",
    metavar="PATH",
    multiple=True,
    help="Copy this file (or pattern: *.json) back at the end. Repeatable.",
)
@click.option(
    "--fetch-overwrite", is_flag=True, help="What is fetched may replace files that exist."
)
@click.option(
    "--forward",
    "ports",
    metavar="PORT[:INSIDE]",
    multiple=True,
    callback=lambda _context, _parameter, values: [_ports(value) for value in values],
    help="Forward a port of this machine to one in the lab. Repeatable.",
)
@click.option("--prepare", is_flag=True, help="Only download and build the lab; run nothing.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def lab(
    context: click.Context,
    chosen: dict[str, Any],
    smp: int,
    memory: int,
    gic: str,
    timeout: float,
    files: tuple[str, ...],
    results: tuple[str, ...],
    fetch_overwrite: bool,
    ports: list[tuple[int, int]],
    prepare: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND on a real arm64 KVM: Debian's kernel in a QEMU that emulates EL2."""
    machine = Lab(**chosen, smp=smp, memory=memory, gic=int(gic))
    if prepare:
        prepare_cache(suite=chosen["suite"], qemu=chosen["qemu"])
        return
    if not command:
        raise click.UsageError("no COMMAND; for example: guestdbg lab -- caps", context)
    argv = _program(context, list(command))
    _check_cases(context, argv)
    here = Path.cwd()
    if not fetch_overwrite and (existing := in_the_way(results, here)):
        raise click.UsageError(
            f"--fetch: {', '.join(existing[:3])} exists here; move it away, or add "
            "--fetch-overwrite to replace it.",
            context,
        )
    carry = [*files, *named_files(argv[1:], here)]
    if "/" in argv[0]:
        carry += named_files(argv[:1], here)
    with contextlib.ExitStack() as stack:
        forwards = [stack.enter_context(Forward(inside, port)) for port, inside in ports]
        stack.enter_context(_ended_by_sigterm())
        stack.enter_context(machine)
        live = stack.enter_context(_live())
        try:
            result = machine.run(
                argv,
                files=carry,
                results=results,
                cwd=str(here),
                timeout=timeout,
                live=live,
                env=_environment(),
                forwards=forwards,
            )
        except CommandTimeout as error:
            click.echo(f"guestdbg: {error} (--timeout)", err=True)
            context.exit(EXIT_LIMIT)
    written = write_results(result.files, results, here, overwrite=fetch_overwrite)
    for pattern in written.missing:
        click.echo(f"guestdbg: nothing to fetch: the command left no {pattern}", err=True)
    for name, instead in written.renamed.items():
        click.echo(f"guestdbg: {name} exists: the lab's is {instead}", err=True)
    context.exit(result.status)


def _program(context: click.Context, words: list[str]) -> list[str]:
    """The command line to run in the lab. An unknown command is an error before the lab starts."""
    group = context.parent.command if context.parent else None
    known = group.list_commands(context) if isinstance(group, click.Group) else []
    first = words[0]
    if first == "guestdbg" or first in PROGRAMS or "/" in first:
        return words
    if first in known or first.startswith("-"):
        return ["guestdbg", *words]
    names = ", ".join([*known, *PROGRAMS])
    raise click.UsageError(f"no command {first!r} in the lab; the commands are: {names}", context)


def _check_cases(context: click.Context, argv: list[str]) -> None:
    """Raises the errors of `guestdbg check` in its options and its -k before the lab starts."""
    if argv[:2] == ["guestdbg", "check"]:
        parsed = check.make_context("check", argv[2:], parent=context.parent)
        select(parsed.params["patterns"])


def _ports(text: str) -> tuple[int, int]:
    """The port of this machine, and the port in the lab."""
    here, colon, inside = text.partition(":")
    try:
        ports = (int(here), int(inside if colon else here))
        if not all(1 <= port <= 65535 for port in ports):
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{text!r} is not PORT or PORT:PORT, as in 1234") from None
    return ports


def _environment() -> dict[str, str]:
    """The variables that a command in the lab gets: the terminal, and the user's settings."""
    names = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "GUESTDBG_TRACEBACK")
    return {name: os.environ[name] for name in names if name in os.environ}


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM becomes SystemExit, so that the machine ends and the terminal is restored."""
    old = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def _live() -> Iterator[Live]:
    """This process's stdin, stdout and stderr for the command; a terminal if all three are."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    live = Live(stdout=lambda data: _write(1, data), stderr=lambda data: _write(2, data))
    if _is_open(0) and not (os.isatty(0) and not is_foreground(0)):
        live.stdin = 0
    if live.stdin is not None and all(os.isatty(fd) for fd in (0, 1, 2)):
        with _raw_terminal(live):
            yield live
    else:
        yield live


@contextlib.contextmanager
def _raw_terminal(live: Live) -> Iterator[None]:
    """Every key goes to the command's terminal as a byte, Ctrl-C too."""
    live.escape = ESCAPE
    click.echo("guestdbg: Ctrl-] ends the lab", err=True)
    before = termios.tcgetattr(0)
    with _size_changes() as live.resized:
        live.size = _size
        live.terminal = _size()
        tty.setraw(0, termios.TCSADRAIN)
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _size() -> tuple[int, int]:
    """The terminal's rows and columns. COLUMNS is ignored here: it is passed on as it is."""
    size = os.get_terminal_size(0)
    # On a serial line both are 0.
    return size.lines or 24, size.columns or 80


@contextlib.contextmanager
def _size_changes() -> Iterator[int]:
    """A file descriptor that becomes readable when the size of the terminal changes."""
    changes, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def changed(_number: int, _frame: FrameType | None) -> None:
        # A full pipe is readable already.
        with contextlib.suppress(BlockingIOError):
            os.write(write_end, b"\0")

    old = signal.signal(signal.SIGWINCH, changed)
    try:
        yield changes
    finally:
        signal.signal(signal.SIGWINCH, old)
        os.close(changes)
        os.close(write_end)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
