"""Kept runs: one JSON file for each in bench/history, named after its day and commit."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from bench import record
from bench.record import Record, RecordError

DIRECTORY = Path(__file__).resolve().parent / "history"


def names() -> list[str]:
    """The kept runs by name, such as 2026-11-29-9733784; the oldest first."""
    return sorted(path.stem for path in DIRECTORY.glob("*.json"))


def check_can_keep(run: Record, source: str) -> None:
    """Raises RecordError if a run cannot be kept, with a text that begins with `source`."""
    if run.environment.commit is None:
        raise RecordError(f"{source}: the commit is not known, so the run cannot be kept")
    failed = [key for key, figure in run.figures.items() if figure.how == "failed"]
    if failed:
        raise RecordError(f"{source}: a run with a failed measurement is not kept: {failed[0]}")


def keep(run: Record, source: str) -> Path:
    """Write a run to the history and return its file. No file is ever overwritten.

    A second run of the same commit on the same day gets the suffix "-2".

    Raises:
        RecordError: as `check_can_keep`, or the directory cannot be written to.
    """
    check_can_keep(run, source)
    name = f"{run.environment.date}-{str(run.environment.commit)[:7]}"
    for number in count(1):
        path = DIRECTORY / f"{name}{'' if number == 1 else f'-{number}'}.json"
        try:
            record.write(run, path, overwrite=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise RecordError(f"{path}: {error.strerror}") from None
        return path
    raise AssertionError  # count() does not end


def find(name: str) -> Path:
    """The file of a run: a path, the name of a kept run, or a part of it that only one has.

    Raises:
        RecordError: there is no such run, or more than one.
    """
    path = Path(name)
    if path.is_file():
        return path
    kept = names()
    found = [name] if name in kept else [other for other in kept if name and name in other]
    if len(found) == 1:
        return DIRECTORY / f"{found[0]}.json"
    if found:
        raise RecordError(f"{name!r} is the name of more than one run: {', '.join(found)}")
    known = f"the kept runs are: {', '.join(kept)}" if kept else "no run has been kept yet"
    raise RecordError(f"{name!r} is neither a file nor a kept run; {known}")


def read(name: str) -> Record:
    """The run that `find` finds. Raises RecordError."""
    return record.read(find(name))
