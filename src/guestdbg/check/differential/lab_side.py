"""Plays programs on the real KVM of the lab."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from guestdbg.campaign import OnlyHere
from guestdbg.check.differential.findings import LocalSide, Side
from guestdbg.check.differential.players import playing_on
from guestdbg.check.differential.program import ProgramError, dumps_request
from guestdbg.check.differential.trace import from_json
from guestdbg.closing import Closing
from guestdbg.kvm.linux_release import software_options
from guestdbg.lab import Lab, LabError, Live

if TYPE_CHECKING:
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import TraceLine

_COMMAND = ("guestdbg", "differential", "run", "--provider", "host", "--programs", "-")


class LabPlayer(Closing):
    """One command in a running lab, which reads programs and writes traces.

    The command keeps running, because starting Python in the lab takes as long as fifty programs.
    The lab belongs to the caller and is not closed.
    """

    def __init__(self, lab: Lab, *, seconds: float = 120) -> None:
        self._lab = lab
        self._seconds = seconds
        self._answers: Queue[bytes | None] = Queue()
        self._rest = b""
        self._messages = bytearray()
        read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._follow, args=(read,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the command."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._thread.join(self._seconds)

    def play_all(
        self, programs: Iterable[Program], *, full: bool = False, ahead: int = 8
    ) -> Iterator[TraceLine]:
        """The digests of programs, or ``full`` traces, in order; ``ahead`` are sent in advance.

        Raises:
            ProgramError: the command has ended, does not answer, or answers something else.
        """
        waiting: list[Program] = []
        for program in programs:
            self._send(program, full=full)
            waiting.append(program)
            if len(waiting) > ahead:
                yield self._answer(waiting.pop(0))
        for program in waiting:
            yield self._answer(program)

    def _send(self, program: Program, *, full: bool) -> None:
        data = memoryview(dumps_request(program, full=full).encode() + b"\n")
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

    def _follow(self, read: int) -> None:
        try:
            live = Live(stdout=self._on_output, stderr=self._messages.extend, stdin=read)
            self._lab.run(_COMMAND, timeout=None, live=live)
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
    """The lab as one of two sides."""

    def __init__(self, lab: Lab) -> None:
        self._player = LabPlayer(lab)

    def close(self) -> None:
        """End the command."""
        self._player.close()

    def brief(self, programs: Sequence[Program]) -> Iterator[TraceLine]:
        return self._player.play_all(programs)

    def full(self, programs: Sequence[Program]) -> Iterator[TraceLine]:
        return self._player.play_all(programs, full=True)


class LabSides:
    """The software KVM as the lab's kernel and processor are, and the lab.

    Args:
        lab: a lab that runs already, which is not closed, or options of one that is booted.
    """

    def __init__(self, lab: Lab | Mapping[str, Any]) -> None:
        self._lab = OnlyHere(lab) if isinstance(lab, Lab) else dict(lab)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[tuple[Side, Side]]:
        with contextlib.ExitStack() as stack:
            if isinstance(self._lab, OnlyHere):
                lab = self._lab.thing
            else:
                lab = stack.enter_context(Lab(**self._lab))
            there = stack.enter_context(LabSide(lab))
            about = lab.description
            options = software_options(about["kernel"], about["cpu"])
            brief = stack.enter_context(playing_on("soft", full=False, **options))
            full = stack.enter_context(playing_on("soft", full=True, **options))
            yield LocalSide(brief, full), there
