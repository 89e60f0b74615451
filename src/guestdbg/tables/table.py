"""A table: as NumPy, pandas, Polars and Arrow have it, and as a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from guestdbg.html_table import EDGE_ROWS, table_html
from guestdbg.tables.columns import Column
from guestdbg.tables.csv_file import CsvWriter
from guestdbg.tables.errors import TableError
from guestdbg.tables.libraries import library
from guestdbg.tables.parquet import ParquetWriter, arrow_table

if TYPE_CHECKING:
    from guestdbg.tables.columns import Value, Values

__all__ = ["FORMATS", "Table", "Tabular", "check_format"]

_Writer = Callable[[BinaryIO, Sequence[Column]], "CsvWriter | ParquetWriter"]

_WRITERS: dict[str, _Writer] = {".csv": CsvWriter, ".parquet": ParquetWriter}
#: The endings of the names of files that tables are written to.
FORMATS = tuple(_WRITERS)
_NUMPY_TYPES = {"u64": "u8", "i64": "i8", "u32": "u4", "u8": "u1", "f64": "f8", "text": "O"}


def check_format(path: Path) -> str:
    """The ending of a table's file. Raises TableError for one that is not in ``FORMATS``."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise TableError(
            f"{path}: a table is written to a file that ends in {' or '.join(FORMATS)}"
        )
    return ending


class Table:
    """Rows and columns, in memory.

    Args:
        values: its columns, all of the same length.

    ``len(table)`` is the number of rows; iterating gives each row as a tuple.
    """

    def __init__(self, values: Sequence[Values]) -> None:
        if len({len(each) for each in values}) > 1:
            raise TableError("the columns of a table must have the same length")
        self._values = {each.column.name: each for each in values}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: names, types and units."""
        return tuple(each.column for each in self._values.values())

    def column(self, name: str) -> Sequence[Value]:
        """The values of one column, ``(len,)``; None where there is none.

        Raises TableError for a name that is not that of a column.
        """
        return self._of(name).listed()

    def _of(self, name: str) -> Values:
        try:
            return self._values[name]
        except KeyError:
            raise TableError(
                f"there is no column {name!r}; the columns are {', '.join(self._values)}"
            ) from None

    def __len__(self) -> int:
        return next((len(each) for each in self._values.values()), 0)

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        return zip(*(each.listed() for each in self._values.values()), strict=True)

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows: {', '.join(self._values)}>"

    def html(self, title: str, *, count: int | None = None) -> str:
        """The first and the last rows as a table of HTML.

        ``count`` is how many rows there are in all, if this table has only those; None: it has all.
        """
        rows: Sequence[int] = range(len(self))
        total = len(rows) if count is None else count
        if len(rows) > 2 * EDGE_ROWS:
            rows = [*rows[:EDGE_ROWS], *rows[-EDGE_ROWS:]]
        columns = self.columns
        return table_html(
            title,
            [column.name for column in columns],
            [[_shown(each, n) for each in self._values.values()] for n in rows],
            count=total,
            hints=[column.what for column in columns],
        )

    def _repr_html_(self) -> str:
        return self.html(f"Table of {len(self):,} rows")

    def to_numpy(self) -> Any:
        """A structured array, ``(len,)``, a field for each column.

        A missing number is 0, or NaN in a column of floats; missing text is None. Raises
        MissingLibrary if NumPy is not installed.
        """
        numpy = library("numpy", "an array")
        found = numpy.zeros(len(self), [(c.name, _NUMPY_TYPES[c.kind]) for c in self.columns])
        for name, values in self._values.items():
            found[name] = values.data
            if values.present is not None and values.column.kind == "f64":
                found[name][~numpy.frombuffer(values.present, bool)] = numpy.nan
        return found

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; missing values are ``pandas.NA``.

        Raises MissingLibrary if pandas is not installed.
        """
        pandas, numpy = library("pandas", "a DataFrame"), library("numpy", "a DataFrame")
        types = {"u64": "UInt64", "i64": "Int64", "u32": "UInt32", "u8": "UInt8", "f64": "Float64"}
        frame = {}
        for name, values in self._values.items():
            kind = values.column.kind
            if kind == "text":
                frame[name] = pandas.array(values.data, dtype="string")
            elif values.column.optional:
                missing = pandas.array(numpy.array(values.data), dtype=types[kind])
                if values.present is not None:
                    missing[~numpy.frombuffer(values.present, bool)] = pandas.NA
                frame[name] = missing
            else:
                frame[name] = numpy.array(values.data)
        return pandas.DataFrame(frame)

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``. Raises MissingLibrary if Polars is not installed."""
        polars = library("polars", "a Polars DataFrame")
        types = {
            "u64": polars.UInt64,
            "i64": polars.Int64,
            "u32": polars.UInt32,
            "u8": polars.UInt8,
            "f64": polars.Float64,
            "text": polars.String,
        }
        return polars.DataFrame(
            [
                polars.Series(name, list(values.listed()), types[values.column.kind])
                for name, values in self._values.items()
            ]
        )

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``. Raises MissingLibrary if pyarrow is not installed."""
        return arrow_table(list(self._values.values()))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new file, by its ending: ``.parquet`` or ``.csv``.

        Raises:
            TableError: the ending is another one.
            MissingLibrary: a Parquet file takes pyarrow, which is not installed.
            OSError: the file exists already, or cannot be written.
        """
        file_path = Path(path)
        make = _WRITERS[check_format(file_path)]
        with open(file_path, "xb", buffering=0) as file:
            try:
                with make(file, self.columns) as writer:
                    writer.write(self._values.values())
            except BaseException:
                file_path.unlink(missing_ok=True)
                raise


def _shown(values: Values, row: int) -> Value:
    value = values[row]
    return f"{value:#x}" if values.column.unit == "address" and value is not None else value


class Tabular:
    """What has a table: it is given to the libraries in the same way."""

    __slots__ = ()

    def table(self) -> Table:
        """All of it as a table; its ``columns`` say what they are."""
        raise NotImplementedError

    def _excerpt(self) -> tuple[Table, int]:
        """The first and the last ``EDGE_ROWS`` rows of the table, or all; how many it has."""
        table = self.table()
        return table, len(table)

    def _repr_html_(self) -> str:
        """How notebooks show it: the first and the last rows."""
        table, count = self._excerpt()
        return table.html(repr(self).removeprefix("<").removesuffix(">"), count=count)

    def to_numpy(self) -> Any:
        """``table().to_numpy()``."""
        return self.table().to_numpy()

    def to_pandas(self) -> Any:
        """``table().to_pandas()``."""
        return self.table().to_pandas()

    def to_polars(self) -> Any:
        """``table().to_polars()``."""
        return self.table().to_polars()

    def to_arrow(self) -> Any:
        """``table().to_arrow()``."""
        return self.table().to_arrow()

    def write(self, path: str | os.PathLike[str]) -> None:
        """``table().write(path)``: to a new file, ``.parquet`` or ``.csv``."""
        self.table().write(path)
