"""The files of `guestdbg run --log`: hits and how the run ended, as JSON lines or as a table."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from guestdbg.cli.output_file import OutputFileError
from guestdbg.cli.running import hit_output, hit_table
from guestdbg.tables import FORMATS, CsvWriter, ParquetWriter, Values

if TYPE_CHECKING:
    from guestdbg.cli.output_file import Existing, OutputFile
    from guestdbg.cli.running.hit_log import HitLog
    from guestdbg.debugger import Hit
    from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec

__all__ = ["JsonLog", "TableLog", "check_log_path", "make_log"]

#: Rows of a Parquet file that are written at once: a row group.
_GROUP = 8192
#: What is kept with the file: the last of the events that are no hits, the end of the run among
#: them.
_NOTE = "guestdbg-events"
_MOST_EVENTS = 64


class JsonLog:
    """Writes hits as JSON lines, with `backtrace` frames at most.

    The member `event` of each object is its type. If the file cannot be written any more (a full
    disk), `on_failure` is called once, and the log ends with its last whole line.
    """

    def __init__(
        self, file: OutputFile, *, backtrace: int | None, on_failure: Callable[[OSError], object]
    ) -> None:
        self._file = file
        self._backtrace = backtrace
        self._on_failure = on_failure
        self.failed = False

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        backtrace = hit.backtrace(self._backtrace) if self._backtrace else None
        self.write(hit_output.record(number, spec.text, hit, backtrace))

    def write(self, document: dict[str, Any]) -> None:
        if self.failed:
            return
        try:
            self._file.line(json.dumps(document))
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failed = True
            self._on_failure(error)

    def close(self) -> None:
        """Each line is in the file already."""


class TableLog:
    """Writes hits as the rows of a table, with `backtrace` frames at most.

    What is no hit is kept with the file where its format has a place for that (Parquet).
    """

    def __init__(
        self,
        file: OutputFile,
        ending: str,
        *,
        backtrace: int | None,
        on_failure: Callable[[OSError], object],
    ) -> None:
        self._file = file
        self._backtrace = backtrace
        self._on_failure = on_failure
        self._group = 1 if ending == ".csv" else _GROUP
        self._rows: list[Sequence[Any]] = []
        self._events: deque[str] = deque(maxlen=_MOST_EVENTS)
        self._closed = False
        self.failed = False
        self._raw: BinaryIO = file.binary()
        try:
            self._writer: CsvWriter | ParquetWriter
            if ending == ".csv":
                self._writer = CsvWriter(self._raw, hit_table.COLUMNS, names=file.empty)
            else:
                self._writer = ParquetWriter(self._raw, hit_table.COLUMNS)
        except BaseException:
            self._raw.close()
            raise

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        if self.failed:
            return
        backtrace = hit.backtrace(self._backtrace) if self._backtrace else None
        self._rows.append(hit_table.row(number, spec.text, hit, backtrace))
        if len(self._rows) >= self._group:
            self._put()

    def _put(self) -> None:
        rows, self._rows = self._rows, []
        if self.failed or not rows:
            return
        columns = zip(hit_table.COLUMNS, zip(*rows, strict=True), strict=True)
        self._try(lambda: self._writer.write([Values(*each) for each in columns]))

    def write(self, document: dict[str, Any]) -> None:
        self._events.append(json.dumps(document))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._put()
            self._writer.note(_NOTE, f"[{', '.join(self._events)}]")
            self._try(self._writer.close)
        finally:
            self._raw.close()

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failed = True
            error.filename = self._file.name
            self._on_failure(error)


def check_log_path(path: Path | None, existing: Existing) -> None:
    """Raise an error for a log that cannot be made, before anything is opened.

    MissingLibrary: its format takes a library that is not installed. OutputFileError: it cannot be
    appended to.
    """
    if path is None or path.suffix.lower() != ".parquet":
        return
    ParquetWriter.check()
    if existing == "append":
        raise OutputFileError(
            f"--log-append {path}: nothing can be added to a Parquet file; give a new file, or "
            "--log-overwrite"
        )


def make_log(
    file: OutputFile,
    path: Path | None,
    *,
    backtrace: int | None,
    on_failure: Callable[[OSError], object],
) -> HitLog:
    """Begin the log in a file, by the ending of its name: a table, or JSON lines.

    Raises OSError if not even an empty log has room.
    """
    ending = "" if path is None else path.suffix.lower()
    file.begin(ParquetWriter.room(len(hit_table.COLUMNS)) if ending == ".parquet" else 0)
    if ending in FORMATS:
        return TableLog(file, ending, backtrace=backtrace, on_failure=on_failure)
    return JsonLog(file, backtrace=backtrace, on_failure=on_failure)
