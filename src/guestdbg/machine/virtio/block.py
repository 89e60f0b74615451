"""The block device (virtio 1.2, 5.2): one queue, reads and writes without a copy of the data."""

from __future__ import annotations

import errno
import logging
import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from guestdbg.machine.virtio.constants import DeviceId
from guestdbg.machine.virtio.disk_image import SECTOR
from guestdbg.machine.virtio.virtqueue import CHAIN_MAX, QueueError

if TYPE_CHECKING:
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.virtio.backend import TransportPort
    from guestdbg.machine.virtio.disk_image import DiskImage
    from guestdbg.machine.virtio.virtqueue import Chain, Virtqueue

__all__ = ["Block", "RequestType"]

log = logging.getLogger("guestdbg.machine")

QUEUE_SIZE = 256
# Segments of a request, without its header and its status.
SEGMENTS_MAX = CHAIN_MAX - 2
REQUEST_MAX = 1 << 30
ZEROES_SECTORS_MAX = 32768  # of one range: 16 MiB
ID_SIZE = 20

_F_SEG_MAX = 1 << 2
_F_RO = 1 << 5
_F_BLK_SIZE = 1 << 6
_F_FLUSH = 1 << 9
_F_WRITE_ZEROES = 1 << 14

_OK, _IOERR, _UNSUPPORTED = 0, 1, 2

_HEADER = struct.Struct("<IIQ")
_RANGE = struct.Struct("<QII")

# capacity, size_max, seg_max, geometry (cylinders, heads, sectors), blk_size, topology (4 fields),
# writeback, unused, num_queues, discard (3), write_zeroes (max sectors, max segments, may unmap)
_CONFIG = struct.Struct("<QII HBB I BBHI BBH III IIB 3x")


class RequestType(IntEnum):
    """Types of requests (5.2.6)."""

    IN = 0
    OUT = 1
    FLUSH = 4
    GET_ID = 8
    WRITE_ZEROES = 13


