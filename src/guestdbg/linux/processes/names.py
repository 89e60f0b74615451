"""Names in the programs of processes: the symbols, lines and variables of the files they map."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from guestdbg.debugger import InvalidLocation, NoDebugInfo, UnknownLine, UnknownSymbol
from guestdbg.debugger.program.debug_info import DebugInfo
from guestdbg.debugger.program.resolver import Code, Data

__all__ = ["ProgramNames"]

Place = TypeVar("Place", Code, Data)

_IN_FILE = re.compile(r"([^:]+):([^:].*)")
_HINT = (
    "no file that a process of the task has mapped has it; --exec FILE:FUNCTION, or "
    "linux.processes.break_in(), sets a breakpoint in programs that are executed later"
)


def _addresses(place: Code | Data) -> tuple[int, ...]:
    return place.addresses if isinstance(place, Code) else (place.address,)


class ProgramNames:
    """Resolves names in the programs of some processes.

    Args:
        programs: the number of each, and its files with their symbols.
    """

    def __init__(self, programs: Iterable[tuple[int, DebugInfo]]) -> None:
        self._programs = list(programs)

    def resolve(
        self, where: str, own: Callable[[], Place], find: Callable[[DebugInfo, str], Place]
    ) -> Place:
        """A location: ``FILE:NAME`` of a file that they map; else of the guest; else of any file.

        Args:
            where: the location.
            own: resolves it among the names of the guest itself, and may raise UnknownSymbol.
            find: resolves one among the names of a program.

        Raises UnknownSymbol, InvalidLocation where processes have it at different addresses, and
        what ``own`` and ``find`` do.
        """
        in_file = _IN_FILE.fullmatch(where.strip())
        if in_file is not None:
            programs = [(tgid, _only(info, in_file[1])) for tgid, info in self._programs]
            programs = [(tgid, info) for tgid, info in programs if info.images]
            if programs:
                return self._found(where, in_file[2], programs, find, None)
        try:
            return own()
        except (UnknownSymbol, NoDebugInfo, UnknownLine) as error:
            return self._found(where, where, self._programs, find, error)

    def _found(
        self,
        where: str,
        name: str,
        programs: list[tuple[int, DebugInfo]],
        find: Callable[[DebugInfo, str], Place],
        error: Exception | None,
    ) -> Place:
        places: dict[int, Place] = {}
        unknown: Exception | None = None
        for tgid, info in programs:
            try:
                places[tgid] = find(info, name)
            except (UnknownSymbol, NoDebugInfo, UnknownLine) as other:
                unknown = other
        if not places:
            failed = unknown or error
            if isinstance(failed, UnknownSymbol):
                raise UnknownSymbol(failed.name, failed.matches, failed.what, hint=_HINT) from None
            assert failed is not None
            raise failed
        first, place = next(iter(places.items()))
        others = [n for n in places if _addresses(places[n]) != _addresses(place)]
        if others:
            raise InvalidLocation(
                f"{where!r} is at {_addresses(place)[0]:#x} in process {first}, and elsewhere in "
                f"process {others[0]}: give one of them by its number, or use --exec "
                "(linux.processes.break_in), which sets a breakpoint in each"
            )
        return place


def _only(info: DebugInfo, file: str) -> DebugInfo:
    """With the images of one file, by its path or its name."""
    images = [
        image
        for image in info.images
        if file in (str(image.path), PurePosixPath(str(image.path)).name)
    ]
    return DebugInfo(images, info.types._read)
