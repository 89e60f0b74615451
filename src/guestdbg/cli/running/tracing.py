"""--trace: what the guest did, one event after the other, in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from guestdbg.cli.output_file import OutputFile
from guestdbg.closing import Closing

if TYPE_CHECKING:
    # At run time they are imported only for a run with a trace.
    from guestdbg.cli.output_file import Existing
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest
    from guestdbg.trace import InstructionTrace, Trace
    from guestdbg.trace.tracing import About, Event
    from guestdbg.trace.tracing.writers import FileWriter

_KINDS = ("calls", "exceptions", "contexts", "console", "hits")


class TraceOptions(NamedTuple):
    """The options with these names, without ``trace_``."""

    path: Path | None
    what: tuple[str, ...] | None
    start: str | None
    stop: str | None
    arguments: bool
    overwrite: bool

    @property
    def of_instructions(self) -> bool:
        """Whether the file has every instruction."""
        return self.path is not None and self.path.suffix.lower() == ".gdtrace"

    def check(self) -> None:
        """Raise click.UsageError for options without a file, TracingError for an unknown form."""
        if self.path is not None and self.of_instructions:
            if self.what or self.arguments:
                option = "--trace-what" if self.what else "--trace-arguments"
                raise click.UsageError(
                    f"{option} with --trace {self.path}: a .gdtrace file has every instruction."
                )
            return
        if self.path is not None:
            from guestdbg.trace.tracing.writers import check_ending

            check_ending(self.path)
            return
        for given, option in (
            (self.what, "--trace-what"),
            (self.start, "--trace-from"),
            (self.stop, "--trace-to"),
            (self.arguments, "--trace-arguments"),
            (self.overwrite, "--trace-overwrite"),
        ):
            if given:
                raise click.UsageError(f"{option} without --trace: there is no file to write.")


class _What(click.ParamType[tuple[str, ...]]):
    name = "what"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(str(value).split(",")))
        for each in found:
            if each not in _KINDS:
                self.fail(f"{each!r}: must be of {', '.join(_KINDS)}", param, ctx)
        return found


def tracing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options."""
    for option in reversed(
        (
            click.option(
                "--trace",
                "trace_path",
                metavar="FILE",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write calls, exceptions, context switches, console and hits to FILE.pftrace "
                "(Perfetto), .json (Chrome's viewer) or .jsonl; to FILE.gdtrace every instruction.",
            ),
            click.option(
                "--trace-what",
                metavar="LIST",
                type=_What(),
                help=f"What --trace writes, with commas. [default: {','.join(_KINDS)}]",
            ),
            click.option(
                "--trace-from",
                "trace_start",
                metavar="WHERE",
                help="Begin the trace when this code is reached for the first time, or after so "
                "many instructions.",
            ),
            click.option(
                "--trace-to",
                "trace_stop",
                metavar="WHERE",
                help="End the trace there; the run goes on.",
            ),
            click.option(
                "--trace-arguments", is_flag=True, help="With the arguments of each call."
            ),
            click.option(
                "--trace-overwrite",
                is_flag=True,
                help="The file of --trace may exist: replace it.",
            ),
        )
    ):
        command = option(command)
    return command


class _LateWriter:
    """Begins the file when the trace does: a guest that cannot be traced changes no file."""

    def __init__(self, file: OutputFile, ending: str) -> None:
        self._file = file
        self._ending = ending
        self._writer: FileWriter | None = None

    def begin(self, about: About) -> None:
        from guestdbg.trace.tracing.writers import form_writer

        self._file.begin()
        self._writer = form_writer(self._ending, self._file.binary())
        self._writer.begin(about)

    def write(self, events: Sequence[Event]) -> None:
        assert self._writer is not None
        self._writer.write(events)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    @property
    def notes(self) -> list[str]:
        return [] if self._writer is None else self._writer.notes


class TraceFile(Closing):
    """The file of --trace: made before the guest runs, complete when it has ended.

    Raises OutputFileError for a file that must not be written, OSError for one that cannot be.
    """

    def __init__(self, options: TraceOptions, inputs: Iterable[Path]) -> None:
        self._options = options
        self._file: OutputFile | None = None
        self._writer: _LateWriter | None = None
        self._trace: Trace | InstructionTrace | None = None
        if options.path is None:
            return
        existing: Existing = "overwrite" if options.overwrite else "refuse"
        self._file = OutputFile(
            options.path, "--trace", existing, inputs, replace="--trace-overwrite"
        )
        if not options.of_instructions:
            self._writer = _LateWriter(self._file, options.path.suffix.lower())

    def begin(self, guest: Guest) -> None:
        """The guest is about to run."""
        if self._file is not None and self._writer is None:
            start, stop = _place(self._options.start), _place(self._options.stop)
            self._trace = guest.trace(start, stop, what="instructions", to=self._opened)
        elif self._writer is not None:
            self._trace = guest.trace(
                _place(self._options.start),
                _place(self._options.stop),
                what=self._options.what or _KINDS,
                to=self._writer,
                arguments=self._options.arguments,
            )

    def _opened(self) -> BinaryIO:
        """The file, of which nothing else can fail now."""
        assert self._file is not None
        self._file.begin()
        return self._file.binary()

    def end(self, terminal: Terminal) -> bool:
        """The run has ended. Returns whether the file is complete; if not, that is said."""
        if self._trace is None:
            return True
        from guestdbg.trace import TracingError

        try:
            self._trace.stop()
        except TracingError as error:
            terminal.line(f"-- {error}")
            return False
        finally:
            for note in self._writer.notes if self._writer is not None else ():
                terminal.line(f"-- trace: {note}")
        terminal.line(f"-- trace: {self._options.path}")
        return True

    def close(self) -> None:
        """Complete what was written; a file for which nothing began is removed."""
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()


def _place(text: str | None) -> str | int | None:
    """Code, or a number of instructions."""
    return int(text) if text is not None and text.isdecimal() else text
