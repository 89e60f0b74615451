"""What the user of the debugger lets the guest do by semihosting."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Semihosting"]


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
    """

    directory: str | os.PathLike[str] | None = None
    read_only: bool = False
    args: str = ""
    epoch: int = 0
    max_written: int = 256 << 20
