"""Accesses, values and calls as tables have what their rows have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.history import Call, Calls
from guestdbg.machine import Position
from guestdbg.tables import Table
from tests.debugger.compiled import compiled, needs_gcc
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ROOT = Path(__file__).parents[2]
OPTIONS = {"provider": "soft", "memory": "8M", "console": None}
TYPES = """
    struct flags { int low : 5; unsigned high : 3; } flags;
    double ratio;
    signed char bytes[3];
    struct pair { int first; double second; };
    __attribute__((noinline)) int both(struct pair p, int n, float f) {
        __asm__ volatile("");
        return n - (int)f + (int)p.second;
    }
    int main(void) {
        for (int i = 0; i < 6; i++) {
            *(volatile int *)&flags = 3 - i & 31;
            *(volatile double *)&ratio = i / 4.0;
            *(volatile signed char *)&bytes[i % 3] = -i;
            struct pair p = {i, i * 1.5};
            both(p, -i, 0.5f);
        }
        return 0;
    }
"""


def by_name(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table]


def time_of(position: Position) -> dict[str, int]:
    return position._asdict()


def same_accesses(found: Any) -> None:
    assert by_name(found.table()) == [
        time_of(row.position) | {n: getattr(row, n) for n in row._fields if n != "position"}
        for row in found
    ]


def same_values(found: Any) -> None:
    assert by_name(found.table()) == [
        time_of(each.position) | {"value": each.value, "by": each.by} for each in found
    ]


def same_calls(found: Any) -> None:
    rows = by_name(found.table())
    assert len(rows) == len(found)
    texts = {c.name for c in found.table().columns if c.kind == "text"}
    for row, call in zip(rows, found, strict=True):
        assert {n: row[n] for n in Position._fields} == time_of(call.position)
        back = [row.pop(f"returned_{name}") for name in Position._fields]
        assert back == ([None] * 3 if call.returned is None else list(call.returned))
        assert (row["returned_x0"], row["returned_x1"]) == (call.registers or (None, None))
        assert (row["function"], row["caller"]) == (call.function, call.caller)
        assert row["note"] == call.note
        values = {f"arg_{name}": value for name, value in call.arguments.items()}
        values["result"] = call.result
        for name, value in values.items():
            shown = row[name]
            assert (json.loads(shown) if name in texts and shown else shown) == value
        assert {n for n in row if n.startswith("arg_")} >= {f"arg_{n}" for n in call.unavailable}


@pytest.mark.parametrize(
    ("path", "what", "vcpus"), [("queue", "queue.tail", 1), ("smp", "counter", 3)]
)
def test_tables_have_what_rows_have(tmp_path: Path, path: str, what: str, vcpus: int) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    with guestdbg.load(EXAMPLES / f"{path}.elf", vcpus=vcpus, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=200_000)
        history = guest.history
        function = guest.locate(history.writes(what)[0].pc).function
        found = [history.writes(what), history.reads(what), history.accesses(what)]
        found.append(history.executions(function))
        for each in found:
            assert each
            same_accesses(each)
        value, calls = history.value(what), history.calls(function)
        same_values(value)
        same_calls(calls)
        same_calls(history.calls(function, "entry", limit=3))
        assert by_name(history.writes(what, limit=1, end=value[0].position).table()) == []
    for name, each in {"accesses": found[2], "value": value, "calls": calls}.items():
        each.write(tmp_path / f"{name}.parquet")
        rows = list(each.table())
        read = duckdb.sql(f"select * from '{tmp_path / name}.parquet'")
        assert read.columns == [column.name for column in each.table().columns]
        assert read.fetchall() == rows
        assert each.to_polars().rows() == rows
        frame = each.to_pandas()
        assert isinstance(frame, pandas.DataFrame)
        assert len(frame) == len(each) == len(each.to_numpy()) == len(each.to_arrow())


@needs_gcc
def test_signs_floats_and_structures(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"types.c": TYPES}, floats=True)
    with guestdbg.load(path, history=True, **OPTIONS) as guest:
        guest.run()
        history = guest.history
        for what in ("flags.low", "flags.high", "ratio", "bytes", "bytes[1]"):
            same_accesses(history.writes(what))
        for what in ("flags.low", "ratio", "bytes[1]"):
            same_values(history.value(what))
        low = history.value("flags.low").table()
        assert list(low.column("value")) == [0, 3, 2, 1, 0, -1, -2]
        kinds = {c.name: c.kind for c in history.writes("ratio").table().columns}
        assert (kinds["old"], kinds["new"], kinds["pc"]) == ("f64", "f64", "u64")
        calls = history.calls("both")
        same_calls(calls)
        table = calls.table()
        kinds = {c.name: c.kind for c in table.columns}
        assert (kinds["arg_p"], kinds["arg_n"], kinds["arg_f"]) == ("text", "i64", "f64")
        assert list(table.column("arg_n")) == [0, -1, -2, -3, -4, -5]
        assert json.loads(table.column("arg_p")[1]) == {"first": 1, "second": 1.5}


def test_values_that_are_no_numbers() -> None:
    """Of different kinds in one column, too large, missing, with names that are no text."""
    here = Position(0, 0, 1)
    values: list[Any] = [1 << 70, [1, {"a": 2.5}], "text", None]
    made = [Call("f", here, 0, 4, {"n\udcff": value}, {"other": "why"}) for value in values]
    table = Calls("f", here, here, made, None, None).table()
    assert table.column("arg_n\\udcff") == [str(1 << 70), '[1, {"a": 2.5}]', '"text"', None]
    assert table.column("arg_other") == [None] * 4
    assert len(Calls("f", here, here, [], None, None).table()) == 0
    table.to_arrow()
    edges = {
        "u64": (0, (1 << 64) - 1),
        "i64": (-(1 << 63), (1 << 63) - 1),
        "text": (-1, 1 << 63),
    }
    for kind, numbers in edges.items():
        calls = [Call("f", here, 0, 4, {"n": number}) for number in numbers]
        found = Calls("f", here, here, calls, None, None).table()
        assert {c.name: c.kind for c in found.columns}["arg_n"] == kind


def test_the_page_has_every_column() -> None:
    page = (ROOT / "docs" / "tables.md").read_text()
    with guestdbg.load(EXAMPLES / "queue.elf", history=True, **OPTIONS) as guest:
        guest.run(max_instructions=20_000)
        history = guest.history
        answers = [history.writes("queue.tail"), history.value("queue.tail")]
        answers.append(history.calls("queue_push"))
    for answer in answers:
        for column in answer.table().columns:
            if column.name.startswith("arg_") or column.name == "result":
                continue
            missing = " or missing" * column.optional
            line = f"| `{column.name}` | {column.kind}{missing} | {column.unit} | {column.what} |"
            assert line in page, line
