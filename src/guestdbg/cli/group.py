"""The `guestdbg` command: finds its subcommands, and turns errors into one clear line.

Exit status: 0 success; 1 an error in the request or the guest; 2 a wrong command line (click);
70 a defect of guestdbg; 124 a limit was reached; 130 Ctrl-C.
"""

import contextlib
import importlib
import os
import re
import sys
from typing import Any, ClassVar

import click

from guestdbg.cli import standard_streams
from guestdbg.cli.lasting_objects import lasting_objects
from guestdbg.errors import GuestdbgError

EXIT_PROBLEM = 1
EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130

TRACEBACK = "GUESTDBG_TRACEBACK"


class Commands(click.Group):
    """Subcommands by name, imported when used: `explain` does not need the debugger."""

    modules: ClassVar = {
        "campaign": "guestdbg.cli.campaign",
        "caps": "guestdbg.cli.caps",
        "check": "guestdbg.cli.check",
        "differential": "guestdbg.cli.differential",
        "explain": "guestdbg.cli.explain",
        "faults": "guestdbg.cli.faults",
        "fuzz": "guestdbg.cli.fuzz",
        "gdb": "guestdbg.cli.gdb",
        "lab": "guestdbg.cli.lab",
        "replay": "guestdbg.cli.replay",
        "report": "guestdbg.cli.report",
        "run": "guestdbg.cli.run",
        "trace": "guestdbg.cli.trace",
        "tui": "guestdbg.cli.tui",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        with lasting_objects():
            command = getattr(importlib.import_module(self.modules[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.modules and not name.startswith("-"):
            ctx.fail(f"no command {name!r}; the commands are: {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        standard_streams.keep_open()
        try:
            return super().main(*args, **extra)
        except OSError as error:  # of --help, which is printed before a command is invoked
            _complain(error)
            sys.exit(EXIT_PROBLEM)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (GuestdbgError, OSError) as error:
            if os.environ.get(TRACEBACK):
                raise
            if isinstance(error, BrokenPipeError):
                # The reader of stdout has gone (`| head`), which is not an error. Output that is
                # still buffered goes to /dev/null, or Python would report a broken pipe at exit.
                standard_streams.discard_stdout()
                ctx.exit(EXIT_PROBLEM)
            _complain(error)
            ctx.exit(EXIT_PROBLEM)
        except KeyboardInterrupt:
            _say("guestdbg: interrupted")
            ctx.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            _say(
                f"guestdbg: this is a defect of guestdbg: {type(error).__name__}: {error}\n"
                f"(run again with {TRACEBACK}=1 to see where)"
            )
            ctx.exit(EXIT_DEFECT)


def _say(text: str) -> None:
    """Write to stderr; where that cannot be written, nobody can be told."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _complain(error: GuestdbgError | OSError) -> None:
    text = describe(error)
    if isinstance(error, OSError) and (failure := standard_streams.stdout_failure()) is not None:
        text = f"standard output: {standard_streams.failure_text(failure)}"
        standard_streams.discard_stdout()
    _say(f"guestdbg: {text}")


# The library names its arguments (kind=...); on the command line they are options (--kind ...).
_ARGUMENT = re.compile(
    r"\b(kind|address|memory|provider|overwatch|symbols|slide|vcpus|bootargs|initrd|drives|net|seed|smp|gic|append|machine|qemu|cpu)=('?)([^\s',;)]*)\2"
)


def describe(error: GuestdbgError | OSError) -> str:
    """The text of an error, in terms of the command line."""
    if isinstance(error, GuestdbgError) or error.strerror is None:
        return _ARGUMENT.sub(lambda m: f"--{m[1]} {m[3]}".rstrip(), str(error))
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("guestdbg")
    except metadata.PackageNotFoundError:
        return "unknown (run from a tree that is not installed)"


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"guestdbg, version {_version()}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The --help of each command has an example.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Stop an arm64 guest with the processor's hardware breakpoints and watchpoints."""
