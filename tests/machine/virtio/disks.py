"""Disks for the tests, and requests to a block device."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guestdbg.machine.virtio import Block, open_image, parse_drive
from tests.machine.virtio.driver import BUFFERS, Driver, Ring, Segment

SECTORS = 256
IN, OUT, FLUSH, GET_ID, WRITE_ZEROES = 0, 1, 4, 8, 13
OK, IOERR, UNSUPPORTED = 0, 1, 2

HEADER_AT = BUFFERS
STATUS_AT = BUFFERS + 16
DATA_AT = BUFFERS + 0x1000


def disk(path: Path, sectors: int = SECTORS) -> bytes:
    """A new image with random contents, which are returned."""
    contents = random.Random(sectors).randbytes(512 * sectors)
    path.write_bytes(contents)
    return contents


@contextmanager
def driving(drive: str) -> Iterator[Driver]:
    driver = Driver.of(Block(open_image(parse_drive(drive)), "serial of the disk, long"))
    try:
        yield driver
    finally:
        driver.close()


def request(
    ring: Ring,
    kind: int,
    sector: int,
    data: Sequence[Segment] = (),
    *,
    indirect: bool = False,
    notify: bool = True,
) -> int | None:
    """A request and its status, or None if it was not completed."""
    memory = ring.driver.memory
    memory.write(HEADER_AT, struct.pack("<IIQ", kind, 0, sector))
    memory.write(STATUS_AT, b"\xee")
    segments = [(HEADER_AT, 16, False), *data, (STATUS_AT, 1, True)]
    head = ring.add(segments, indirect=indirect)
    if notify:
        ring.notify()
    used = ring.take_used()
    if not used:
        return None
    assert [number for number, _ in used] == [head]
    return memory.read(STATUS_AT, 1)[0]
