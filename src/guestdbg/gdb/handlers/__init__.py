"""What the packets mean: a small file for each group of them.

Each module has ``HANDLERS``: from a packet's name (its word, or its letter) to a function of the
session and what follows the name, which gives the reply (``b""``: unknown; None: none, or later) or
raises Refused. Where a group adds to what ``qSupported`` says, it has ``features(session)`` too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

__all__ = ["GROUPS", "Handler", "features", "handlers"]

Handler = Callable[["Session", bytes], bytes | None]

#: The modules of this package; later ones may not take a name of earlier ones.
GROUPS = (
    "connection",
    "registers",
    "memory",
    "breakpoints",
    "threads",
    "resume",
    "nonstop",
    "xfer",
    "files",
    "lifecycle",
    "monitor",
    "lldb",
)


@cache
def handlers() -> dict[bytes, Handler]:
    """Every packet's name, and who answers it."""
    found: dict[bytes, Handler] = {}
    for name in GROUPS:
        own: dict[bytes, Handler] = import_module(f"{__name__}.{name}").HANDLERS
        twice = found.keys() & own.keys()
        assert not twice, f"{name} answers what another module answers: {twice}"
        found |= own
    return found


def features(session: Session) -> list[bytes]:
    """What the groups add to the reply to qSupported."""
    found: list[bytes] = []
    for name in GROUPS:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "features"):
            found += module.features(session)
    return found
