"""An address of the guest in terms of its program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from guestdbg.hexadecimal_repr import hexadecimal

__all__ = ["Location"]


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class Location:
    """An address with its function, source file and line; each is None if it is not known.

    ``offset`` counts the bytes from the start of ``function``. If ``function`` was inlined there,
    ``caller`` is the function that made the call, with the file and line of the call;
    otherwise it is None.
    """

    address: int
    function: str | None = None
    offset: int = 0
    file: str | None = None
    line: int | None = None
    caller: Location | None = None

    @property
    def chain(self) -> list[Location]:
        """This location and its callers: the innermost inlined function first."""
        found = [self]
        while (caller := found[-1].caller) is not None:
            found.append(caller)
        return found

    @property
    def outermost(self) -> Location:
        """The function that is not inlined, at the line of the call that was inlined into it."""
        return self.chain[-1]

    @property
    def symbolic(self) -> str:
        """``function+0x1c``, or the address if no symbol covers it."""
        if self.function is None:
            return f"{self.address:#x}"
        return f"{self.function}+{self.offset:#x}" if self.offset else self.function

    @property
    def source(self) -> str | None:
        """``file:line``, the file without its directories; None without line information."""
        if self.file is None:
            return None
        return f"{PurePosixPath(self.file).name}:{self.line}"

    def __str__(self) -> str:
        source = self.source
        return f"{self.symbolic} ({source})" if source else self.symbolic
