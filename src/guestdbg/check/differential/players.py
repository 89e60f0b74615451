"""A player on a KVM of its own, as a context manager."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from guestdbg.check.differential.play import Player
from guestdbg.kvm import open_kvm


@contextlib.contextmanager
def playing_on(provider: str, *, full: bool, **options: Any) -> Iterator[Player]:
    """A player on a new KVM of this provider, with these options.

    The software KVM answers as its kernel version does, also PSCI by SMC, and its processor is the
    one that the programs are generated for, unless ``options`` say otherwise.

    Raises what ``open_kvm`` raises.
    """
    if provider == "soft":
        options = {"psci_smc": None, "cpu": "cortex-a57"} | options
    with (
        open_kvm(provider, **options) as kvm,
        contextlib.closing(Player(kvm, full=full)) as made,
    ):
        yield made
