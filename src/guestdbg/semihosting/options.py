"""What the user of the debugger lets the guest do by semihosting."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from guestdbg.errors import GuestdbgError

__all__ = ["TARGETS", "Semihosting", "SemihostingError", "Target"]

#: Who performs file and console operations; the names are QEMU's.
Target = Literal["native", "gdb", "auto"]
TARGETS: tuple[Target, ...] = get_args(Target)


class SemihostingError(GuestdbgError):
    """Options of semihosting that cannot be: the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Semihosting:
    """Options of semihosting, for ``guestdbg.load(semihosting=...)``.

    Attributes:
        directory: where the guest's files are; None: it cannot open any.
        read_only: files can only be read.
        args: what SYS_GET_CMDLINE gives.
        epoch: what SYS_TIME gives when the guest starts, in seconds since 1970. Time goes on with
            the guest's virtual counter, so that each run is the same.
        max_written: how many bytes the guest may write into files altogether; then ENOSPC.
        target: who performs operations on files and the console. ``"native"``: guestdbg;
            ``"gdb"``: the attached GDB, by its File-I/O protocol, on its machine and without regard
            to ``directory``; ``"auto"``: the attached GDB, and guestdbg while there is none.

    Raises:
        SemihostingError: an option is of the wrong type or out of range, or there is no such
            directory.
    """

    directory: str | os.PathLike[str] | None = None
    read_only: bool = False
    args: str = ""
    epoch: int = 0
    max_written: int = 256 << 20
    target: Target = "native"

    def __post_init__(self) -> None:
        if self.directory is not None:
            _check_directory(self.directory)
        if not isinstance(self.args, str) or "\0" in self.args:
            raise SemihostingError(f"args is {self.args!r}: it must be a str without NUL")
        for name, value in (("epoch", self.epoch), ("max_written", self.max_written)):
            if not isinstance(value, int) or not 0 <= value < 1 << 63:
                raise SemihostingError(f"{name} is {value!r}: it must be 0 to 2^63 - 1")
        if self.target not in TARGETS:
            raise SemihostingError(
                f"target is {self.target!r}: it must be one of {', '.join(TARGETS)}"
            )
        if self.target == "gdb" and self.directory is not None:
            raise SemihostingError(
                "with target 'gdb' the files are those of GDB's machine, and there is no "
                "directory; 'auto' uses one while no GDB is attached"
            )


def _check_directory(directory: str | os.PathLike[str]) -> None:
    try:
        found = os.path.isdir(os.fspath(directory))
    except (TypeError, ValueError) as error:
        raise SemihostingError(f"directory is {directory!r}: it must be a path") from error
    if not found:
        raise SemihostingError(f"{os.fspath(directory)!r} is not a directory: create it first")
