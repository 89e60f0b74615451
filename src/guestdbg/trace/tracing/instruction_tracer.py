"""A trace of every instruction of a guest, in a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from guestdbg.kvm import SupportsInstructionTrace
from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.instructions.records import header
from guestdbg.trace.tracing.places import instructions_at
from guestdbg.trace.tracing.streamed_file import StreamedFile

if TYPE_CHECKING:
    from guestdbg.debugger import Breakpoint, Guest, Hit
    from guestdbg.kvm import FlowTrace

__all__ = ["InstructionTrace"]

log = logging.getLogger(__name__)

#: In ``Execution.on_repeat``.
_NAME: Final = "instructions"


class InstructionTrace:
    """Writes each instruction, with the registers and the memory that it changed, to a file.

    ``guest.trace(what="instructions", to=FILE)``. It is on when it is made, until ``stop()`` or the
    end of a ``with`` statement. What a history repeats is not written again. The file's form is
    in ``docs/instruction-trace.md``; ``guestdbg trace`` makes text and tables of it.

    Args:
        guest: the guest.
        to: the name of a file, which is replaced if it exists, or a function that opens a file for
            bytes, unbuffered, which the trace closes.
        start: where it begins, as in ``Trace``.
        stop: where it ends.

    Attributes:
        written: bytes of records so far.

    Raises:
        TracingError: the provider does not record instructions; another such trace is on; an
            argument is wrong; the file cannot be written.
        UnknownSymbol, InvalidLocation, OutOfRegisters: of ``start`` and ``stop``.
        GuestBusy: the guest runs.
    """

    def __init__(
        self,
        guest: Guest,
        to: str | os.PathLike[str] | Callable[[], BinaryIO],
        start: str | int | None = None,
        stop: str | int | None = None,
    ) -> None:
        execution = guest.execution
        execution.check_stopped("a trace is switched on for a stopped guest")
        machine = guest.board.vm
        if not isinstance(machine, SupportsInstructionTrace):
            raise TracingError(
                "this provider does not record its instructions: a trace of them needs the "
                'software provider (provider="soft", --provider soft)'
            )
        if _NAME in execution.on_repeat:
            raise TracingError("another trace of instructions is on: stop() it first")
        first, last = instructions_at("start", start), instructions_at("stop", stop)
        self._guest = guest
        self._points: list[Breakpoint] = []
        self._inside = not isinstance(start, str)
        self._error: TracingError | None = None
        self._file: StreamedFile | None = None
        self._records: FlowTrace | None = None
        self.written = 0
        self._on = True
        try:
            for where, handler in ((start, self._enter), (stop, self._leave)):
                if isinstance(where, str):
                    self._points.append(execution.hidden_breakpoint(where, where, handler))
            self._records = machine.start_instruction_trace(self._add, start=first, stop=last)
            self._open(to)
        except BaseException:
            self._release()
            raise
        execution.on_repeat[_NAME] = self._repeat
        execution.before_close.append(self._closing)
        self._pause()

    def _open(self, to: str | os.PathLike[str] | Callable[[], BinaryIO]) -> None:
        """Last of what can fail: a trace that cannot be made changes no file."""
        try:
            self._file = StreamedFile(
                to() if callable(to) else open(Path(to), "wb", buffering=0)  # noqa: SIM115
            )
            images = self._guest.images
            name = images[0].path.name if images else "a guest"
            self._file.add(header(name, len(self._guest.vcpus)))
        except (OSError, ValueError) as error:  # ValueError: a NUL character in its name
            raise TracingError(f"the trace cannot be written: {error}") from error

    @property
    def on(self) -> bool:
        """Whether it is on."""
        return self._on

    def stop(self) -> None:
        """Write nothing any more; the file is complete then. Nothing happens if it is off.

        Raises TracingError if something could not be written; what was written before is complete.
        """
        if self._on:
            self._guest.execution.check_stopped("a trace is switched off for a stopped guest")
            self._on = False
            self._release()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _release(self) -> None:
        """Nothing of the guest leads to this any more."""
        execution = self._guest.execution
        if self._records is not None:
            self._records.close()
        for point in self._points:
            point.delete()
        self._points.clear()
        execution.on_repeat.pop(_NAME, None)
        if self._closing in execution.before_close:
            execution.before_close.remove(self._closing)
        if self._file is not None:
            self._file.close()

    def _add(self, data: bytes) -> None:
        """The provider has records."""
        assert self._file is not None
        try:
            self._file.add(data)
        except OSError as error:
            text = f"the trace cannot be written any more, after {self.written:,} bytes: {error}"
            self._error = TracingError(text)
            self._error.__cause__ = error
            log.warning("%s; the guest goes on without it", text)
            raise
        self.written += len(data)

    def _closing(self) -> None:
        """The guest is about to be closed."""
        try:
            self.stop()
        except TracingError as error:
            log.error("%s", error)

    def _enter(self, hit: Hit) -> None:
        if not self._guest.execution.repeats:
            self._inside = True
            self._pause()

    def _leave(self, hit: Hit) -> None:
        if not self._guest.execution.repeats:
            self._inside = False
            self._pause()

    def _repeat(self, repeats: bool) -> None:
        self._pause()

    def _pause(self) -> None:
        assert self._records is not None
        self._records.paused = not self._inside or self._guest.execution.repeats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            self.stop()
        except TracingError as failed:
            if error is None:
                raise
            log.error("%s", failed)

    def __repr__(self) -> str:
        state = "on" if self._on else "off"
        return f"<InstructionTrace: {state}, {self.written:,} bytes>"
