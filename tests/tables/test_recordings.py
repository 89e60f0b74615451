"""The table of a recording has what its records have."""

from pathlib import Path

import pytest

import guestdbg
from guestdbg.tables import Table
from tests.machine.guests import EXAMPLES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("access", ["write", "any"])
def test_the_table_of_a_recording(monkeypatch, access: str, plain: bool) -> None:
    if plain:
        monkeypatch.setenv("GUESTDBG_PLAIN", "1")
    with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
        recording = guest.record("queue.tail", access=access, registers=(0, 19), limit=500)
        assert list(recording.table()) == []
        guest.run()
    table = recording.table()
    assert len(table) == len(recording) == 500
    for row, record in zip(table, recording, strict=True):
        values = dict(zip((column.name for column in table.columns), row, strict=True))
        assert (values.pop("x0"), values.pop("x19")) == record.registers
        assert values == {name: getattr(record, name) for name in values}
    if access == "any":
        assert None in table.column("new")
    assert isinstance(table, Table)


def test_the_page_has_every_column() -> None:
    from guestdbg.cli.running.hit_table import COLUMNS

    page = (ROOT / "docs" / "tables.md").read_text()
    for column in COLUMNS:
        missing = " or missing" * column.optional
        assert (
            f"| `{column.name}` | {column.kind}{missing} | {column.unit} | {column.what} |" in page
        )
