"""Files that no tool writes, through everything that reads them.

A case loads files that are damaged, or made to be expensive, and does with the guest what a user
would: names, addresses, lines, types, watches, conditions with locals, backtraces, a short run.
Permitted are success, and an error of guestdbg that has the file's name where the file is to blame.
Everything else is a failure: another exception, a crash, more time or memory than the limits.

    python tools/fuzz_files.py SEED DIRECTORY       writes the files of a case
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import fuzz_file_cases
from fuzz_case import Failure
from fuzz_limits import limited
from fuzz_shrink import shrunk

import guestdbg.debugger
from guestdbg.debugger import BadImage, Guest
from guestdbg.debugger.program import drgn_objects
from guestdbg.errors import GuestdbgError
from guestdbg.machine import LoadError

# drgn's threads would spend their time waiting for each other. Read when drgn is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SECONDS, MEMORY = 2.0, 300 << 20
if "libasan" in os.environ.get("LD_PRELOAD", ""):
    # The sanitizer keeps freed memory for a while, and takes its time.
    SECONDS, MEMORY = 30.0, 2 << 30
INSTRUCTIONS = 3000
_HITS = 4
_LINES = (1, 12, 36, 41, 47, 60, 76, 10_000)
_NAMES = (
    "counter", "head", "head->next", "head->kind", "nodes", "nodes[1].word.whole", "total[1][2]",
    "nodes[2].level", "*head", "guest.c:nodes", "made.c:head", "calls", "greeting", "stack_top",
    "node", "nodes[1].points[2].x", "nodes[1].act", "head->next->next->name[3]", "deep::innermost",
    "main", "nothing",
)  # fmt: skip
_CODE = ("main", "act", "scaled", "link_all", "_start", "main+4", "guest.c:36", "made.c:12", "deep")
_LOCAL = ("depth", "node", "node->kind", "sum", "factor", "result", "calls", "i", "rest", "count")


class Reports(logging.Handler):
    """Collects what is logged, which has to name the file as errors do."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Use:
    """One use of a guest's files, from loading to the end of a short run."""

    def __init__(self, directory: Path, files: fuzz_file_cases.Files, rng: random.Random) -> None:
        self.rng = rng
        self.names = list(files.contents)
        self.path = directory / self.names[0]
        self.options = files.options
        self.did: Counter[str] = Counter()

    def attempt(
        self,
        what: str,
        action: Callable[[], object],
        permitted: tuple[type[Exception], ...] = (),
    ) -> Any:
        """Do something that may fail with an error of guestdbg, or with another permitted one."""
        try:
            result = action()
        except GuestdbgError as error:
            self._check(what, error)
            self.did[f"{what}: refused"] += 1
            return None
        except Failure:
            raise
        except Exception as error:
            if isinstance(error, permitted):
                raise
            raise Failure(f"{what}: {type(error).__name__}: {error}") from error
        self.did[f"{what}: done"] += 1
        return result

    def _check(self, what: str, error: GuestdbgError) -> None:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                raise Failure(f"{what}: memory is exhausted: {error}") from error
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, BadImage | LoadError):
            self._check_text(what, str(error))

    def _check_text(self, what: str, text: str) -> None:
        if not any(name in text for name in self.names):
            raise Failure(f"{what}: the message does not name the file: {text}")
        if len(text) > 2000:
            raise Failure(f"{what}: a message of {len(text)} characters: {text[:200]}")

    def run(self) -> None:
        reports = Reports()
        logger = logging.getLogger("guestdbg")
        logger.addHandler(reports)
        before = logger.level, logger.propagate
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logging.getLogger("drgn").setLevel(logging.CRITICAL)
        try:
            guest = self.attempt("load", self._load)
            if guest is not None:
                with guest:
                    self._use(guest)
        finally:
            logger.removeHandler(reports)
            logger.setLevel(before[0])
            logger.propagate = before[1]
        for text in reports.messages:
            if "damaged" in text or "ignored" in text:
                self._check_text("log", text)
                self.did["reported as damaged"] += 1

    def _load(self) -> Guest:
        options: dict[str, Any] = {"memory": "4M", "console": None, "provider": "soft"}
        return guestdbg.debugger.load(self.path, **options | self.options)

    def _use(self, guest: Guest) -> None:
        self.attempt("symbols", lambda: self._symbols(guest))
        for _ in range(3):
            self.attempt("locate", lambda: str(guest.locate(self._address(guest))))
        steps: list[Callable[[], object]] = [
            lambda: self.attempt("lines", lambda: self._lines(guest)),
            lambda: self._types(guest),
            lambda: self._watches(guest),
            lambda: self._breakpoints(guest),
            lambda: self.attempt("add_symbols", lambda: guest.add_symbols(self.path, 0x100_0000)),
        ]
        for step in self.rng.sample(steps, self.rng.choice((1, 2, 2, 3, 5))):
            step()
        self.attempt("run", lambda: self._run(guest))
        self.attempt("backtrace", lambda: str(guest.cpu.backtrace(self.rng.choice((5, 64)))))
        for name in self.rng.sample(_LOCAL, 3):
            self.attempt("locals", partial(guest.cpu.__getitem__, name))
        move: Callable[..., object] = self.rng.choice(
            (guest.step_line, guest.step_out, guest.step_over, guest.step)
        )
        self.attempt("step", partial(move, max_instructions=300))
        self.attempt("locate", lambda: str(guest.cpu.location))
        if self.rng.random() < 0.1:
            self.attempt("reset", guest.reset)

    def _address(self, guest: Guest) -> int:
        rng = self.rng
        base = rng.choice((0x4020_0000, 0x4020_0000, guest.cpu.pc, 0, 1 << 63))
        return base + rng.randrange(0x400) & (1 << 64) - 1

    def _symbols(self, guest: Guest) -> None:
        for image in guest.images:
            for symbol in list(image.symbols)[:8]:
                guest.locate(symbol.address)
        guest.symbol(self.rng.choice(("main", "counter", "mian")))

    def _lines(self, guest: Guest) -> None:
        for image in guest.images:
            known = image.lines.files
            if known:
                image.lines.addresses(self.rng.choice(known), self.rng.choice(_LINES))

    def _types(self, guest: Guest) -> None:
        for name in self.rng.sample(_NAMES, 5):
            value = self.attempt("types", partial(guest.__getitem__, name))
            if value is not None:
                self._show(value)

    def _show(self, value: Any) -> None:
        """The value of an object, which is drgn's, if it is a number."""
        not_integers = (TypeError, ValueError, OverflowError)
        with contextlib.suppress(*not_integers):
            self.attempt("value", lambda: drgn_objects.number(value), not_integers)

    def _watches(self, guest: Guest) -> None:
        for name in self.rng.sample(_NAMES, 3):
            when = self.rng.choice((None, None, "new > 3", "sum == 2", "node->kind == 3"))
            watch = self.attempt("watch", partial(guest.watch, name, when=when))
            if watch is not None:
                watch(self._hit)
        if self.rng.random() < 0.3:
            self.attempt("record", lambda: guest.record(self.rng.choice(_NAMES), limit=10))

    def _breakpoints(self, guest: Guest) -> None:
        for where in self.rng.sample(_CODE, 3):
            local = self.rng.choice(_LOCAL)
            when = self.rng.choice((None, f"{local} >= 1", "counter < 100", "head->kind == 3"))
            point = self.attempt("break", partial(guest.break_, where, when=when))
            if point is not None:
                point(self._hit)

    def _hit(self, hit: Any) -> None:
        if self.did["hits"] >= _HITS:
            return
        self.did["hits"] += 1
        self.attempt("hit", lambda: str(hit))
        for name in self.rng.sample(_LOCAL, 2):
            value = self.attempt("locals", partial(hit.__getitem__, name))
            if value is not None:
                self._show(value)
        self.attempt("backtrace", lambda: str(hit.backtrace()))

    def _run(self, guest: Guest) -> None:
        for _ in range(4):
            stop = guest.run(max_instructions=INSTRUCTIONS)
            str(stop)
            if stop.reason != "hit":
                break


