"""All packet handlers by the names of their packets, and all features for qSupported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.handlers import (
    breakpoints,
    connection,
    file_io,
    files,
    lifecycle,
    lldb,
    memory,
    monitor,
    nonstop,
    qemu,
    registers,
    resume,
    reverse,
    threads,
    xfer,
)

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

__all__ = ["HANDLERS", "server_features"]

_MODULES = (
    connection,
    registers,
    memory,
    breakpoints,
    threads,
    resume,
    reverse,
    nonstop,
    file_io,
    xfer,
    files,
    lifecycle,
    monitor,
    lldb,
    qemu,
)


def _collect() -> dict[bytes, Handler]:
    found: dict[bytes, Handler] = {}
    for module in _MODULES:
        twice = found.keys() & module.HANDLERS.keys()
        assert not twice, f"{module.__name__} handles packets of another module: {twice}"
        found |= module.HANDLERS
    return found


#: The handler of each packet.
HANDLERS: dict[bytes, Handler] = _collect()

_FEATURES: tuple[bytes, ...] = (
    *memory.FEATURES,
    *breakpoints.FEATURES,
    *resume.FEATURES,
    *nonstop.FEATURES,
)


def server_features(session: SessionState) -> list[bytes]:
    """The features of all modules, for the reply to qSupported."""
    return [*_FEATURES, *xfer.features(session), *reverse.features(session)]
