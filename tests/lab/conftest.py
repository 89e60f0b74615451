"""One lab for all tests of a run that can share it, because booting takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.lab import Lab, LabError, cache, prepare


@pytest.fixture(scope="session")
def lab_root() -> Path:
    """The cache with the lab's base. Skips if the base cannot be built."""
    root = cache.default_root()
    try:
        prepare(root)
    except LabError as error:
        pytest.skip(f"no lab: {error}")
    return root


@pytest.fixture(scope="session")
def booted(lab_root: Path) -> Iterator[Lab]:
    with Lab(root=lab_root) as lab:
        yield lab


@pytest.fixture
def lab(booted: Lab) -> Lab:
    """The shared lab, booted again if an earlier test has ended it."""
    booted.boot()
    return booted
