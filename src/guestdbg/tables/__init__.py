"""Tables: columns with names, units and types, for the libraries that people analyse data with.

It knows no guest: what the columns mean is stated by the rooms above.

errors     what cannot be done with a table
libraries  the libraries that are optional, and what to install
columns    a column, and its values in memory
table      a table as NumPy, pandas, Polars and Arrow have it, and as a file
csv_file   rows written to a CSV file
parquet    rows written to a Parquet file, which can be read also when the disk was full
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.tables.columns import Column, Values
    from guestdbg.tables.csv_file import CsvWriter
    from guestdbg.tables.errors import MissingLibrary, TableError
    from guestdbg.tables.libraries import library
    from guestdbg.tables.parquet import ParquetWriter
    from guestdbg.tables.table import FORMATS, Table, Tabular, check_format

__all__ = [
    "FORMATS",
    "Column",
    "CsvWriter",
    "MissingLibrary",
    "ParquetWriter",
    "Table",
    "TableError",
    "Tabular",
    "Values",
    "check_format",
    "library",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.tables.columns": (
            "Column",
            "Values",
        ),
        "guestdbg.tables.csv_file": ("CsvWriter",),
        "guestdbg.tables.errors": (
            "MissingLibrary",
            "TableError",
        ),
        "guestdbg.tables.libraries": ("library",),
        "guestdbg.tables.parquet": ("ParquetWriter",),
        "guestdbg.tables.table": (
            "FORMATS",
            "Table",
            "Tabular",
            "check_format",
        ),
    },
)
