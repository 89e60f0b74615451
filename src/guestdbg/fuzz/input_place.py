"""Where an input goes in the guest: a buffer, and what says how long the input is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.fuzz.errors import FuzzError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guestdbg.debugger import Guest

__all__ = ["InputPlace"]

_REGISTER = re.compile(r"([xw])([0-9]|[12][0-9]|30)\Z")
_SIZED = re.compile(r"(.+):([0-9]+)\Z")
#: More than AFL++ makes of an input.
_MOST = 1 << 20
_PAGE = 4096


class InputPlace:
    """What ``--input BUFFER,LENGTH`` says, in a guest that is where its inputs begin.

    BUFFER is a symbol or variable, which has the input in it, or an address; or a register or
    ``*POINTER``, which has the address. LENGTH is a register, a variable of 1, 2, 4 or 8 bytes, or
    ``ADDRESS:SIZE``. Without a LENGTH a zero byte follows the input.

    Args:
        guest: the guest.
        text: as above.
        max_length: the longest input; None: the size of BUFFER.

    Attributes:
        address: of the buffer.
        max_length: bytes that an input has at most. Of longer ones only the beginning is used.

    Raises:
        FuzzError: the buffer is of unknown size, or is not in memory, or the length does not fit.
    """

    def __init__(self, guest: Guest, text: str, max_length: int | None = None) -> None:
        buffer, comma, length = (part.strip() for part in text.partition(","))
        if not buffer or (comma and not length):
            raise FuzzError(
                f"the input is {text!r}: give BUFFER,LENGTH such as data,data_length or x0,x1; or "
                "BUFFER alone, for text that ends with a zero byte"
            )
        self.address, size = _buffer(guest, buffer)
        self._put_length: Callable[[int], None] | None = None
        most = None
        if length:
            self._put_length, most = _length(guest, length)
        if size is not None and self._put_length is None:
            size -= 1
        self.max_length = _max_length(buffer, size, max_length)
        if most is not None and self.max_length > most:
            if max_length is not None:
                raise FuzzError(
                    f"inputs of {max_length} bytes: their length is put into {length}, which holds "
                    f"{most} at most"
                )
            self.max_length = most
        size = self.max_length + (self._put_length is None)
        try:
            self._buffer = _Bytes(guest, self.address, size)
        except AddressError as error:
            raise FuzzError(
                f"an input of {size} bytes at {buffer} ({self.address:#x}) is not in memory as the "
                f"guest is now: {error}"
            ) from error

    def put(self, data: bytes) -> None:
        """Put an input there, in the guest as it was when this was made."""
        if len(data) > self.max_length:
            data = data[: self.max_length]
        if self._put_length is None:
            self._buffer.write(data + b"\0")
        else:
            self._buffer.write(data)
            self._put_length(len(data))


class _Bytes:
    """Bytes of guest memory, translated once. Raises AddressError."""

    def __init__(self, guest: Guest, address: int, size: int) -> None:
        guest.write(address, guest.read(address, size))  # all of it can be
        self._write = guest.execution.write_phys
        #: (offset, guest-physical address) of each part.
        self._parts: list[tuple[int, int]] = []
        before = -1
        for offset in (0, *range(-address % _PAGE, size, _PAGE)):
            if offset >= size or (self._parts and offset == 0):
                continue
            physical = guest.translate(address + offset)
            if physical != before:
                self._parts.append((offset, physical))
            before = physical - (physical % _PAGE) + _PAGE

    def write(self, data: bytes) -> None:
        """Write the first of them."""
        if len(self._parts) == 1:
            self._write(self._parts[0][1], data)
            return
        ends = [offset for offset, _ in self._parts[1:]]
        for (offset, physical), end in zip(self._parts, [*ends, len(data)], strict=True):
            if part := data[offset:end]:
                self._write(physical, part)


def _buffer(guest: Guest, text: str) -> tuple[int, int | None]:
    """The address, and the size if that is known."""
    if (register := _REGISTER.match(text)) is not None:
        if register[1] == "w":
            raise FuzzError(f"the buffer is {text}: an address has 64 bits, in x{register[2]}")
        return guest.cpu.x[int(register[2])], None
    found = guest.resolve(text)
    if found.type_name is not None and found.type_name.rstrip().endswith("*"):
        raise FuzzError(
            f"{text} is a pointer ({found.type_name}): write *{text} for the bytes it points to"
        )
    named = text[0] not in "*0123456789"
    return found.address, found.length if named else None


def _length(guest: Guest, text: str) -> tuple[Callable[[int], None], int]:
    """What sets the length, and the largest one."""
    cpu = guest.cpu
    if (register := _REGISTER.match(text)) is not None:
        number = int(register[2])

        def to_register(value: int) -> None:
            cpu.x[number] = value

        return to_register, _MOST
    sized = _SIZED.match(text)
    found = guest.resolve(text) if sized is None else guest.resolve(sized[1], int(sized[2]))
    size = found.length if sized is not None or text[0] not in "*0123456789" else None
    if size not in (1, 2, 4, 8):
        raise FuzzError(
            f"the length goes to {text}, of {'unknown size' if size is None else f'{size} bytes'}: "
            "give a register, or a variable of 1, 2, 4 or 8 bytes; ADDRESS:SIZE says a size"
        )
    address, width = found.address, size

    try:
        variable = _Bytes(guest, address, width)
    except AddressError as error:
        raise FuzzError(f"the length at {text} is not in memory: {error}") from error

    def to_memory(value: int) -> None:
        variable.write(value.to_bytes(width, "little"))

    return to_memory, min((1 << 8 * width) - 1, _MOST)


def _max_length(buffer: str, size: int | None, given: int | None) -> int:
    if given is None:
        if size is None:
            raise FuzzError(
                f"nothing says how many bytes there are at {buffer}: give --max-length (max_length)"
            )
        given = size
    elif size is not None and given > size:
        raise FuzzError(f"inputs of {given} bytes: {buffer} has room for {size}")
    if not given > 0:
        raise FuzzError(f"inputs of {given} bytes at {buffer}: they have 1 at least")
    return min(given, _MOST)
