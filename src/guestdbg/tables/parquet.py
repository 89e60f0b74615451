"""Rows written to a Parquet file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from guestdbg.closing import Closing
from guestdbg.tables.libraries import library

if TYPE_CHECKING:
    from guestdbg.tables.columns import Column, Values

__all__ = ["ParquetWriter", "arrow_table"]

_WHAT_FOR = "a Parquet file"
_KIND_NAMES = {"u64": "uint64", "i64": "int64", "u32": "uint32", "u8": "uint8", "f64": "float64"}
#: Bytes that the end of a file takes: at most so many for the schema and the notes, and for each
#: column of a row group.
_FOOTER = 128 * 1024
_FOOTER_OF_COLUMN = 1024
#: Bytes that notes have at most, all together.
_MOST_NOTES = 64 * 1024


def _arrow_type(arrow: Any, column: Column) -> Any:
    if column.kind == "text":
        # Names repeat: each is in the file once for a row group.
        return arrow.dictionary(arrow.int32(), arrow.string())
    return getattr(arrow, _KIND_NAMES[column.kind])()


def _schema(arrow: Any, columns: Iterable[Column]) -> Any:
    return arrow.schema(
        [
            arrow.field(
                column.name,
                _arrow_type(arrow, column),
                nullable=column.optional,
                metadata={"unit": column.unit, "description": column.what},
            )
            for column in columns
        ]
    )


def arrow_table(values: Sequence[Values], what_for: str = "an Arrow table") -> Any:
    """Columns as a ``pyarrow.Table``. Raises MissingLibrary."""
    arrow = library("pyarrow", what_for)
    schema = _schema(arrow, [each.column for each in values])
    columns = [_arrow_column(arrow, each) for each in values]
    return arrow.Table.from_arrays(columns, schema=schema)


def _arrow_column(arrow: Any, values: Values) -> Any:
    if values.column.kind == "text":
        return arrow.array(values.listed(), arrow.string()).dictionary_encode()
    kind = _arrow_type(arrow, values.column)
    if values.present is not None:
        return arrow.array(values.listed(), kind)
    data = arrow.py_buffer(memoryview(values.data))  # type: ignore[arg-type]
    return arrow.Array.from_buffers(kind, len(values), [None, data])


class _Sink:
    """Where pyarrow writes: a file, from front to back."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            left = left[self._file.write(left) :]
        self.position += size
        return size

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing is kept back."""

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Whoever opened the file closes it."""


class ParquetWriter(Closing):
    """Writes rows as Parquet; each call of ``write`` makes a row group.

    A Parquet file can be read only if its end was written. So room for that is reserved before each
    row group: where the disk has no more, ``write`` raises OSError, nothing of these rows is
    written, and the file can be closed and read.

    Args:
        file: an unbuffered binary file, open for writing, at its beginning.
        columns: the columns.

    Raises MissingLibrary if pyarrow is not installed.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        arrow, parquet = library("pyarrow", _WHAT_FOR), library("pyarrow.parquet", _WHAT_FOR)
        self._file = file
        self._width = len(columns)
        self._groups = 0
        self._notes: dict[str, str] = {}
        self._sink = _Sink(file)
        self._regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self._reserve(0)
        self._writer = parquet.ParquetWriter(
            arrow.PythonFile(self._sink, mode="w"),
            _schema(arrow, columns),
            compression="zstd",
            # Of text they would be as long as the text: the size of the end is to be known before.
            write_statistics=[column.name for column in columns if column.kind != "text"],
        )

    @staticmethod
    def check() -> None:
        """Raise MissingLibrary if pyarrow is not installed."""
        library("pyarrow.parquet", _WHAT_FOR)

    def _reserve(self, size: int) -> None:
        """Have the file system keep room for ``size`` bytes, and the end after them."""
        if not self._regular:
            return
        end = self.room(self._width, self._groups)
        os.posix_fallocate(self._file.fileno(), self._sink.position, size + end)

    @staticmethod
    def room(width: int, groups: int = 0) -> int:
        """Bytes to be reserved for the end of a file of ``width`` columns before a row group."""
        return _FOOTER + _FOOTER_OF_COLUMN * width * (groups + 1)

    def write(self, values: Iterable[Values]) -> None:
        """Write rows, given as columns. Raises OSError, after which none of them is there."""
        self.write_arrow(arrow_table(list(values), _WHAT_FOR))

    def write_arrow(self, table: Any) -> None:
        """The same for a ``pyarrow.Table`` with these columns."""
        # Compression never makes it much larger; a page has a header.
        self._reserve(2 * table.nbytes + 4096 * self._width)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._groups += 1

    def note(self, key: str, text: str) -> None:
        """Keep text with the file, in its key-value metadata; what is too long is left out."""
        if sum(map(len, self._notes.values())) + len(text.encode()) <= _MOST_NOTES:
            self._notes[key] = text

    def close(self) -> None:
        """Write the end of the file."""
        if self._notes:
            self._writer.add_key_value_metadata(self._notes)
        self._writer.close()
        if self._regular:
            os.ftruncate(self._file.fileno(), self._sink.position)
