"""The contents of guest memory, stored page by page."""

from collections.abc import Sequence
from typing import Any

from guestdbg.cpu.dirty_pages import DirtyPages

PAGE_COST: int  # bytes that a page takes in memory, with what malloc() adds
PAGE_ENTRY: int  # and its entry in the list of each snapshot that has it

class Pages:
    """The pages of a buffer that are not zero; those that equal pages of ``before`` are shared.

    ``touched``: (first page, pages) ascending; all other pages are zero, or with
    ``only`` as in ``before``. Raises ValueError for a
    length that is not a multiple of 4096, or for ranges outside the buffer.
    """

    def __init__(
        self,
        buffer: Any,
        touched: Sequence[tuple[int, int]],
        before: Pages | None = None,
        only: bool = False,
    ) -> None: ...
    @staticmethod
    def over(buffer: Any, runs: Sequence[tuple[int, int]]) -> Pages:
        """These pages of a buffer, not copied: it is kept, and must never change again."""
    def numbers(self) -> list[tuple[int, int]]: ...  # (first page, pages) that are kept
    def contents(self, start: int, count: int) -> bytes: ...  # of kept pages, by their place
    def __len__(self) -> int: ...  # pages kept
    @property
    def length(self) -> int: ...  # of the buffer, in pages
    @property
    def index_size(self) -> int: ...  # bytes of the list of pages, which is not shared
    def owned(self) -> int: ...  # pages that no other snapshot shares
    def count_beside(self, other: Pages) -> int: ...  # pages that ``other`` does not share
    def unlike(self, other: Pages) -> list[tuple[int, int]]: ...  # pages that are not shared
    def differing_in(
        self, buffer: Any, runs: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]: ...
    def differing(
        self, buffer: Any, touched: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]: ...
    def put_back_written(self, reader: DirtyPages, drop: bool) -> None:
        """Restore what was written since the reader began, and begin it anew: the slot's contents
        were these pages then, and it shares no memory with another slot.
        Raises ValueError if the reader is closed, or of a slot of another size."""
    def put_back(self, buffer: Any, runs: Sequence[tuple[int, int]], drop: bool) -> None:
        """Restore these pages; drop: the buffer is private anonymous memory."""

def address_of(buffer: Any) -> tuple[int, int]:
    """The host address of a buffer, and its length in bytes."""
