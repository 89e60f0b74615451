"""Which form a trace's file has, by the ending of its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from guestdbg.trace.tracing.chrome import ChromeForm
from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.json_lines import JsonLinesWriter
from guestdbg.trace.tracing.perfetto import PerfettoForm
from guestdbg.trace.tracing.slice_writer import SliceWriter
from guestdbg.trace.tracing.streamed_file import StreamedFile

__all__ = ["ENDINGS", "FileWriter", "check_ending", "form_writer", "writer_for"]

#: A writer whose file says with ``notes`` what its user has to know.
FileWriter = SliceWriter | JsonLinesWriter

_PERFETTO = (".pftrace", ".perfetto-trace")
ENDINGS = (*_PERFETTO, ".json", ".jsonl")


def check_ending(path: Path) -> str:
    """The ending of a name, which says what form the file has. Raises TracingError."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise TracingError(
            f"{path}: a trace's file is .pftrace or .perfetto-trace (Perfetto), .json (Chrome's "
            "viewer), .jsonl (lines of JSON) or .gdtrace (every instruction)"
        )
    return ending


def form_writer(ending: str, file: BinaryIO) -> FileWriter:
    """A writer into a file that is open, unbuffered; it closes the file. OSError: of its state."""
    if ending in _PERFETTO:
        return SliceWriter(StreamedFile(file), PerfettoForm())
    if ending == ".json":
        return SliceWriter(StreamedFile(file, ChromeForm.tail), ChromeForm())
    return JsonLinesWriter(StreamedFile(file))


def writer_for(path: str | os.PathLike[str], *, overwrite: bool = False) -> FileWriter:
    """Make a file, and a writer of the form that the ending of its name says.

    Args:
        overwrite: a file of this name may exist; it loses its contents.

    Raises TracingError: no such form; the file exists, or cannot be made.
    """
    path = Path(path)
    ending = check_ending(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    except FileExistsError as error:
        raise TracingError(f"{path}: the file exists; give overwrite=True to replace it") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TracingError(f"{path}: a trace cannot be written there: {why or error}") from error
    return form_writer(ending, file)
