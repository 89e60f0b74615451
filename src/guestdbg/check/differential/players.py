"""A player on a KVM of its own, as a context manager."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from guestdbg.check.differential.play import Player
from guestdbg.kvm import Kvm, open_kvm


def _open(provider: str, linux: str | None) -> Kvm:
    """A KVM that behaves like the kernel's, also for PSCI by SMC."""
    options = {"linux": linux} if linux else {}
    if provider == "soft":
        return open_kvm("soft", psci_smc=None, **options)
    return open_kvm(provider, **options)


@contextlib.contextmanager
def playing_on(provider: str, *, full: bool, linux: str | None = None) -> Iterator[Player]:
    """A player on a new KVM of this provider; ``linux``: the kernel version of the software KVM.

    Warnings are switched off meanwhile, because random programs are full of undefined instructions.
    Raises what ``open_kvm`` raises.
    """
    log = logging.getLogger("guestdbg")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with _open(provider, linux) as kvm, contextlib.closing(Player(kvm, full=full)) as made:
            yield made
    finally:
        log.setLevel(before)