def play(seed: int, directory: Path, changes: Sequence[int] | None = None) -> Counter[str]:
    """Use the files of a case, in a directory of their own; returns what was done how often."""
    files, changed = fuzz_file_cases.files(seed, changes)
    for old in directory.iterdir():
        old.unlink()
    for name, contents in files.contents.items():
        (directory / name).write_bytes(contents)
    use = Use(directory, files, random.Random(f"files/{seed}/use"))
    use.did[f"shape: {files.shape}"] += 1
    use.did.update(f"changed: {name}" for name in changed)
    with limited(SECONDS, MEMORY):
        use.run()
    return use.did


@cache
def _directory() -> Path:
    """An empty directory, which is removed when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix="guestdbg-fuzz-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def failure(seed: int, changes: Sequence[int] | None = None) -> Exception | None:
    """How the case fails, with some of its changes."""
    try:
        play(seed, _directory(), changes)
    except Exception as error:
        return error
    return None


def run(seed: int, did: Counter[str]) -> int:
    """One case; returns the number of changes. Raises Failure with the smallest failure."""
    try:
        did.update(play(seed, _directory()))
    except Exception as first:
        changes = list(range(fuzz_file_cases.plan(seed)))
        if failure(seed, []) is not None:
            small: list[int] = []
        else:
            small = shrunk(changes, lambda some: failure(seed, some) is not None)
        cause = failure(seed, small) or first
        files, changed = fuzz_file_cases.files(seed, small)
        raise Failure(f"{cause} ({files.shape}; changes {small} in {changed})") from cause
    return fuzz_file_cases.plan(seed)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or not arguments[0].isdecimal():
        print("usage: fuzz_files.py SEED DIRECTORY", file=sys.stderr)
        return 2
    files, changed = fuzz_file_cases.files(int(arguments[0]))
    directory = Path(arguments[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, contents in files.contents.items():
        (directory / name).write_bytes(contents)
        print(f"{directory / name}: {len(contents)} bytes ({files.shape}; changed: {changed})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