class Block:
    """A disk. ``identity`` is its serial number, of which the driver sees 20 bytes.

    A request is complete when the notification of it returns.
    """

    name = "virtio-blk"
    device_id = int(DeviceId.BLOCK)
    queue_sizes: tuple[int, ...] = (QUEUE_SIZE,)
    port: TransportPort

    def __init__(self, image: DiskImage, identity: str = "") -> None:
        self.image = image
        self.features = _F_SEG_MAX | _F_BLK_SIZE | _F_FLUSH
        self.features |= _F_RO if image.readonly else _F_WRITE_ZEROES
        self._identity = identity.encode("ascii", "replace")[:ID_SIZE].ljust(ID_SIZE, b"\0")
        self._logged: set[int] = set()
        sectors = 0 if image.readonly else ZEROES_SECTORS_MAX
        self._config = _CONFIG.pack(
            *(image.size // SECTOR, 0, SEGMENTS_MAX),
            *(0, 0, 0),
            SECTOR,
            *(0, 0, 0, 0),
            *(0, 0, 1),
            *(0, 0, 0),
            *(sectors, 1 if sectors else 0, 0),
        )

    def config(self) -> bytes:
        return self._config

    def write_config(self, offset: int, data: bytes) -> None:
        pass  # only writeback can be written, with a feature that is not offered

    def serve(self, index: int, queue: Virtqueue) -> None:
        for chain in queue.requests():
            queue.push(chain, self._request(chain))

    def _request(self, chain: Chain) -> int:
        """Perform a request. Returns how many bytes were written to guest memory."""
        if chain.readable_length < _HEADER.size or not chain.writable:
            raise QueueError("a request without a header or without a status byte")
        kind, _, sector = _HEADER.unpack(chain.gather(_HEADER.size))
        status_at = chain.addresses[-1] + len(chain.writable[-1]) - 1
        status_byte = chain.writable[-1][-1:]
        chain.writable[-1] = chain.writable[-1][:-1]
        written = 0
        try:
            if kind == RequestType.IN:
                status = self._read(chain, sector)
                written = chain.length - chain.readable_length - 1 if status == _OK else 0
            elif kind == RequestType.OUT:
                status = self._write(chain, sector)
            elif kind == RequestType.FLUSH:
                self.image.flush()
                status = _OK
            elif kind == RequestType.GET_ID:
                written = chain.scatter(self._identity, self.port.dma)
                status = _OK
            elif kind == RequestType.WRITE_ZEROES and not self.image.readonly:
                status = self._write_zeroes(chain)
            else:
                status = _UNSUPPORTED
        except OSError as error:
            self._log(error)
            status = _IOERR
        dma = self.port.dma
        dma.will_write(status_at, 1)
        status_byte[0] = status
        dma.written(status_at, 1)
        return written + 1

    def _inside(self, sector: int, length: int) -> bool:
        """Whether a request is of whole sectors of the disk, and of a reasonable size."""
        inside = sector * SECTOR + length <= self.image.size
        return inside and length % SECTOR == 0 and length <= REQUEST_MAX

    def _read(self, chain: Chain, sector: int) -> int:
        buffers = [buffer for buffer in chain.writable if len(buffer)]
        if not self._inside(sector, chain.length - chain.readable_length - 1):
            return _IOERR
        dma = self.port.dma
        if dma.before_dma is not None:
            for address, buffer in zip(chain.addresses, buffers, strict=False):
                dma.will_write(address, len(buffer))
        try:
            self.image.read(sector * SECTOR, buffers)
        finally:
            # Also after an error: a part may have been read.
            for address, length in _joined(chain.addresses, buffers):
                dma.written(address, length)
        return _OK

    def _write(self, chain: Chain, sector: int) -> int:
        buffers = _without_header(chain)
        length = sum(map(len, buffers))
        if self.image.readonly or not self._inside(sector, length):
            return _IOERR
        self.image.write(sector * SECTOR, buffers)
        self._written()
        return _OK

    def _write_zeroes(self, chain: Chain) -> int:
        data = b"".join(_without_header(chain)[:2])
        if len(data) != _RANGE.size:  # max_write_zeroes_seg is 1
            return _UNSUPPORTED
        sector, count, flags = _RANGE.unpack(data)
        if flags & ~1:
            return _UNSUPPORTED
        if count > ZEROES_SECTORS_MAX or not self._inside(sector, count * SECTOR):
            return _IOERR
        self.image.write_zeroes(sector * SECTOR, count * SECTOR)
        self._written()
        return _OK

    def _written(self) -> None:
        # 5.2.6.2: without the FLUSH feature a write is complete when it is on the disk.
        if not self.port.features & _F_FLUSH:
            self.image.flush()

    def _log(self, error: OSError) -> None:
        number = error.errno or errno.EIO
        if number not in self._logged:
            self._logged.add(number)
            log.warning("%s: the guest gets an I/O error: %s", self.name, error)

    def connect_inputs(self, inputs: Inputs) -> None:
        pass

    def waits(self) -> bool:
        return False

    def reset(self) -> None:
        pass

    def describe(self) -> str:
        return f"{self.image.kind} image of {self.image.size} bytes"

    def snapshot(self) -> object:
        return self.image.snapshot()

    def restore(self, state: object) -> None:
        self.image.restore(state)

    def check_files(self) -> None:
        self.image.check_unchanged()

    def close(self) -> None:
        self.image.close()


def _without_header(chain: Chain) -> list[memoryview]:
    """The data of a request that the device reads."""
    skip, buffers = _HEADER.size, []
    for buffer in chain.readable:
        if skip < len(buffer):
            buffers.append(buffer[skip:])
        skip = max(0, skip - len(buffer))
    return buffers


def _joined(addresses: list[int], buffers: list[memoryview]) -> list[tuple[int, int]]:
    """The ranges of the buffers, with neighbours as one."""
    ranges: list[tuple[int, int]] = []
    for address, buffer in zip(addresses, buffers, strict=False):
        if ranges and sum(ranges[-1]) == address:
            ranges[-1] = ranges[-1][0], ranges[-1][1] + len(buffer)
        else:
            ranges.append((address, len(buffer)))
    return ranges
