"""Disk images: a raw file, opened and locked, and an overlay in memory over one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from guestdbg.machine.virtio.drive_spec import DriveError
from guestdbg.machine.virtio.file_lock import lock_image

if TYPE_CHECKING:
    from guestdbg.machine.virtio.drive_spec import DriveSpec

__all__ = ["OVERLAY_MAX", "SECTOR", "DiskImage", "Overlay", "RawFile", "open_image"]

SECTOR = 512

#: Bytes that a guest can write to one overlay. It is then full, like a disk: writes fail.
OVERLAY_MAX = 4 << 30

_CLUSTER = 4096
_ZERO_CLUSTER = bytes(_CLUSTER)
#: More written clusters than these are not noted: the state before them would be kept, too.
_WRITTEN_MAX = 1024

_IOV_MAX = 1024
_sync = getattr(os, "fdatasync", os.fsync)
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
_FOREIGN_FORMATS = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"QED\0": "qed",
    b"<<< ": "vdi",
}

Buffers = Sequence[memoryview]


class DiskImage(Protocol):
    """A disk of ``size`` bytes; offsets and lengths are multiples of 512, and are inside it.

    Errors of the host are OSError.

    Attributes:
        kind: ``"read-only"``, ``"overlay"``, or ``"written"``: the guest writes the file.
    """

    size: int
    readonly: bool

    @property
    def kind(self) -> str: ...

    def read(self, offset: int, buffers: Buffers) -> None:
        """Fill the buffers from ``offset`` on."""

    def write(self, offset: int, buffers: Buffers) -> None:
        """Write the buffers from ``offset`` on."""

    def write_zeroes(self, offset: int, length: int) -> None:
        """Write zeroes."""

    def flush(self) -> None:
        """Put what was written on the host's disk."""

    def snapshot(self) -> object:
        """The contents, as far as they change in memory only.

        Raises:
            DriveError: the file itself is written.
        """

    def restore(self, state: object) -> None:
        """Return to the contents of ``snapshot``."""

    def check_unchanged(self) -> None:
        """Raise DriveError if another program has changed a file that the guest does not write."""

    def close(self) -> None:
        """Close the file."""


class RawFile:
    """An open file. It is closed when it is no longer used."""

    def __init__(self, descriptor: int, path: str, size: int, *, readonly: bool) -> None:
        self._descriptor = descriptor
        self._path = path
        self.size = size
        self.readonly = readonly
        self._opened = self._identity()

    def _identity(self) -> tuple[int, int]:
        """Its size and when it was written, in nanoseconds: another program may do that."""
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    @property
    def kind(self) -> str:
        return "read-only" if self.readonly else "written"

    def read(self, offset: int, buffers: Buffers) -> None:
        for at, piece, length in _pieces(offset, buffers):
            done = os.preadv(self._descriptor, piece, at)
            while done < length:
                more = os.preadv(self._descriptor, list(_rest(piece, done)), at + done)
                if not more:
                    raise OSError(errno.EIO, f"{self._path} is shorter than when it was opened")
                done += more

    def write(self, offset: int, buffers: Buffers) -> None:
        for at, piece, length in _pieces(offset, buffers):
            done = os.pwritev(self._descriptor, piece, at)
            while done < length:
                done += os.pwritev(self._descriptor, list(_rest(piece, done)), at + done)

    def write_zeroes(self, offset: int, length: int) -> None:
        zeroes = memoryview(bytes(min(length, 1 << 20)))
        while length:
            count = min(length, len(zeroes))
            self.write(offset, [zeroes[:count]])
            offset += count
            length -= count

    def flush(self) -> None:
        if not self.readonly:
            _sync(self._descriptor)

    def snapshot(self) -> object:
        if not self.readonly:
            raise DriveError(
                f"the guest writes {self._path}, and a snapshot does not have what is in a file: "
                "add the drive with overlay, or with readonly"
            )
        return None

    def restore(self, state: object) -> None:
        pass

    def check_unchanged(self) -> None:
        if not self.readonly:
            return
        size, written = self._identity()
        if size != self._opened[0]:
            what = f"it had {self._opened[0]} bytes, and has {size}"
        elif written != self._opened[1]:
            what = "it was written"
        else:
            return
        raise DriveError(
            f"drive {self._path}: another program has changed the file since it was opened "
            f"({what}), so the guest cannot be put back to what it was: end the program that "
            "writes it, and begin anew"
        )

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _pieces(offset: int, buffers: Buffers) -> Iterator[tuple[int, Buffers, int]]:
    """The buffers in groups for preadv: (offset in the file, buffers, their bytes)."""
    for first in range(0, len(buffers), _IOV_MAX):
        piece = buffers[first : first + _IOV_MAX]
        length = sum(map(len, piece))
        yield offset, piece, length
        offset += length


def _rest(buffers: Buffers, done: int) -> Iterator[memoryview]:
    """The buffers without their first ``done`` bytes."""
    for buffer in buffers:
        if done < len(buffer):
            yield buffer[done:]
        done = max(0, done - len(buffer))


