"""Debian's kernels, fetched as those of the lab are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.debugger import GuestSnapshot
from guestdbg.lab import LabError, cache
from guestdbg.lab.image import initramfs

from .shell import Shell, at_prompt


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


def _booted(suite: str) -> Iterator[tuple[Shell, GuestSnapshot]]:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    with at_prompt(suite, vcpus=2, seed=5) as shell:
        yield shell, shell.guest.snapshot()


@pytest.fixture(scope="session")
def booted_bookworm() -> Iterator[tuple[Shell, GuestSnapshot]]:
    """Debian's 6.1 at its prompt, moved by KASLR; booted once."""
    yield from _booted("bookworm")


@pytest.fixture(scope="session")
def booted_sid() -> Iterator[tuple[Shell, GuestSnapshot]]:
    """Debian's newest kernel, likewise."""
    yield from _booted("sid")


def _restored(booted: tuple[Shell, GuestSnapshot]) -> Shell:
    shell, snapshot = booted
    for point in shell.guest.points:
        point.delete()
    shell.guest.restore(snapshot)
    return shell


@pytest.fixture
def bookworm(booted_bookworm: tuple[Shell, GuestSnapshot]) -> Shell:
    """Debian's 6.1 as it was at the prompt."""
    return _restored(booted_bookworm)


@pytest.fixture
def sid(booted_sid: tuple[Shell, GuestSnapshot]) -> Shell:
    """Debian's newest kernel as it was at the prompt."""
    return _restored(booted_sid)


@pytest.fixture(params=["bookworm", "sid"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Each of them."""
    found: Shell = request.getfixturevalue(request.param)
    return found
