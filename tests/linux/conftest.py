"""Debian's kernels, fetched as those of the lab are."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.lab import LabError, cache
from guestdbg.lab.image import initramfs


def kernel_of(suite: str) -> Path:
    """The Image of Debian's cloud kernel of a suite. Skips if it cannot be fetched."""
    try:
        return initramfs.base(cache.default_root(), suite).kernel
    except LabError as error:
        pytest.skip(f"no kernel of {suite}: {error}")


@pytest.fixture(scope="session")
def kernel() -> Path:
    """Debian's 6.1, the Image."""
    return kernel_of("bookworm")
