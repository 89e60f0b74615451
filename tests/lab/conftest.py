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


def booted_suite(root: Path, suite: str) -> Iterator[Lab]:
    """A lab with the kernel of another Debian release. Skips if that cannot be fetched."""
    try:
        prepare(root, suite)
    except LabError as error:
        pytest.skip(f"no kernel of {suite}: {error}")
    with Lab(root=root, suite=suite) as lab:
        yield lab


@pytest.fixture(scope="session")
def trixie(lab_root: Path) -> Iterator[Lab]:
    """The stable release after the lab's own: Linux 6.12, Python 3.13."""
    yield from booted_suite(lab_root, "trixie")


@pytest.fixture(scope="session")
def newest(lab_root: Path) -> Iterator[Lab]:
    """Debian's newest kernel, which is that of `sid`."""
    yield from booted_suite(lab_root, "sid")
