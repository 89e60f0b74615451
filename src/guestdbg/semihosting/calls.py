"""The operations of semihosting (section 6). All that the guest gives is taken to be hostile."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guestdbg.semihosting.files import Files, HostFile
from guestdbg.semihosting.handles import Console, Features, Terminal
from guestdbg.semihosting.operations import Operation
from guestdbg.semihosting.remote import RemoteFiles, RemoteFileSystem, RemoteInterrupted

if TYPE_CHECKING:
    from guestdbg.semihosting.call_log import CallLog
    from guestdbg.semihosting.handles import Handle
    from guestdbg.semihosting.options import Semihosting
    from guestdbg.semihosting.remote import RemoteHost

__all__ = ["Exited", "Machine", "SemihostingCalls"]

_U64 = (1 << 64) - 1
_ERROR = _U64  # -1
_PAGE, _CHUNK = 0x1000, 0x10000
_MAX_HANDLES = 64
_MAX_NAME = 4096
_MAX_STRING = 1 << 20
_APPLICATION_EXIT = 0x20026  # ADP_Stopped_ApplicationExit (section 6.10)
# With SH_EXT_STDOUT_STDERR ":tt" is standard error in the modes that append (section 5.8).
_FIRST_WRITE_MODE, _FIRST_APPEND_MODE, _MODES = 4, 8, 12
_STDOUT, _STDERR = 1, 2


class Machine(Terminal, Protocol):
    """What the operations need of the machine and of the vCPU that calls.

    ``read`` and ``write`` access virtual memory as the vCPU sees it; they raise LookupError for
    what is not mapped.
    """

    memory_size: int
    heap: tuple[int, int, int, int]

    def read(self, address: int, length: int) -> bytes:
        """Guest memory."""

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory."""

    def ticks(self) -> tuple[int, int]:
        """The virtual counter, and its frequency in Hz."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The guest has ended: ``status`` is its exit status, ``text`` says so in words."""

    status: int
    text: str


