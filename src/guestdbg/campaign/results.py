"""The results of a campaign in its directory.

    journal.jsonl     results that are in no other file yet, lines of JSON
    results/N.parquet results in the order in which they came
    results.parquet   all of them in the order of the cases, once all are done

Each of these is whole, whatever ended the campaign. A result may be in two of them; results of one
case are the same.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.campaign.case import Case
from guestdbg.campaign.errors import CampaignError
from guestdbg.campaign.failures import Failure, Failures
from guestdbg.campaign.journal import Journal, read_lines
from guestdbg.campaign.schedule import CaseNumbers
from guestdbg.closing import Closing
from guestdbg.tables import Column, ParquetWriter, Table, Values, library
from guestdbg.tables.parquet import arrow_table

if TYPE_CHECKING:
    from guestdbg.campaign.worker import Row

__all__ = ["COLUMNS", "Found", "ResultReader", "ResultWriter"]

#: The columns of every campaign.
COLUMNS = (
    Column("case", "u64", "number of the case"),
    Column("seed", "u64", "seed of the case"),
    Column("outcome", "text", "the class of its outcome"),
    Column("failure", "u8", "1: the outcome is a failure"),
    Column("signature", "text", "what failures of the same kind have in common"),
    Column("detail", "text", "more about the outcome"),
)
_PART_ROWS = 20_000
_PART_SECONDS = 20.0
#: Rows of a row group, where all are put in order.
_GROUP = 1 << 16
#: Bytes that are reserved for results which are computed and not written yet, for each worker.
_RESERVE = 2 << 20


class Found(NamedTuple):
    """What some results say together.

    Attributes:
        cases: which cases have one.
        counts: how many there are of each outcome.
        failures: those that differ.
    """

    cases: list[int]
    counts: Counter[str]
    failures: Failures


class ResultReader:
    """Reads the results, also while the campaign runs.

    Args:
        directory: of the campaign.
        columns: of its job.
        seed: of the campaign.
    """

    def __init__(self, directory: Path, columns: Sequence[Column], seed: int) -> None:
        self.columns = (*COLUMNS, *columns)
        self._seed = seed
        self._directory = directory
        self.parts = directory / "results"
        self.whole = directory / "results.parquet"
        self.journal = directory / "journal.jsonl"

    def journalled(self) -> Iterator[Row]:
        """The rows of the journal."""
        width = len(self.columns) - 1
        for line in read_lines(self.journal):
            for row in line if isinstance(line, list) else ():
                if isinstance(row, list) and len(row) == width and isinstance(row[0], int):
                    yield row

    def arrow(self) -> Any:
        """All results, a ``pyarrow.Table`` in the order of the cases.

        Raises:
            CampaignError: a file is damaged. MissingLibrary: pyarrow is not installed.
        """
        arrow = library("pyarrow", "the results of a campaign")
        # Results go from the journal to a part, and from the parts to the whole, while this reads:
        # so it reads in this order, and finds them in one place or in two.
        tables = [self.rows_table(list(self.journalled()))]
        parts = sorted(self.parts.glob("*.parquet")) if self.parts.is_dir() else []
        found = (self._read(path) for path in [*parts, self.whole])
        tables += [table for table in found if table is not None]
        table = arrow.concat_tables(tables, promote_options="none").unify_dictionaries()
        table = table.sort_by("case")
        return _without_repeated(arrow, table)

    def _read(self, path: Path) -> Any:
        parquet = library("pyarrow.parquet", "the results of a campaign")
        arrow = library("pyarrow", "the results of a campaign")
        try:
            table = parquet.read_table(path)
        except FileNotFoundError:
            return None
        except (OSError, arrow.ArrowInvalid) as error:
            raise CampaignError(f"{path}: the results in it cannot be read: {error}") from error
        if table.column_names != [column.name for column in self.columns]:
            raise CampaignError(f"{path}: its columns are not those of the campaign")
        # As a part without rows has it, and the file with all of them.
        return table.cast(self.schema)

    @cached_property
    def schema(self) -> Any:
        """The columns as Arrow has them."""
        return arrow_table([Values(column, ()) for column in self.columns]).schema

    def rows_table(self, rows: Sequence[Row]) -> Any:
        """Rows as a ``pyarrow.Table``."""
        arrow = library("pyarrow", "the results of a campaign")
        numbers, *others = list(zip(*rows, strict=True)) or [()] * (len(self.columns) - 1)
        seeds = [Case.of(self._seed, number).seed for number in numbers]
        columns = []
        for field, values in zip(self.schema, (numbers, seeds, *others), strict=True):
            if arrow.types.is_dictionary(field.type):
                columns.append(arrow.array(values, arrow.string()).dictionary_encode())
            else:
                values = list(map(int, values)) if field.name == "failure" else values
                columns.append(arrow.array(values, field.type))
        return arrow.Table.from_arrays(columns, schema=self.schema)

    def table(self) -> Table:
        """All results in the order of the cases. Raises as ``arrow``."""
        table = self.arrow()
        return Table([Values(c, table.column(c.name).to_pylist()) for c in self.columns])

    def found(self) -> Found:
        """What the results say together. Raises as ``arrow``."""
        compute = library("pyarrow.compute", "the results of a campaign")
        arrow = library("pyarrow", "the results of a campaign")
        table = self.arrow()
        counts = Counter[str]()
        for each in table.column("outcome").cast(arrow.string()).value_counts().to_pylist():
            counts[each["values"]] = each["counts"]
        failed = table.filter(compute.equal(table.column("failure"), 1))
        failed = failed.select(["case", "outcome", "signature", "detail"])
        failed = failed.cast(arrow.schema([(f.name, _plain(arrow, f.type)) for f in failed.schema]))
        groups = failed.group_by("signature").aggregate([("case", "min"), ("case", "count")])
        sizes = dict(
            zip(groups["case_min"].to_pylist(), groups["case_count"].to_pylist(), strict=True)
        )
        firsts = failed.filter(compute.is_in(failed.column("case"), groups["case_min"]))
        failures = Failures(
            Failure(
                each["signature"],
                each["outcome"],
                each["case"],
                sizes[each["case"]],
                each["detail"],
            )
            for each in firsts.to_pylist()
        )
        return Found(table.column("case").to_pylist(), counts, failures)


def _plain(arrow: Any, kind: Any) -> Any:
    return arrow.string() if arrow.types.is_dictionary(kind) else kind


class ResultWriter(Closing):
    """Adds results.

    Attributes:
        done: the cases that have one.

    Raises:
        OSError: the disk is full. MissingLibrary: pyarrow is not installed.
    """

    def __init__(self, reader: ResultReader, done: Iterable[int], workers: int) -> None:
        ParquetWriter.check()
        self._reader = reader
        reader.parts.mkdir(exist_ok=True)
        for unfinished in reader.parts.glob(".*.tmp"):
            unfinished.unlink()
        self.done = CaseNumbers()
        for number in done:
            self.done.add(number)
        self._rows = list(reader.journalled())
        self._journal = Journal(reader.journal, _RESERVE * (workers + 1))
        self._part_at = time.monotonic()
        numbers = [int(each.stem) for each in reader.parts.glob("*.parquet") if each.stem.isdigit()]
        self._part = max(numbers, default=0)
        self._part_problem: OSError | None = None

    @property
    def full(self) -> OSError | None:
        """Why no more results should be computed: there would be no room for them."""
        return self._journal.full or self._part_problem

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Write results. Returns those of cases that had none.

        Raises:
            OSError: they cannot be written, and are not there.
        """
        new = [row for row in rows if row[0] not in self.done]
        if not new:
            return new
        self._journal.append(new)
        for row in new:
            self.done.add(row[0])
        self._rows += new
        if len(self._rows) >= _PART_ROWS or time.monotonic() - self._part_at > _PART_SECONDS:
            self.write_part()
        return new

    def write_part(self) -> None:
        """Write what is only in the journal to a file of its own; it stays there if it cannot."""
        self._part_at = time.monotonic()
        if not self._rows:
            return
        path = self._reader.parts / f"{self._part + 1:06}.parquet"
        try:
            _write_parquet(path, self._reader.columns, [self._reader.rows_table(self._rows)])
        except OSError as error:
            self._part_problem = error
            return
        self._part_problem = None
        self._part += 1
        self._journal.clear()
        self._rows.clear()

    def finish(self) -> None:
        """All are done: put them in order, in one file, in place of the others."""
        self.write_part()
        parts = list(self._reader.parts.glob("*.parquet"))
        if self._rows or not parts:
            return
        table = self._reader.arrow()
        groups = (_recoded(table.slice(at, _GROUP)) for at in range(0, len(table), _GROUP))
        _write_parquet(self._reader.whole, self._reader.columns, groups)
        for part in parts:
            part.unlink()

    def close(self) -> None:
        """Write what is left. Closing twice does nothing."""
        self.write_part()
        self._journal.close()


def _recoded(table: Any) -> Any:
    """A table with its text as if it had come in this order: so the file is always the same."""
    arrow = library("pyarrow", "the results of a campaign")
    columns = [
        column.cast(arrow.string()).combine_chunks().dictionary_encode()
        if arrow.types.is_dictionary(column.type)
        else column
        for column in table.columns
    ]
    return arrow.Table.from_arrays(columns, schema=table.schema)


def _without_repeated(arrow: Any, table: Any) -> Any:
    """A sorted table with the first of each case."""
    cases = table.column("case")
    if len(cases) < 2:
        return table
    compute = library("pyarrow.compute", "the results of a campaign")
    differs = compute.not_equal(cases.slice(1), cases.slice(0, len(cases) - 1))
    if compute.all(differs).as_py():
        return table
    return table.filter(arrow.chunked_array([arrow.array([True]), *differs.chunks]))


def _write_parquet(path: Path, columns: Sequence[Column], tables: Iterable[Any]) -> None:
    """Write a file whole or not at all. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            with ParquetWriter(file, columns) as writer:
                for table in tables:
                    writer.write_arrow(table)
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