class Overlay:
    """Writes over an image are kept in memory, in clusters of 4 KiB; the image does not change.

    A cluster is an immutable ``bytes``, so that snapshots share what has not changed since.
    """

    readonly = False
    kind = "overlay"

    def __init__(self, image: DiskImage, limit: int = OVERLAY_MAX) -> None:
        self._image = image
        self.size = image.size
        self._limit = limit // _CLUSTER
        self._clusters: dict[int, bytes] = {}
        #: The state that was restored last, and the clusters that were written since; None: not
        #: known.
        self._since: dict[int, bytes] | None = None
        self._written: set[int] = set()

    @property
    def memory_size(self) -> int:
        """Bytes that the overlay keeps."""
        return len(self._clusters) * _CLUSTER

    def read(self, offset: int, buffers: Buffers) -> None:
        self._image.read(offset, buffers)
        if not self._clusters:
            return
        get = self._clusters.get
        for buffer in buffers:
            start, length = 0, len(buffer)
            while start < length:
                number, inside = divmod(offset + start, _CLUSTER)
                count = min(_CLUSTER - inside, length - start)
                cluster = get(number)
                if cluster is not None:
                    buffer[start : start + count] = cluster[inside : inside + count]
                start += count
            offset += length

    def write(self, offset: int, buffers: Buffers) -> None:
        # Data in pieces that may cut clusters anywhere: put it together first.
        data = memoryview(b"".join(buffers))
        start = 0
        while start < len(data):
            number, inside = divmod(offset + start, _CLUSTER)
            count = min(_CLUSTER - inside, len(data) - start)
            self._put(number, inside, data[start : start + count])
            start += count

    def _put(self, number: int, inside: int, data: memoryview) -> None:
        if self._since is not None:
            self._written.add(number)
            if len(self._written) > _WRITTEN_MAX:
                self._begin(None)
        if number not in self._clusters and len(self._clusters) >= self._limit:
            raise OSError(errno.ENOSPC, "the overlay has reached its limit")
        if len(data) == _CLUSTER:
            self._clusters[number] = bytes(data)
            return
        old = self._clusters.get(number)
        cluster = bytearray(_CLUSTER if old is None else old)
        if old is None:
            start = number * _CLUSTER
            self._image.read(start, [memoryview(cluster)[: self.size - start]])
        cluster[inside : inside + len(data)] = data
        self._clusters[number] = bytes(cluster)

    def write_zeroes(self, offset: int, length: int) -> None:
        end = offset + length
        while offset < end:
            number, inside = divmod(offset, _CLUSTER)
            count = min(_CLUSTER - inside, end - offset)
            self._put(number, inside, memoryview(_ZERO_CLUSTER)[:count])
            if count == _CLUSTER:
                self._clusters[number] = _ZERO_CLUSTER  # all of these are one object
            offset += count

    def flush(self) -> None:
        pass

    def _begin(self, state: dict[int, bytes] | None) -> None:
        """The contents are those of ``state`` now."""
        self._since = state
        self._written.clear()

    def snapshot(self) -> object:
        return dict(self._clusters)

    def restore(self, state: object) -> None:
        assert isinstance(state, dict)
        if state is self._since:
            for number in self._written:
                if number in state:
                    self._clusters[number] = state[number]
                else:
                    self._clusters.pop(number, None)
            self._written.clear()
            return
        last = -(-self.size // _CLUSTER)
        if not all(0 <= number < last and len(data) == _CLUSTER for number, data in state.items()):
            raise DriveError("the state of an overlay has data that is not of this disk")
        self._clusters = dict(state)
        self._begin(state)

    def check_unchanged(self) -> None:
        self._image.check_unchanged()

    def close(self) -> None:
        self._image.close()
        self._clusters.clear()
        self._begin(None)


def open_image(spec: DriveSpec) -> DiskImage:
    """Open and lock the file of a drive.

    Raises:
        DriveError: it is missing, not a regular file, not a raw image or in use; its size is not a
            multiple of 512 bytes; it may not be read, or not be written.
    """
    path = os.fspath(spec.path)
    writes = not (spec.readonly or spec.overlay)
    try:
        _check_kind(path, os.stat(path))
        flags = os.O_RDWR if writes else os.O_RDONLY
        # Should it have become a FIFO since: O_NONBLOCK opens one without waiting for a writer.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DriveError(f"drive {path}: no such file") from None
    except (PermissionError, OSError) as error:
        if writes and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DriveError(
                f"drive {path}: may not be written ({error.strerror}); use {path},overlay to keep "
                f"what the guest writes in memory, or {path},readonly"
            ) from None
        raise DriveError(f"drive {path}: cannot be opened: {error.strerror or error}") from None
    except ValueError as error:  # a NUL byte in the name
        raise DriveError(f"drive {path!r}: cannot be opened: {error}") from None
    file = RawFile(descriptor, path, 0, readonly=not writes)
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        _check_contents(path, status.st_size, os.pread(descriptor, 8, 0))
        if not lock_image(descriptor, writes=writes):
            raise DriveError(
                f"drive {path}: another program has it in use (a virtual machine?); end that one "
                "first, or copy the file"
            )
    except OSError as error:
        file.close()
        raise DriveError(f"drive {path}: cannot be used: {error.strerror or error}") from error
    except DriveError:
        file.close()
        raise
    file.size = status.st_size
    return Overlay(file) if spec.overlay else file


def _check_kind(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a file")
        raise DriveError(f"drive {path}: {kind}; it must be a regular file with a raw disk image")


def _check_contents(path: str, size: int, start: bytes) -> None:
    for magic, name in _FOREIGN_FORMATS.items():
        if start.startswith(magic):
            raise DriveError(
                f"drive {path}: a {name} image; only raw ones can be used: convert it with "
                f"qemu-img convert -O raw {path} {path}.raw"
            )
    if size == 0:
        raise DriveError(f"drive {path}: the file is empty; truncate -s 1G {path} makes a disk")
    if size % SECTOR:
        raise DriveError(
            f"drive {path}: {size} bytes, which is not a multiple of {SECTOR}: is it complete? If "
            f"it is, truncate -s %{SECTOR} {path} fills the last sector"
        )
