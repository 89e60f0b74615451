"""A table is the same in every library and file, and a file that was written can be read."""

import csv
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.tables import Column, MissingLibrary, ParquetWriter, Table, TableError, Values

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
pandas = pytest.importorskip("pandas", reason="pandas is not installed")
polars = pytest.importorskip("polars", reason="Polars is not installed")

_WORDS = st.integers(0, (1 << 64) - 1)
_KINDS = {
    "u64": _WORDS,
    "i64": st.integers(-(1 << 63), (1 << 63) - 1),
    "u32": st.integers(0, (1 << 32) - 1),
    "u8": st.integers(0, 255),
    "f64": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
}


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 6))
    found = []
    for place, kind in enumerate(draw(st.lists(st.sampled_from(sorted(_KINDS)), min_size=1))):
        optional = draw(st.booleans())
        values = st.one_of(st.none(), _KINDS[kind]) if optional else _KINDS[kind]
        column = Column(f"c{place}", kind, "a column", optional=optional)
        found.append(Values(column, draw(st.lists(values, min_size=rows, max_size=rows))))
    return Table(found)


@given(tables())
def test_every_library_has_the_same_values(table) -> None:
    rows = list(table)
    names = [column.name for column in table.columns]
    assert [tuple(row.values()) for row in table.to_arrow().to_pylist()] == rows
    assert table.to_polars().rows() == rows
    frame = table.to_pandas()
    shown = [
        tuple(None if value is pandas.NA else value for value in row)
        for row in zip(*(frame[name].tolist() for name in names), strict=True)
    ]
    assert shown == rows
    array = table.to_numpy()
    for place, column in enumerate(table.columns):
        for row, value in zip(rows, array[column.name].tolist(), strict=True):
            if row[place] is not None:
                assert value == row[place]


@given(tables())
def test_a_file_has_what_the_table_has(tmp_path_factory, table) -> None:
    folder = tmp_path_factory.mktemp("tables")
    table.write(folder / "t.parquet")
    rows = list(table)
    name = str(folder / "t.parquet")
    assert duckdb.sql(f"select * from '{name}'").fetchall() == rows
    assert polars.read_parquet(name).rows() == rows
    table.write(folder / "t.csv")
    with open(folder / "t.csv", newline="") as file:
        read = list(csv.reader(file))
    assert read[0] == [column.name for column in table.columns]
    assert len(read) == 1 + len(rows)
    for line, row in zip(read[1:], rows, strict=True):
        for text, value in zip(line, row, strict=True):
            assert text == ("" if value is None else str(value))


def test_addresses_in_a_csv_file_are_hexadecimal(tmp_path: Path) -> None:
    column = Column("pc", "u64", "where", unit="address", optional=True)
    Table([Values(column, [0xFFFF_8000_0000_1234, None])]).write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().split() == ["pc", "0xffff800000001234", '""']


def test_units_and_descriptions_are_in_the_file(tmp_path: Path) -> None:
    column = Column("pc", "u64", "where", unit="address")
    Table([Values(column, [1])]).write(tmp_path / "t.parquet")
    import pyarrow.parquet

    field = pyarrow.parquet.read_schema(tmp_path / "t.parquet").field("pc")
    assert field.metadata == {b"unit": b"address", b"description": b"where"}
    assert not field.nullable


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    number = Column("n", "u8", "a number")
    with pytest.raises(TableError, match=r"column n \(u8\)"):
        Values(number, [256])
    with pytest.raises(TableError, match="column n"):
        Values(number, ["text"])
    with pytest.raises(TableError, match="column n"):
        Values(number, [None])
    with pytest.raises(TableError, match="is no text"):
        Values(Column("t", "text", "a text"), [1])
    with pytest.raises(TableError, match="same length"):
        Table([Values(number, [1]), Values(number, [])])
    table = Table([Values(number, [1])])
    with pytest.raises(TableError, match=r"'m'; the columns are n"):
        table.column("m")
    with pytest.raises(TableError, match=r"ends in \.csv or \.parquet"):
        table.write(tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        table.write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("missing", "method"),
    [("numpy", "to_numpy"), ("pandas", "to_pandas"), ("polars", "to_polars")],
)
def test_a_library_that_is_missing_is_named(monkeypatch, missing, method) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingLibrary, match=f"needs {missing}.*guestdbg\\[tables\\]"):
        getattr(Table([]), method)()


def test_a_parquet_file_without_its_library_leaves_no_file(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingLibrary, match="pyarrow"):
        Table([]).write(tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("most", [200_000, 300_000, 777_777])
def test_a_file_that_cannot_grow_can_be_read(tmp_path: Path, ending: str, most: int) -> None:
    """What was written before the disk was full is whole rows, from the first on."""
    path = tmp_path / f"t.{ending}"
    child = subprocess.run(
        [sys.executable, "-c", _FILLS, str(path)],
        preexec_fn=lambda: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    said = int(child.stdout)
    assert path.stat().st_size <= most
    if ending == "parquet":
        read = [row[0] for row in duckdb.sql(f"select * from '{path}'").fetchall()]
        assert len(read) == said * 1000
    else:
        read = [int(line[0]) for line in list(csv.reader(path.open(newline="")))[1:]]
        assert said * 1000 <= len(read) <= (said + 1) * 1000
    assert read == list(range(len(read)))


_FILLS = """
import random, sys
from guestdbg.tables import Column, CsvWriter, ParquetWriter, Values
columns = [Column("n", "u64", "a number"), Column("t", "text", "random text")]
make = CsvWriter if sys.argv[1].endswith("csv") else ParquetWriter
rnd = random.Random(1)
groups = 0
with open(sys.argv[1], "xb", buffering=0) as file, make(file, columns) as writer:
    try:
        while True:
            rows = range(groups * 1000, groups * 1000 + 1000)
            texts = [rnd.randbytes(4).hex() for _ in rows]
            writer.write([Values(columns[0], rows), Values(columns[1], texts)])
            groups += 1
    except OSError:
        print(groups)
"""


def test_notes_are_bounded(tmp_path: Path) -> None:
    import pyarrow.parquet

    with (
        open(tmp_path / "t.parquet", "xb", buffering=0) as file,
        ParquetWriter(file, [Column("n", "u8", "a number")]) as writer,
    ):
        writer.note("short", "text")
        writer.note("long", "x" * (1 << 20))
    metadata = pyarrow.parquet.read_metadata(tmp_path / "t.parquet").metadata
    assert metadata[b"short"] == b"text"
    assert b"long" not in metadata
