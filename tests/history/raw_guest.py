"""Guests of random instructions, and how far they are."""

from typing import Any

import guestdbg
from guestdbg.debugger import Guest


def load(image: tuple[bytes, int], vcpus: int = 1, **options: Any) -> Guest:
    """A guest of these bytes at this address, with a history."""
    contents, address = image
    return guestdbg.load(
        contents,
        kind="raw",
        address=address,
        provider="soft",
        memory="8M",
        vcpus=vcpus,
        cpu="armv8.2",
        console=None,
        **({"history": True} | options),
    )


def retired(guest: Guest) -> int:
    """Instructions of all vCPUs."""
    return sum(cpu.vcpu.instructions for cpu in guest.vcpus)
