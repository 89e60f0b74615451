"""What is asked of the debug registers, and how many of them there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind, Privilege
    from guestdbg.kvm.table_filters import Tables

__all__ = ["ACCESS_BITS", "BreakRequest", "Hardware", "WatchRequest"]

#: Accesses as bits: 1 for reads, 2 for writes. DBGWCR.LSC and hit programs have them so too.
ACCESS_BITS: dict[str, int] = {"read": 1, "write": 2, "any": 3}


class Hardware(NamedTuple):
    """How many debug registers the guest's vCPUs have.

    Attributes:
        breakpoints, watchpoints: pairs of DBGBCR and DBGBVR, of DBGWCR and DBGWVR.
        contexts: how many of the highest-numbered breakpoints are context-aware: they can match
            CONTEXTIDR_EL1 (ID_AA64DFR0_EL1.CTX_CMPs).
        tables: how many translation tables each of them can be limited to
            (``kvm.SupportsTableFilters``); 0: it cannot.
    """

    breakpoints: int
    watchpoints: int
    contexts: int = 2
    tables: int = 0


class WatchRequest(NamedTuple):
    """``length`` bytes at ``address`` to watch; ``name`` is for messages.

    ``tables``: only with these translation tables; None: with any.
    """

    name: str
    address: int
    length: int
    access: AccessKind
    el: Privilege = "any"
    context: int | None = None
    tables: Tables | None = None


class BreakRequest(NamedTuple):
    """An instruction to stop before; ``name`` and ``tables`` as for ``WatchRequest``."""

    name: str
    address: int
    el: Privilege = "any"
    context: int | None = None
    tables: Tables | None = None
