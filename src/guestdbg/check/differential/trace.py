"""What was observed of a program, exit by exit, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guestdbg.check.differential.program import ProgramError

#: An exit as plain values: its name, then its data.
Seen = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """One exit.

    Attributes:
        exit: ``("debug", hsr, hsr_high, far)``, ``("mmio", address, length, is_write, data)``,
            ``("event", type, ...)``, ``("errno", number)``, ``("kicked",)`` …; ``far`` is -1 if
            it is not valid.
        refused: (number of the action, errno) of the host's calls before this run that failed.
        registers: by name, those that differ from the previous moment.
        memory: a checksum of the pages that a program can write.
    """

    exit: Seen
    refused: tuple[tuple[int, int], ...]
    registers: Mapping[str, int]
    memory: int


@dataclass(frozen=True, slots=True)
class Where:
    """What a trace is of.

    Attributes:
        provider: ``"soft"`` or ``"host"``.
        linux: the release of the kernel that answered (``Kvm.linux``).
        midr: MIDR_EL1 of the processor.
    """

    provider: str
    linux: str
    midr: int

    def __str__(self) -> str:
        answers = "the software KVM as Linux" if self.provider == "soft" else "Linux"
        return f"{answers} {self.linux}, MIDR_EL1 {self.midr:#x}"


UNKNOWN = Where("", "", 0)


@dataclass(frozen=True, slots=True)
class Trace:
    """What was observed of a program.

    Attributes:
        name: the program's name.
        moments: the exits.
        final: more registers, at the end.
        pages: a checksum of each page, at the end.
        taken: in a full trace, the exceptions that the guest took itself: ESR_EL1, ELR_EL1,
            SPSR_EL1, FAR_EL1 and the offset of the vector for each.
        where: what it was observed on.
    """

    name: str
    moments: tuple[Moment, ...]
    final: Mapping[str, int]
    pages: Mapping[str, int]
    taken: tuple[tuple[int, ...], ...] = ()
    where: Where = UNKNOWN

    def registers(self, number: int) -> dict[str, int]:
        """All registers at a moment."""
        registers: dict[str, int] = {}
        for moment in self.moments[: number + 1]:
            registers.update(moment.registers)
        return registers

    @property
    def kicked(self) -> bool:
        """Whether the guest had to be kicked. Its state at that moment depends on timing."""
        return bool(self.moments) and self.moments[-1].exit[0] == "kicked"

    @property
    def digest(self) -> str:
        """A hash of everything but the name and ``where``, as 16 hexadecimal digits."""
        if self.kicked:
            content = repr([self._plain(m) for m in self.moments[:-1]])
        else:
            content = repr(
                (
                    [self._plain(m) for m in self.moments],
                    sorted(self.final.items()),
                    sorted(self.pages.items()),
                )
            )
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    @staticmethod
    def _plain(m: Moment) -> object:
        return m.exit, m.refused, sorted(m.registers.items()), m.memory


def to_json(trace: Trace, *, full: bool = True) -> str:
    """A trace as one line of JSON; without ``full``, only its digest."""
    values: dict[str, Any] = {
        "name": trace.name,
        "digest": trace.digest,
        "exits": len(trace.moments),
        "where": [trace.where.provider, trace.where.linux, trace.where.midr],
    }
    if trace.kicked:
        values["kicked"] = True
    if full:
        values["moments"] = [[m.exit, m.refused, m.registers, m.memory] for m in trace.moments]
        values["final"] = trace.final
        values["pages"] = trace.pages
        values["taken"] = trace.taken
    return json.dumps(values, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class TraceLine:
    """A line of a file of traces: the digest, and the trace if the line has all of it."""

    name: str
    digest: str
    exits: int
    kicked: bool
    trace: Trace | None
    where: Where = UNKNOWN

    @staticmethod
    def of(trace: Trace) -> TraceLine:
        """The line of a full trace."""
        return TraceLine(
            trace.name, trace.digest, len(trace.moments), trace.kicked, trace, trace.where
        )


def from_json(line: str) -> TraceLine:
    """Reads a line that ``to_json`` has made.

    Raises:
        ProgramError: the line is not a trace.
    """
    try:
        values = json.loads(line)
        trace = None
        where = Where(*values["where"])
        if "moments" in values:
            moments = tuple(
                Moment(tuple(exit_), tuple((n, e) for n, e in refused), registers, memory)
                for exit_, refused, registers, memory in values["moments"]
            )
            taken = tuple(map(tuple, values["taken"]))
            trace = Trace(values["name"], moments, values["final"], values["pages"], taken, where)
        return TraceLine(
            values["name"],
            values["digest"],
            values["exits"],
            values.get("kicked", False),
            trace,
            where,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProgramError(f"not a trace of the differential: {error!r}") from None
