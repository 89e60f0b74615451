"""The pages in which a snapshot differs from an earlier one of the same machine, for files."""

from __future__ import annotations

import bisect
import mmap
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from guestdbg.cpu.processor import Pages

if TYPE_CHECKING:
    from guestdbg.container import PageRuns
    from guestdbg.kvm.soft.snapshot.present_pages import Runs

__all__ = ["ChangedPages", "changed_pages"]

_PAGE: Final = 4096
_MAP_NORESERVE: Final = 0x4000 if sys.platform == "linux" else 0


class ChangedPages:
    """A ``PageSource`` of the pages that may differ between the two; they may be zero now."""

    def __init__(self, pages: Pages, before: Pages) -> None:
        self._pages = pages
        self._runs = pages.unlike(before)
        #: Of each run, in which place of all pages it begins.
        self._starts: list[int] = []
        total = 0
        for _, count in self._runs:
            self._starts.append(total)
            total += count
        #: Of each run of pages that are not zero: its first page, and its place among those.
        self._kept: list[tuple[int, int, int]] = []
        place = 0
        for first, count in pages.numbers():
            self._kept.append((first, count, place))
            place += count

    def numbers(self) -> Runs:
        """See ``PageSource``."""
        return list(self._runs)

    def contents(self, start: int, count: int) -> bytes:
        """See ``PageSource``."""
        parts = []
        run = bisect.bisect_right(self._starts, start) - 1
        while count:
            first, length = self._runs[run]
            skipped = start - self._starts[run]
            taken = min(count, length - skipped)
            parts.append(self._of_run(first + skipped, taken))
            start, count, run = start + taken, count - taken, run + 1
        return b"".join(parts)

    def _of_run(self, first: int, count: int) -> bytes:
        data = bytearray(count * _PAGE)
        k = max(0, bisect.bisect_right(self._kept, (first, 1 << 62, 0)) - 1)
        for kept, length, place in self._kept[k:]:
            start, end = max(first, kept), min(first + count, kept + length)
            if kept >= first + count:
                break
            if start < end:
                at = (start - first) * _PAGE
                found = self._pages.contents(place + start - kept, end - start)
                data[at : at + len(found)] = found
        return bytes(data)


def changed_pages(before: Mapping[int, Pages], changed: Iterable[PageRuns]) -> dict[int, Pages]:
    """The pages of all slots of ``before`` with these changes; what did not change is shared.

    Raises:
        ValueError: a slot that there is not, pages outside it, twice or not in ascending order.
    """
    runs: dict[int, Runs] = {}
    # Only what is written takes memory of the host.
    buffers: dict[int, mmap.mmap] = {}
    try:
        for slot, found, contents in changed:
            if slot not in before:
                raise ValueError(f"it has pages of memory slot {slot}, which there is not")
            size = before[slot].length * _PAGE
            buffer = buffers.get(slot)
            if buffer is None:
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
                buffer = buffers[slot] = mmap.mmap(-1, size, flags=flags)
            at = 0
            for first, count in found:
                end = sum(runs[slot][-1]) if runs.get(slot) else 0
                if first < end or not count or first > size // _PAGE - count:
                    raise ValueError(f"{count} changed pages from {first} on, after {end}")
                length = count * _PAGE
                buffer[first * _PAGE : first * _PAGE + length] = contents[at : at + length]
                at += length
                runs.setdefault(slot, []).append((first, count))
        return {
            slot: Pages(buffers[slot], runs[slot], pages, only=True) if slot in runs else pages
            for slot, pages in before.items()
        }
    except OSError as error:
        raise ValueError(f"no memory for changed pages: {error}") from error
    finally:
        for buffer in buffers.values():
            buffer.close()
