"""Jobs without guests, for the tests of campaigns."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from guestdbg.campaign import (
    Budget,
    Case,
    Contents,
    Job,
    Minimised,
    Result,
    Runner,
    smallest,
)
from guestdbg.tables import Column


class Arithmetic(Job):
    """Cases with several classes of results, and failures of a few kinds."""

    columns: ClassVar[Sequence[Column]] = (
        Column("value", "u64", "a number"),
        Column("word", "text", "a word", optional=True),
    )

    def __init__(self, pause: float = 0.0, file: str = "") -> None:
        self.pause = pause
        self.file = file

    def load(self, contents: Contents) -> Any:
        return contents(self.file) if self.file else b""

    def runner(self, loaded: Any) -> Runner:
        return ArithmeticRunner(self.pause, loaded)


class ArithmeticRunner(Runner):
    def __init__(self, pause: float, loaded: bytes) -> None:
        self.pause = pause
        self.loaded = loaded

    def data(self, case: Case) -> bytes:
        return case.random.randbytes(16)

    def run(self, case: Case) -> Result:
        if self.pause:
            time.sleep(self.pause)
        data = self.data(case)
        value = int.from_bytes(data[:8], "little") + len(self.loaded)
        word = None if value % 3 else f"word {value % 7}"
        values = (value % (1 << 64), word)
        if value % 101 == 0:
            raise ZeroDivisionError(f"case {case.number}")
        if data[0] in data[1:]:
            kind = data[0] % 4
            return Result("crash", True, f"at {kind}", f"byte {data[0]}", values, f"{data!r}")
        return Result("ok" if value % 2 else "odd", values=values)

    def minimise(self, case: Case, result: Result) -> Minimised | None:
        budget = Budget(200)
        test = budget.test(lambda some: bool(some) and some[0] in some[1:])
        data = smallest(self.data(case), test)
        return Minimised(data.hex(), data, budget.tries)

    def close(self) -> None:
        pass


class Deadly(Job):
    """Some cases end the process: each time, or only once (a file says so)."""

    def __init__(self, always: Sequence[int], once: Sequence[int] = (), notes: str = "") -> None:
        self.always = set(always)
        self.once = set(once)
        self.notes = notes

    def runner(self, loaded: Any) -> Runner:
        return DeadlyRunner(self)


class DeadlyRunner(Runner):
    def __init__(self, job: Deadly) -> None:
        self.job = job

    def run(self, case: Case) -> Result:
        note = Path(self.job.notes) / str(case.number)
        if case.number in self.job.always or (case.number in self.job.once and not note.exists()):
            if case.number in self.job.once:
                note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Result("ok", detail=str(case.seed))

    def close(self) -> None:
        pass


class Failing(Job):
    """Every case raises the same."""

    def runner(self, loaded: Any) -> Runner:
        return FailingRunner()


class FailingRunner(Runner):
    def run(self, case: Case) -> Result:
        raise ValueError("always the same")

    def close(self) -> None:
        pass


class Unloadable(Job):
    """It cannot be loaded in a worker."""

    def load(self, contents: Contents) -> Any:
        raise ValueError("no such thing here")

    def runner(self, loaded: Any) -> Runner:
        raise AssertionError


class Hanging(Job):
    """Case 3 never ends."""

    def runner(self, loaded: Any) -> Runner:
        return HangingRunner()


class HangingRunner(Runner):
    def run(self, case: Case) -> Result:
        while case.number == 3:
            pass
        return Result("ok")

    def close(self) -> None:
        pass
