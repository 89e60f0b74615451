"""An address of the guest in terms of its program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Location"]


@dataclass(frozen=True, slots=True)
class Location:
    """An address with its function, source file and line; each is None if it is not known.

    ``offset`` counts the bytes from the start of ``function``.
    """

    address: int
    function: str | None = None
    offset: int = 0
    file: str | None = None
    line: int | None = None

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
