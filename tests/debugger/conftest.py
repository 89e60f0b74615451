"""Guests for the debugger's tests: the examples, on the software provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guestdbg.debugger import Guest, load
from guestdbg.debugger.vcpu import hit_programs

EXAMPLES = Path(__file__).parents[2] / "examples"

Load = Callable[..., Guest]


@pytest.fixture
def start() -> Iterator[Load]:
    """Load an example by name, without its console output unless asked; closed at the end."""
    guests: list[Guest] = []

    def load_example(name: str, *, at_main: bool = False, **options: Any) -> Guest:
        options.setdefault("console", None)
        options.setdefault("memory", "16M")
        guest = load(EXAMPLES / f"{name}.elf", provider="soft", **options)
        guests.append(guest)
        if at_main:
            # The code before main zeroes .bss, which watches of it would report.
            assert guest.run(until="main", timeout=60).reason == "until"
        return guest

    yield load_example
    for guest in guests:
        guest.close()


@pytest.fixture(params=["provider", "python"])
def evaluation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who evaluates hits: the provider where it can, or Python alone."""
    monkeypatch.setattr(hit_programs, "PLAIN", request.param == "python")
    return str(request.param)
