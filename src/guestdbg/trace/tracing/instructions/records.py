"""The binary file of a trace of instructions: what it begins with, and its records.

The file begins with a line of text, ``guestdbg instructions 1``, and a line of JSON: an object with
``guest`` and ``vcpus``. After these are records, one after the other, as
`docs/instruction-trace.md` describes them. A file that was cut can be read up to its
last whole record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO, NamedTuple

from guestdbg.trace.tracing.errors import TracingError

__all__ = ["NZCV", "SP", "V0", "Access", "Record", "RecordFile", "header", "parse", "register_name"]

_MAGIC = b"guestdbg instructions "
_VERSION = 1
_MOST_HEADER = 1 << 16
_PIECE = 1 << 20

_HEAD = Struct("<HBBBBBBIQQ")
_REGISTER = Struct("<BQ")
_VECTOR = Struct("<BQQ")
_ACCESS = Struct("<BQ")
_SIZE = Struct("<H")
_ADDRESS = Struct("<Q")

_RETIRED, _EMULATED, _EXCEPTION, _OUTSIDE = 1, 2, 4, 8
_WRITE = 128
_INLINE = 16  # bytes of the largest access whose value is there
SP, NZCV, _FPSR, V0 = 31, 32, 33, 64
_VECTOR_KINDS = ("synchronous", "IRQ", "FIQ", "SError")


class Access(NamedTuple):
    """An access to memory.

    Attributes:
        address: the first byte.
        size: bytes.
        write: whether it was written.
        value: what was read or written, little-endian; 0 where more than 16 bytes were zeroed.
    """

    address: int
    size: int
    write: bool
    value: int


class Record(NamedTuple):
    """One instruction, exception, or change of registers from outside.

    Attributes:
        kind: ``"instruction"``: it has retired; ``"emulated"``: so has this one, but the provider
            has performed it; ``"fault"``: it has raised an exception, and changed nothing;
            ``"exception"``: an exception to EL1 was taken; ``"outside"``: registers were written by
            the provider or its user.
        time: instructions that all vCPUs had retired then, this one included.
        vcpu: number of the vCPU.
        el: its exception level before that.
        pc: address of the instruction; of an exception the preferred return address.
        raw: the encoding; of an exception ESR_EL1, 0 of an interrupt.
        registers: those that changed: (number, value). 0 to 30 are X0 to X30, 31 SP, 32 NZCV as in
            SPSR_EL1, 33 FPSR, 64 to 95 V0 to V31.
        accesses: in their order.
        exception: ``"synchronous"``, ``"IRQ"``, ``"FIQ"`` or ``"SError"``; else None.
        vector: where the exception went; else 0.
    """

    kind: str
    time: int
    vcpu: int
    el: int
    pc: int
    raw: int
    registers: tuple[tuple[int, int], ...]
    accesses: tuple[Access, ...]
    exception: str | None
    vector: int


def register_name(number: int) -> str:
    """``x0`` to ``x30``, ``sp``, ``nzcv``, ``fpsr``, ``v0`` to ``v31``."""
    if number < SP:
        return f"x{number}"
    if number >= V0:
        return f"v{number - V0}"
    return {SP: "sp", NZCV: "nzcv", _FPSR: "fpsr"}.get(number, f"r{number}")


def header(guest: str, vcpus: int) -> bytes:
    """What a file begins with."""
    about = json.dumps({"guest": guest, "vcpus": vcpus}).encode()
    return _MAGIC + b"%d\n" % _VERSION + about + b"\n"


def parse(data: bytes, offset: int = 0) -> tuple[list[Record], int]:
    """All whole records of data from offset on, and where the rest begins.

    Raises TracingError for bytes that are no record.
    """
    found = []
    end = len(data)
    while offset + 2 <= end:
        size = data[offset] | data[offset + 1] << 8
        if size < _HEAD.size:
            raise TracingError(f"a record of {size} bytes: the shortest has {_HEAD.size}")
        if offset + size > end:
            break
        found.append(_record(data[offset : offset + size]))
        offset += size
    return found, offset


def _record(data: bytes) -> Record:
    _, what, vcpu, el, n_registers, n_accesses, place, raw, time, pc = _HEAD.unpack_from(data)
    try:
        registers, offset = _registers(data, n_registers)
        accesses, offset = _accesses(data, n_accesses, offset)
        if not what & _EXCEPTION:
            return Record(_kind(what), time, vcpu, el, pc, raw, registers, accesses, None, 0)
        (vector,) = _ADDRESS.unpack_from(data, offset)
    except Exception as error:  # struct.error, of a record that ends too early
        raise TracingError(f"a record at time {time} is damaged: {error}") from error
    name = _VECTOR_KINDS[place & 3]
    return Record("exception", time, vcpu, el, pc, raw, registers, accesses, name, vector)


def _kind(what: int) -> str:
    if what & _OUTSIDE:
        return "outside"
    if what & _EMULATED:
        return "emulated"
    return "instruction" if what & _RETIRED else "fault"


def _registers(data: bytes, count: int) -> tuple[tuple[tuple[int, int], ...], int]:
    offset = _HEAD.size
    found = []
    for _ in range(count):
        if data[offset] >= V0:
            number, low, high = _VECTOR.unpack_from(data, offset)
            found.append((number, low | high << 64))
            offset += _VECTOR.size
        else:
            found.append(_REGISTER.unpack_from(data, offset))
            offset += _REGISTER.size
    return tuple(found), offset


def _accesses(data: bytes, count: int, offset: int) -> tuple[tuple[Access, ...], int]:
    found = []
    for _ in range(count):
        head, address = _ACCESS.unpack_from(data, offset)
        offset += _ACCESS.size
        size = head & ~_WRITE
        value = 0
        if size:
            if size > _INLINE or offset + size > len(data):
                raise ValueError(f"an access of {size} bytes does not fit")
            value = int.from_bytes(data[offset : offset + size], "little")
            offset += size
        else:
            (size,) = _SIZE.unpack_from(data, offset)
            offset += _SIZE.size
        found.append(Access(address, size, bool(head & _WRITE), value))
    return tuple(found), offset


class RecordFile:
    """A file of records, which is read in pieces: iterate over it, as often as it can be rewound.

    Args:
        file: a binary file, at its beginning; the caller closes it.

    Attributes:
        guest, vcpus: what the file says of the guest: its name, and how many vCPUs it has.
        cut: after iterating: the file ends in the middle of a record, which was left out.

    Raises TracingError if it is no such file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.cut = False
        first = file.readline(_MOST_HEADER)
        if not first.startswith(_MAGIC):
            raise TracingError(
                f"{self._name}: not a trace of instructions: these begin with the line "
                f"`{_MAGIC.decode()}{_VERSION}`"
            )
        version = first[len(_MAGIC) :].strip()
        if version != b"%d" % _VERSION:
            raise TracingError(
                f"{self._name}: version {version.decode(errors='replace')} of the format; this "
                f"guestdbg reads version {_VERSION}"
            )
        try:
            about = json.loads(file.readline(_MOST_HEADER))
            self.guest, self.vcpus = str(about["guest"]), int(about["vcpus"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TracingError(
                f"{self._name}: its second line is to be JSON with `guest` and `vcpus`"
            ) from error

    @property
    def _name(self) -> str:
        return str(getattr(self._file, "name", "the file"))

    def __iter__(self) -> Iterator[Record]:
        """The records, in the order of time. Raises TracingError where it is damaged."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Record]]:
        """The same as lists, of what a piece of the file has."""
        rest = b""
        while piece := self._file.read(_PIECE):
            data = rest + piece
            batch, offset = parse(data)
            rest = data[offset:]
            yield batch
        self.cut = bool(rest)
