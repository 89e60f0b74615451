"""Random instructions of the decode table's rows, quickly."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guestdbg.cpu.processor import encodings
from tests.cpu.oracle import Row, random_encoding


class Rows:
    """Some rows of the table, to draw instructions from. Each is as likely as the others."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self.names = {row.name for row in rows}
        table = [Row(*row) for row in encodings()]
        # A row whose fixed bits include another's has the encodings they share.
        self._special = {
            row: [
                (it.mask, it.value)
                for it in table
                if it.mask.bit_count() > row.mask.bit_count()
                and (it.value ^ row.value) & it.mask & row.mask == 0
            ]
            for row in self.rows
        }

    def encode(self, rng: random.Random, row: Row) -> int:
        while True:
            raw = random_encoding(rng, row)
            for mask, value in self._special[row]:
                if raw & mask == value:
                    break
            else:
                return raw

    def draw(self, rng: random.Random) -> tuple[Row, int]:
        row = self.rows[int(rng.random() * len(self.rows))]
        return row, self.encode(rng, row)
