"""A guest as the target of AFL++: what ``guestdbg fuzz`` does when AFL++ starts it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from guestdbg.fuzz.afl import fork_server
from guestdbg.fuzz.afl.protocol import (
    CONTROL,
    DEFAULT_MAP,
    LARGEST_MAP,
    MAP_SIZE_VARIABLE,
    MAP_VARIABLE,
    STATUS,
    TEST_CASE_VARIABLE,
    WORD,
    hello,
)
from guestdbg.fuzz.afl.shared_memory import attach
from guestdbg.fuzz.errors import FuzzError

if TYPE_CHECKING:
    # Imported later: AFL++ waits for its first word.
    from collections.abc import Callable

    from guestdbg.fuzz.afl.fork_server import OnHang
    from guestdbg.fuzz.outcome import Outcome
    from guestdbg.fuzz.target import FuzzTarget

__all__ = ["AflTarget", "started_by_afl"]

#: Test cases in shared memory begin with their length.
_HEAD = 4


def started_by_afl() -> bool:
    """Whether AFL++ has started this process."""
    return MAP_VARIABLE in os.environ


class AflTarget:
    """The side of AFL++: its map, its inputs and its requests.

    Args:
        on_hang: what to do with a hang: ``"wait"``: until AFL++ kills the child, which counts it
            as a hang; ``"crash"``: report it as a crash with SIGXCPU; ``"ignore"``: as an input
            like any other.

    Attributes:
        counters: the map of AFL++, for ``FuzzTarget``.

    Raises:
        FuzzError: what AFL++ has put into the environment is wrong.
    """

    def __init__(self, on_hang: OnHang = "wait") -> None:
        self._on_hang = on_hang
        size = _map_size()
        shared = attach(MAP_VARIABLE, size)
        self.counters = shared[:size]
        self._cases: memoryview | None = None
        if TEST_CASE_VARIABLE in os.environ:
            self._cases = attach(TEST_CASE_VARIABLE, _HEAD + 1, readonly=True)

    def read(self, most: int) -> bytes:
        """The input that AFL++ has made, or its first ``most`` bytes."""
        cases = self._cases
        if cases is None:
            return _read_stdin(most)
        length = min(int.from_bytes(cases[:_HEAD], "little"), most)
        return bytes(cases[_HEAD : _HEAD + length])

    def announce(self) -> bool:
        """Tell AFL++ that there is a target. False: it has no fork server, and wants one run."""
        try:
            os.write(STATUS, hello(len(self.counters), shared_test_cases=self._cases is not None))
        except OSError:
            return False
        if self._cases is not None:
            os.read(CONTROL, WORD.size)  # it confirms that
        return True

    def serve(self, target: FuzzTarget) -> None:
        """Run the inputs of AFL++ until it ends."""
        target.run(b"")  # what it takes to run is there then in every child
        self.counters[:] = bytes(len(self.counters))  # as AFL++ left it
        fork_server.serve(self._runner(target), self._on_hang)

    def run_once(self, target: FuzzTarget) -> Outcome:
        """Run the one input that there is, for ``AFL_NO_FORKSRV``."""
        return self._runner(target)()

    def _runner(self, target: FuzzTarget) -> Callable[[], Outcome]:
        # One byte more than fits, so that too long ones are cut as everywhere.
        most = target.input.max_length + 1
        return lambda: target.run(self.read(most))


def _read_stdin(most: int) -> bytes:
    """What is in the file that is stdin, from its beginning; or what comes from a pipe."""
    with contextlib.suppress(OSError):
        os.lseek(0, 0, os.SEEK_SET)
    found = b""
    while len(found) < most and (more := os.read(0, most - len(found))):
        found += more
    return found


def _map_size() -> int:
    text = os.environ.get(MAP_SIZE_VARIABLE, str(DEFAULT_MAP))
    if not text.isascii() or not text.isdigit() or not 64 <= int(text) <= LARGEST_MAP:
        raise FuzzError(
            f"{MAP_SIZE_VARIABLE} is {text!r}: it is a number of bytes, from 64 to {LARGEST_MAP}"
        )
    return int(text)
