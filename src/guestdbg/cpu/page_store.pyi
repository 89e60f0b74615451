"""What guest memory holds, kept page by page."""

from collections.abc import Sequence
from typing import Any

class Pages:
    """The pages of a buffer that are not zero; those of ``before`` that are the same are shared.

    ``touched``: (first page, pages) ascending; all other pages are zero. ValueError for a length
    that is not a multiple of 4096, or ranges that leave the buffer.
    """

    def __init__(
        self, buffer: Any, touched: Sequence[tuple[int, int]], before: Pages | None = None
    ) -> None: ...
    def __len__(self) -> int: ...  # pages kept
    @property
    def length(self) -> int: ...  # of the buffer, in pages
    def owned(self) -> int: ...  # pages that nobody else keeps
    def differing(
        self, buffer: Any, touched: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]: ...
    def put_back(self, buffer: Any, runs: Sequence[tuple[int, int]], drop: bool) -> None:
        """Make these pages what they were; drop: the buffer is private anonymous memory."""

def address_of(buffer: Any) -> tuple[int, int]:
    """Where a buffer lies in the host, and how many bytes it has."""
