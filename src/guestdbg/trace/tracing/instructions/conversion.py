"""A file of records turned into a file of another form, in pieces: memory does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from guestdbg.arm64.disassembly import instruction
from guestdbg.tables import CsvWriter, ParquetWriter
from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.instructions.lines import json_lines
from guestdbg.trace.tracing.instructions.rows import COLUMNS, row_groups
from guestdbg.trace.tracing.instructions.tarmac import tarmac_lines
from guestdbg.trace.tracing.streamed_file import StreamedFile

if TYPE_CHECKING:
    from guestdbg.trace.tracing.instructions.records import Record, RecordFile

__all__ = ["FORMS", "check_form", "convert"]

#: Endings of the names of files that a trace is turned into.
FORMS = (".tarmac", ".jsonl", ".parquet", ".csv")
_LINES = 8192  # written at once


def check_form(path: Path) -> str:
    """The ending of a name, which says what form the file has. Raises TracingError."""
    ending = path.suffix.lower()
    if ending not in FORMS:
        raise TracingError(
            f"{path}: a trace of instructions is turned into .tarmac (Arm's text), .jsonl (lines "
            "of JSON), .parquet or .csv (tables)"
        )
    return ending


def convert(records: RecordFile, file: BinaryIO, ending: str) -> int:
    """Write all records of a file to another one, and return how many there were.

    Args:
        file: a new file, open for writing, unbuffered. The caller closes it.
        ending: its form, of ``FORMS``.

    Raises TracingError where the records are damaged, MissingLibrary for .parquet without pyarrow,
    OSError if it cannot be written; what is there by then is complete.
    """
    count = 0

    def counted() -> Iterator[Record]:
        nonlocal count
        for batch in records.batches():
            yield from batch
            count += len(batch)

    if ending == ".tarmac":
        _write_lines(tarmac_lines(counted(), _disassembler()), file)
    elif ending == ".jsonl":
        _write_lines(json_lines(counted(), records.guest, records.vcpus), file)
    else:
        writer = ParquetWriter(file, COLUMNS) if ending == ".parquet" else CsvWriter(file, COLUMNS)
        try:
            for rows in row_groups(counted()):
                writer.write(rows)
        finally:
            writer.close()
    return count


def _write_lines(lines: Iterable[str], file: BinaryIO) -> None:
    out = StreamedFile(file)
    while part := list(islice(lines, _LINES)):
        out.add("".join(part).encode())


def _disassembler() -> Callable[[int, int], str]:
    def text(raw: int, address: int) -> str:
        found = instruction(raw.to_bytes(4, "little"), address)
        return found or f".inst 0x{raw:08x}"

    return text
