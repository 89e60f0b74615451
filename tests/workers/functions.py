"""Functions that the tests have workers run."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from typing import Any

from guestdbg.debugger import SavedGuest
from guestdbg.machine import Console


class Opened:
    """What the tests share."""

    def __init__(self, data: bytes, descriptor: int) -> None:
        self.data = data
        self.contents = os.pread(descriptor, 100, 0)
        self.uses = 0


def open_it(data: bytes, descriptor: int) -> Opened:
    if data == b"bad":
        raise ValueError("it cannot be opened")
    return Opened(data, descriptor)


def use(opened: Opened, *arguments: object) -> tuple[Any, ...]:
    opened.uses += 1
    return os.getpid(), opened.data, opened.contents, opened.uses, arguments


def fail(opened: Opened) -> None:
    raise KeyError("nothing here")


class Unsendable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def fail_oddly(opened: Opened) -> None:
    raise Unsendable(1, 2)


def die(opened: Opened) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(opened: Opened) -> None:
    os._exit(3)


def sleep(opened: Opened, seconds: float) -> None:
    time.sleep(seconds)


def unpicklable(opened: Opened) -> object:
    return lambda: None


def run_on(saved: SavedGuest, most: int) -> tuple[object, ...]:
    """Run a saved guest; all that the run leaves."""
    output = bytearray()
    with saved.guest(console=Console(output.extend)) as guest:
        stop = guest.run(max_instructions=most)
        memory = hashlib.sha256(guest.board.ram.buffer).digest()
        counts = [vcpu.instructions for vcpu in guest.board.vcpus]  # type: ignore[attr-defined]
        return stop.reason, stop.detail, bytes(output), memory, counts


def variable(name: str) -> str | None:
    return os.environ.get(name)


def path_begins(count: int) -> list[str]:
    return sys.path[:count]


def write_and_die(shown: str, size: int) -> None:
    print("x" * size, flush=True)
    print(shown, file=sys.stderr, flush=True)
    os.abort()
