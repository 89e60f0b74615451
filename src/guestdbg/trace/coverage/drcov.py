"""Coverage as a drcov file, which Lighthouse, Cartographer, bncov and other tools read.

The format is DynamoRIO's (its module drcov, "drcovlib.h"): a text header, a table of modules
(version 2), and a binary table of basic blocks: the offset in the module (32 bits), the size in
bytes (16 bits) and the module's number (16 bits), little-endian.
"""

from __future__ import annotations

import logging
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.trace.coverage.executed import Executed

if TYPE_CHECKING:
    from guestdbg.debugger import Image
    from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["drcov"]

log = logging.getLogger(__name__)

_BLOCK = struct.Struct("<IHH")
#: An offset in a module has 32 bits, the size of a block and the number of a module 16.
_WINDOW = 1 << 32
_SIZE_MAX = 0xFFFC
_MODULES_MAX = 0xFFFF


class _Module(NamedTuple):
    start: int
    end: int
    path: str


def drcov(result: CoverageResult) -> Iterator[bytes]:
    """The file. Code that is in no ELF file is in modules that are called ``memory-0x...``."""
    modules = [module for image in result.guest.images for module in _of_image(image)]
    blocks = _blocks(result)
    modules += _of_memory(modules, blocks)
    modules.sort()
    if len(modules) > _MODULES_MAX:
        log.warning(
            "the drcov file has the code of %d modules only, which is all that it can name",
            _MODULES_MAX,
        )
        del modules[_MODULES_MAX:]
    starts = [module.start for module in modules]
    rows = []
    for start, end in blocks:
        number = bisect_right(starts, start) - 1
        if number >= 0 and end <= modules[number].end:
            rows.append(_BLOCK.pack(start - starts[number], end - start, number))
    yield _header(modules, len(rows))
    yield from rows


def _header(modules: Sequence[_Module], blocks: int) -> bytes:
    text = ["DRCOV VERSION: 2", "DRCOV FLAVOR: guestdbg"]
    text += [f"Module Table: version 2, count {len(modules)}"]
    text += ["Columns: id, base, end, entry, path"]
    for number, module in enumerate(modules):
        place = f"{module.start:#018x}, {module.end:#018x}, {0:#018x}"
        text.append(f"{number:3}, {place}, {module.path}")
    return "\n".join([*text, f"BB Table: {blocks} bbs", ""]).encode("utf-8", "surrogateescape")


def _of_image(image: Image) -> Iterator[_Module]:
    """An ELF file from its first segment to its last, in pieces of 4 GiB at most."""
    name = "".join(c if c.isprintable() and c != "," else "_" for c in str(image.path.absolute()))
    base = last = None
    for start, end in image.segments:
        if base is not None and last is not None and end - base > _WINDOW:
            yield _Module(base, last, name)
            base = None
        base = start if base is None else base
        last = end
    if base is not None and last is not None:
        yield _Module(base, last, name)


def _of_memory(modules: Sequence[_Module], blocks: Sequence[tuple[int, int]]) -> list[_Module]:
    """Modules for the blocks that are in none: the parts of 4 GiB of memory between the others."""
    known = sorted(modules)
    starts = [module.start for module in known]
    found: dict[int, _Module] = {}
    for start, end in blocks:
        place = bisect_right(starts, start) - 1
        if place >= 0 and end <= known[place].end:
            continue
        low = start & -_WINDOW
        high = low + _WINDOW
        if place >= 0:
            low = max(low, known[place].end)
        if place + 1 < len(known):
            high = min(high, known[place + 1].start)
        found.setdefault(low, _Module(low, max(high, end), f"memory-{low:#x}"))
    return list(found.values())


def _blocks(result: CoverageResult) -> list[tuple[int, int]]:
    """What was executed, divided after each branch: (start, end), sorted."""
    blocks = result.blocks()
    ends = sorted({b.address + 4 * b.instructions for b in blocks if b.branch})
    found = []
    for run in Executed.of_blocks(blocks.items(), counted=False):
        start = run.start
        while start < run.end:
            place = bisect_right(ends, start)
            end = min(ends[place] if place < len(ends) else run.end, run.end, start + _SIZE_MAX)
            found.append((start, end))
            start = end
    return found