class SemihostingCalls:
    """The semihosting of one guest: its open files, and the last error.

    Attributes:
        remote: the attached debugger that can perform file and console operations; None: there is
            none.
        log: whoever performs a call for ``Machine`` notes here what it does; None: nobody asks.
    """

    def __init__(self, options: Semihosting) -> None:
        self.log: CallLog | None = None
        self._options = options
        self._files = Files(options)
        self._remote_files = RemoteFiles(options)
        self.remote: RemoteHost | None = None
        self._handles: dict[int, Handle] = {}
        self._errno = 0
        self._operations: dict[int, Callable[[Machine, int], int | Exited | None]] = {
            Operation.SYS_OPEN: self._open,
            Operation.SYS_CLOSE: self._close,
            Operation.SYS_WRITEC: self._writec,
            Operation.SYS_WRITE0: self._write0,
            Operation.SYS_WRITE: self._write,
            Operation.SYS_READ: self._read,
            Operation.SYS_READC: self._readc,
            Operation.SYS_ISERROR: self._iserror,
            Operation.SYS_ISTTY: self._istty,
            Operation.SYS_SEEK: self._seek,
            Operation.SYS_FLEN: self._flen,
            Operation.SYS_TMPNAM: self._tmpnam,
            Operation.SYS_REMOVE: self._remove,
            Operation.SYS_RENAME: self._rename,
            Operation.SYS_CLOCK: self._clock,
            Operation.SYS_TIME: self._time,
            Operation.SYS_SYSTEM: self._system,
            Operation.SYS_ERRNO: lambda machine, block: self._errno,
            Operation.SYS_GET_CMDLINE: self._get_cmdline,
            Operation.SYS_HEAPINFO: self._heapinfo,
            Operation.SYS_EXIT: self._exit,
            Operation.SYS_EXIT_EXTENDED: self._exit,
            Operation.SYS_ELAPSED: self._elapsed,
            Operation.SYS_TICKFREQ: lambda machine, block: machine.ticks()[1],
        }

    def call(self, machine: Machine, operation: int, block: int) -> int | Exited | None:
        """Perform an operation. ``block`` is X1.

        Returns the new X0, None if it keeps its value, or ``Exited``. Raises NeedsInput, and
        RemoteInterrupted.
        """
        perform = self._operations.get(operation)
        if perform is None:
            return self._failed(errno.ENOSYS)
        try:
            return perform(machine, block)
        except LookupError:
            return self._failed(errno.EFAULT)
        except OSError as error:
            return self._failed(error.errno or errno.EIO)

    def reset(self) -> None:
        """The guest starts again: close its files."""
        for handle in self._handles.values():
            if isinstance(handle, HostFile):  # a stopped guest cannot call the debugger
                handle.close()
        self._handles.clear()
        self._errno = 0

    def close(self) -> None:
        """Close everything. Closing twice does nothing."""
        self.reset()
        self._files.close()

    def _host(self) -> RemoteHost | None:
        """The debugger that performs operations now; None: they are performed here."""
        remote = self.remote if self._options.target != "native" else None
        return remote if remote is not None and remote.available else None

    def _file_system(self) -> Files | RemoteFileSystem:
        """The files for the guest now. Raises OSError if only a debugger may give it some."""
        host = self._host()
        if host is not None:
            return RemoteFileSystem(self._remote_files, host)
        if self._options.target == "gdb":
            raise OSError(errno.ENXIO, "no GDB is attached")
        return self._files

    def _console(self, machine: Machine, fd: int = _STDOUT) -> Console:
        return Console(machine, self._host, fd)

    def _failed(self, number: int) -> int:
        self._errno = number
        return _ERROR

    # ---- files -------------------------------------------------------------------------------

    def _open(self, machine: Machine, block: int) -> int:
        address, mode, length = _fields(machine, block, 3)
        name = _name(machine, address, length)
        if mode >= _MODES:
            return self._failed(errno.EINVAL)
        if len(self._handles) >= _MAX_HANDLES:
            return self._failed(errno.EMFILE)
        handle: Handle
        if name == b":tt":
            handle = self._console(machine, _STDERR if mode >= _FIRST_APPEND_MODE else _STDOUT)
        elif name == b":semihosting-features":
            if mode >= _FIRST_WRITE_MODE:
                return self._failed(errno.EACCES)
            handle = Features()
        else:
            handle = self._file_system().open(name, mode)
        number = next(n for n in range(1, _MAX_HANDLES + 1) if n not in self._handles)
        self._handles[number] = handle
        return number

    def _handle(self, number: int) -> Handle:
        handle = self._handles.get(number)
        if handle is None:
            raise OSError(errno.EBADF, "no such handle")
        return handle

    def _close(self, machine: Machine, block: int) -> int:
        (number,) = _fields(machine, block, 1)
        handle = self._handle(number)
        del self._handles[number]
        handle.close()
        return 0

    def _write(self, machine: Machine, block: int) -> int:
        """Returns how many bytes were not written."""
        number, address, length = _fields(machine, block, 3)
        left = length
        try:
            handle = self._handle(number)
            while left and length - left < machine.memory_size:
                data = machine.read(address, _readable(machine, address, min(left, _CHUNK)))
                count = handle.write(data)
                if not count:
                    break
                address, left = address + count & _U64, left - count
        except LookupError:
            self._errno = errno.EFAULT
        except OSError as error:
            self._errno = error.errno or errno.EIO
        except RemoteInterrupted:
            if left == length:
                raise
            self._errno = errno.EINTR
        return left

    def _read(self, machine: Machine, block: int) -> int:
        """Returns how many bytes of the buffer were not filled: all of them at the end."""
        number, address, length = _fields(machine, block, 3)
        handle = self._handle(number)
        left = length
        try:
            while left and length - left < machine.memory_size:
                # The buffer is checked first, so that no input is lost if it is not there.
                size = _readable(machine, address, min(left, _CHUNK))
                data = handle.read(size)
                machine.write(address, data)
                address, left = address + len(data) & _U64, left - len(data)
                # A terminal gives what has been typed, and the next read might wait for more.
                if len(data) < size or handle.is_terminal:
                    break
        except (LookupError, OSError, RemoteInterrupted) as error:
            if left == length:
                raise
            self._errno = _error_number(error)
        return left

    def _istty(self, machine: Machine, block: int) -> int:
        return int(self._handle(*_fields(machine, block, 1)).isatty())

    def _seek(self, machine: Machine, block: int) -> int:
        number, position = _fields(machine, block, 2)
        handle = self._handle(number)
        if position >> 63:
            return self._failed(errno.ESPIPE if handle.is_terminal else errno.EINVAL)
        handle.seek(position)
        return 0

    def _flen(self, machine: Machine, block: int) -> int:
        return self._handle(*_fields(machine, block, 1)).length()

    def _tmpnam(self, machine: Machine, block: int) -> int:
        address, number, length = _fields(machine, block, 3)
        name = b"guest-%03d.tmp\0" % (number & 0xFF)
        no_files = self._file_system() is self._files and not self._files.available
        if no_files or number > 0xFF or length < len(name):
            return self._failed(errno.EINVAL)
        machine.write(address, name)
        return 0

    def _remove(self, machine: Machine, block: int) -> int:
        name = _name(machine, *_fields(machine, block, 2))
        self._file_system().remove(name)
        return 0

    def _rename(self, machine: Machine, block: int) -> int:
        old, old_length, new, new_length = _fields(machine, block, 4)
        names = _name(machine, old, old_length), _name(machine, new, new_length)
        self._file_system().rename(*names)
        return 0

    # ---- console -----------------------------------------------------------------------------

    def _writec(self, machine: Machine, block: int) -> None:
        self._console(machine).write(machine.read(block, 1))

    def _write0(self, machine: Machine, block: int) -> None:
        console = self._console(machine)
        address, left = block, _MAX_STRING
        while left > 0:
            data = machine.read(address, _PAGE - address % _PAGE)
            text, end, _ = data.partition(b"\0")
            while text:
                count = console.write(text)
                if not count:
                    return
                text = text[count:]
            if end:
                return
            address, left = address + len(data) & _U64, left - len(data)

    def _readc(self, machine: Machine, block: int) -> int:
        data = self._console(machine).read(1)
        # The specification has no other value for the end of the input.
        return data[0] if data else _ERROR

    # ---- the rest ----------------------------------------------------------------------------

    def _iserror(self, machine: Machine, block: int) -> int:
        (value,) = _fields(machine, block, 1)
        return value >> 63

    def _clock(self, machine: Machine, block: int) -> int:
        count, hertz = machine.ticks()
        return count * 100 // hertz

    def _time(self, machine: Machine, block: int) -> int:
        count, hertz = machine.ticks()
        return self._options.epoch + count // hertz & _U64

    def _elapsed(self, machine: Machine, block: int) -> int:
        machine.write(block, machine.ticks()[0].to_bytes(8, "little"))
        return 0

    def _system(self, machine: Machine, block: int) -> int:
        return self._failed(errno.ENOSYS)

    def _get_cmdline(self, machine: Machine, block: int) -> int:
        address, length = _fields(machine, block, 2)
        text = self._options.args.encode() + b"\0"
        if len(text) > length:
            return self._failed(errno.EINVAL)
        machine.write(address, text)
        machine.write(block + 8 & _U64, (len(text) - 1).to_bytes(8, "little"))
        return 0

    def _heapinfo(self, machine: Machine, block: int) -> int:
        (address,) = _fields(machine, block, 1)
        machine.write(address, b"".join(value.to_bytes(8, "little") for value in machine.heap))
        return 0

    def _exit(self, machine: Machine, block: int) -> Exited:
        try:
            reason, subcode = _fields(machine, block, 2)
        except LookupError:
            reason, subcode = 0, 0
        if reason != _APPLICATION_EXIT:
            return Exited(1, f"stopped with reason {reason:#x} (semihosting)")
        # As a process: of a status that has more, the low 8 bits; but a failure stays one.
        status = subcode & 0xFF or int(bool(subcode))
        return Exited(status, f"exited with status {status} (semihosting)")


def _fields(machine: Machine, block: int, count: int) -> tuple[int, ...]:
    """The 64-bit fields of a parameter block."""
    data = machine.read(block, 8 * count)
    return tuple(int.from_bytes(data[8 * n : 8 * n + 8], "little") for n in range(count))


def _readable(machine: Machine, address: int, size: int) -> int:
    """``size``, or less if only so much of the buffer is there; raises LookupError."""
    try:
        machine.read(address, size)
    except LookupError:
        size = min(size, _PAGE - address % _PAGE)
        machine.read(address, size)
    return size


def _error_number(error: Exception) -> int:
    if isinstance(error, LookupError):
        return errno.EFAULT
    return (error.errno or errno.EIO) if isinstance(error, OSError) else errno.EINTR


def _name(machine: Machine, address: int, length: int) -> bytes:
    if length > _MAX_NAME:
        raise OSError(errno.ENAMETOOLONG, "the name is too long")
    return machine.read(address, length)
