"""Plays programs on the real KVM of the lab."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, Queue
from typing import TYPE_CHECKING

from guestdbg.check.differential.campaign import Side
from guestdbg.check.differential.program import ProgramError, dumps
from guestdbg.check.differential.trace import from_json
from guestdbg.closing import Closing
from guestdbg.lab import LabError, Live

if TYPE_CHECKING:
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import TraceLine
    from guestdbg.lab import Lab

_COMMAND = ("guestdbg", "differential", "run", "--provider", "host", "--programs", "-")


class LabPlayer(Closing):
    """One command in a running lab, which reads programs and writes traces.

    The command keeps running, because starting Python in the lab takes as long as fifty programs.
    The lab belongs to the caller and is not closed.
    """

    def __init__(self, lab: Lab, *, full: bool = False, seconds: float = 120) -> None:
        self._lab = lab
        self._seconds = seconds
        self._answers: Queue[bytes | None] = Queue()
        self._rest = b""
        self._messages = bytearray()
        read, self._write = os.pipe()
        argv = (*_COMMAND, "--full") if full else _COMMAND
        self._thread = threading.Thread(target=self._follow, args=(argv, read), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the command."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._thread.join(self._seconds)

    def play_all(self, programs: Iterable[Program], *, ahead: int = 8) -> Iterator[TraceLine]:
        """The traces of programs, in order. ``ahead`` programs are sent in advance.

        Raises:
            ProgramError: the command has ended, does not answer, or answers something else.
        """
        waiting: list[Program] = []
        for program in programs:
            self._send(program)
            waiting.append(program)
            if len(waiting) > ahead:
                yield self._answer(waiting.pop(0))
        for program in waiting:
            yield self._answer(program)

    def _send(self, program: Program) -> None:
        data = memoryview(dumps(program).encode() + b"\n")
        try:
            while data:
                data = data[os.write(self._write, data) :]
        except OSError as error:
            raise self._ended() from error

    def _answer(self, program: Program) -> TraceLine:
        try:
            line = self._answers.get(timeout=self._seconds)
        except Empty:
            raise ProgramError(f"the lab does not answer to program {program.name}") from None
        if line is None:
            raise self._ended()
        found = from_json(line.decode())
        if found.name != program.name:
            raise ProgramError(f"the lab played {found.name}, not {program.name}")
        return found

    def _ended(self) -> ProgramError:
        return ProgramError(
            f"the command in the lab ended: {self._messages.decode(errors='replace')}"
        )

    def _follow(self, argv: tuple[str, ...], read: int) -> None:
        try:
            live = Live(stdout=self._on_output, stderr=self._messages.extend, stdin=read)
            self._lab.run(argv, timeout=None, live=live)
        except LabError as error:
            self._messages.extend(str(error).encode())
        finally:
            os.close(read)
            self._answers.put(None)

    def _on_output(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._answers.put(line)


class LabSide(Side, Closing):
    """The lab as one of two sides: a command for digests, or for full traces, as needed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._player: LabPlayer | None = None
        self._is_full = False

    def close(self) -> None:
        """End the command."""
        if self._player is not None:
            self._player.close()

    def _playing(self, full: bool) -> LabPlayer:
        # A lab runs one command at a time.
        if self._player is None or self._is_full != full:
            if self._player is not None:
                self._player.close()
            self._player = LabPlayer(self._lab, full=full)
            self._is_full = full
        return self._player

    def brief(self, programs: Sequence[Program]) -> Iterator[TraceLine]:
        return self._playing(False).play_all(programs) if programs else iter(())

    def full(self, programs: Sequence[Program]) -> Iterator[TraceLine]:
        return self._playing(True).play_all(programs) if programs else iter(())
