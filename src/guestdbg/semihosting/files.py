"""Files of the host, for the guest: regular files below one directory, and nothing else.

A path is walked one component at a time from the directory's descriptor, with O_NOFOLLOW, so that
neither ``..`` nor a symbolic link leads out, also if somebody changes the directory meanwhile.
Links are refused altogether (ELOOP; ENOTDIR for one in the place of a directory).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestdbg.semihosting.options import SemihostingError

if TYPE_CHECKING:
    from guestdbg.semihosting.options import Semihosting

__all__ = ["Files", "HostFile"]

_MAX_COMPONENTS = 64
#: Files that the guest has created and not removed. Empty ones cost the host something, too.
_MAX_CREATED = 4096
# The modes of SYS_OPEN in pairs, text and binary: r, r+, w, w+, a, a+.
_READ, _UPDATE, _WRITE, _WRITE_UPDATE, _APPEND, _APPEND_UPDATE = range(6)
_ACCESS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR)


class HostFile:
    """An open file, with a position of its own: nothing is shared with the host's."""

    is_terminal = False

    def __init__(self, files: Files, fd: int, *, append: bool) -> None:
        self._files = files
        self._fd = fd
        self._append = append
        self._position = 0

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; none at the end of the file. Raises OSError."""
        data = os.pread(self._fd, length, self._position)
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Write, and return how many bytes were written. Raises OSError."""
        start = self.length() if self._append else self._position
        self._files.account(max(start - self.length(), 0) + len(data))
        count = os.pwrite(self._fd, data, start)
        self._position = start + count
        return count

    def seek(self, position: int) -> None:
        """Set the position."""
        self._position = position

    def length(self) -> int:
        """The length of the file in bytes."""
        return os.fstat(self._fd).st_size

    def isatty(self) -> bool:
        """It is a regular file."""
        return False

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Files:
    """The files below the directory of ``options``; every method raises OSError.

    Raises SemihostingError if the directory cannot be opened.
    """

    def __init__(self, options: Semihosting) -> None:
        self._options = options
        self._left = options.max_written
        self._created = 0
        self._root = -1
        if options.directory is not None:
            try:
                self._root = os.open(options.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise SemihostingError(f"the directory of the guest's files: {error}") from error

    @property
    def available(self) -> bool:
        """Whether there is a directory."""
        return self._root >= 0

    def account(self, count: int) -> None:
        """Count bytes that a file grows by or gets; OSError (ENOSPC) if they are too many."""
        if count > self._left:
            raise OSError(errno.ENOSPC, "the guest has written as much as max_written allows")
        self._left -= count

    def open(self, path: bytes, mode: int) -> HostFile:
        """Open a file with a mode of SYS_OPEN, 0 to 11."""
        kind = mode >> 1
        if kind != _READ:
            self._check_writable()
        with self._parent(path) as (parent, name):
            exists = self._check_regular(parent, name)
            # O_NONBLOCK: if a FIFO takes the file's place now, opening it does not wait.
            flags = _ACCESS[kind] | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            if kind >= _WRITE:
                flags |= os.O_CREAT
                if not exists and self._created >= _MAX_CREATED:
                    raise OSError(errno.ENOSPC, "the guest has created too many files")
            fd = os.open(name, flags, 0o644, dir_fd=parent)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EACCES, "not a regular file")
            if kind in (_WRITE, _WRITE_UPDATE):
                os.ftruncate(fd, 0)
        except OSError:
            os.close(fd)
            raise
        self._created += not exists
        return HostFile(self, fd, append=kind >= _APPEND)

    def remove(self, path: bytes) -> None:
        """Remove a file."""
        self._check_writable()
        with self._parent(path) as (parent, name):
            self._check_regular(parent, name)
            os.unlink(name, dir_fd=parent)
            self._created = max(self._created - 1, 0)

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file; one with the new name is replaced."""
        self._check_writable()
        with self._parent(old) as (source, name), self._parent(new) as (target, new_name):
            self._check_regular(source, name)
            self._check_regular(target, new_name)
            os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)

    def close(self) -> None:
        """Release the directory. Closing twice does nothing."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _check_writable(self) -> None:
        if self._options.read_only and self.available:
            raise OSError(errno.EROFS, "the guest may only read files")

    @staticmethod
    def _check_regular(parent: int, name: bytes) -> bool:
        """Refuse what exists and is not a regular file, before anything is done with it.

        Returns whether the file exists.
        """
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, "a symbolic link")
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, "a directory")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EACCES, "not a regular file")
        return True

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The descriptor of the directory that ``path`` is in, and its last component."""
        if not self.available:
            raise OSError(errno.EACCES, "there is no directory for the guest's files")
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        if b"\0" in path or not parts or parts[-1] == b"..":
            raise OSError(errno.EINVAL if b"\0" in path else errno.EISDIR, "not a file's name")
        if len(parts) > _MAX_COMPONENTS:
            raise OSError(errno.ENAMETOOLONG, "too many components")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = [os.dup(self._root)]
        try:
            for part in parts[:-1]:
                if part == b"..":
                    if len(opened) == 1:
                        raise OSError(errno.EACCES, "above the directory")
                    os.close(opened.pop())
                else:
                    opened.append(os.open(part, flags, dir_fd=opened[-1]))
            yield opened[-1], parts[-1]
        finally:
            for fd in opened:
                os.close(fd)
