"""A player on a KVM of its own, opened and closed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from guestdbg.check.differential.play import Player
from guestdbg.kvm import Kvm, open_kvm


def _open(provider: str) -> Kvm:
    """A KVM that answers as the kernel's does: no PSCI by SMC."""
    return open_kvm("soft", psci_smc=False) if provider == "soft" else open_kvm(provider)


@contextlib.contextmanager
def playing_on(provider: str, *, full: bool) -> Iterator[Player]:
    """While this lasts, nothing is warned of: random programs are full of undefined instructions.

    Raises what ``open_kvm`` raises.
    """
    log = logging.getLogger("guestdbg")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with _open(provider) as kvm, contextlib.closing(Player(kvm, full=full)) as made:
            yield made
    finally:
        log.setLevel(before)
