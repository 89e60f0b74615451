"""What differs from case to case: changes of a guest that is stopped.

A change of your own is a class with these methods. It is sent to workers: it must be picklable, and
do the same each time.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign.errors import DoesNotFit, VariationError
from guestdbg.machine.virtio.block import Block
from guestdbg.machine.virtio.disk_image import Overlay

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = [
    "At",
    "BytesChange",
    "Change",
    "ConsoleInput",
    "DiskData",
    "Memory",
    "Registers",
    "Variation",
    "changes_of",
]

#: ``[x0]``: the address that a register holds.
_INDIRECT = re.compile(r"\[([A-Za-z][A-Za-z0-9_]*)\]\Z")
#: A register that gets a number.
_GENERAL = re.compile(r"[xw][0-9]{1,2}\Z")
#: A name without anything that would need the guest's memory to find it.
_SYMBOL = re.compile(r"[A-Za-z_$.][\w$.@]*\Z")
_SHOWN = 32


class Change(ABC):
    """Changes a guest that is stopped where a case begins, or where ``At`` says."""

    @abstractmethod
    def apply(self, guest: Guest) -> None:
        """Make the change.

        Raises:
            DoesNotFit: it cannot be made. Errors of the debugger mean the same.
        """


class BytesChange(Change):
    """A change with bytes, which are made fewer and plainer when a failure is minimised.

    Attributes:
        data: the bytes.
        plain: what an unimportant byte becomes.
    """

    data: bytes
    plain: int = 0

    @abstractmethod
    def with_data(self, data: bytes) -> BytesChange:
        """The same with other bytes."""


Variation: TypeAlias = Change | Sequence[Change]


def changes_of(variation: Variation) -> tuple[Change, ...]:
    """A variation as changes, in their order. Raises DoesNotFit: it is something else."""
    changes = (variation,) if isinstance(variation, Change) else variation
    if not isinstance(changes, Sequence) or not all(isinstance(c, Change) for c in changes):
        raise DoesNotFit(f"{variation!r:.80} is no change of a guest, nor a sequence of these")
    return tuple(changes)


@dataclass(frozen=True, slots=True)
class Memory(BytesChange):
    """Bytes in the guest's virtual memory.

    Attributes:
        where: an address, a symbol or a variable; ``"[x0]"``: the address in a register.
        data: the bytes, as many as fit there.
        length_at: a variable (1, 2, 4 or 8 bytes), an address (8 bytes), or a register, which gets
            their number; None: none does.
        capacity: how many bytes fit; None: as many as the variable has.
    """

    where: int | str
    data: bytes
    length_at: int | str | None = None
    capacity: int | None = None

    def apply(self, guest: Guest) -> None:
        address, length = _place(guest, self.where)
        capacity = length if self.capacity is None else self.capacity
        if capacity is not None and len(self.data) > capacity:
            raise DoesNotFit(f"{len(self.data)} bytes do not fit in {capacity} at {self.where!r}")
        guest.write(address, self.data)
        if self.length_at is not None:
            _put_number(guest, self.length_at, len(self.data))

    def with_data(self, data: bytes) -> Memory:
        return replace(self, data=data)

    def __str__(self) -> str:
        return f"{len(self.data)} bytes at {_shown(self.where)}: {_hex(self.data)}"


@dataclass(frozen=True, slots=True)
class Registers(Change):
    """Values of registers: ``Registers({"x0": 5, "pc": 0x40080000})``.

    Attributes:
        values: by name, as for ``Cpu.reg``.
        vcpu: the number of the vCPU; None: the current one.
    """

    values: dict[str, int]
    vcpu: int | None = None

    def apply(self, guest: Guest) -> None:
        cpu = guest.cpu
        if self.vcpu is not None:
            if not 0 <= self.vcpu < len(guest.vcpus):
                raise DoesNotFit(f"there is no vCPU {self.vcpu}: it has {len(guest.vcpus)}")
            cpu = guest.vcpus[self.vcpu]
        for name, value in self.values.items():
            cpu.set_reg(name, value)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value:#x}" for name, value in self.values.items())


@dataclass(frozen=True, slots=True)
class ConsoleInput(BytesChange):
    """Bytes that are typed at the serial line; the guest takes them when it reads."""

    data: bytes
    plain: int = ord("0")

    def apply(self, guest: Guest) -> None:
        guest.board.console.feed(self.data)

    def with_data(self, data: bytes) -> ConsoleInput:
        return replace(self, data=data)

    def __str__(self) -> str:
        return f"{len(self.data)} bytes typed: {_text(self.data)}"


@dataclass(frozen=True, slots=True)
class DiskData(BytesChange):
    """Bytes on a disk (virtio-blk) with an overlay; its file does not change.

    What a guest has read of the disk already does not change either.

    Attributes:
        offset: where, in bytes.
        data: the bytes.
        drive: the place of the disk in ``drives`` of ``guestdbg.load``.
    """

    offset: int
    data: bytes
    drive: int = 0

    def apply(self, guest: Guest) -> None:
        disks = [each.backend for each in guest.board.virtio if isinstance(each.backend, Block)]
        if not 0 <= self.drive < len(disks):
            raise DoesNotFit(f"there is no drive {self.drive}: the guest has {len(disks)}")
        image = disks[self.drive].image
        if not isinstance(image, Overlay):
            raise DoesNotFit(
                f"drive {self.drive} is {image.kind}: load the guest with an overlay on it "
                "(drives=['FILE,overlay'])"
            )
        if self.offset < 0 or self.offset + len(self.data) > image.size:
            raise DoesNotFit(
                f"{len(self.data)} bytes at {self.offset} are not inside the {image.size} bytes "
                f"of drive {self.drive}"
            )
        image.write(self.offset, [memoryview(self.data)])

    def with_data(self, data: bytes) -> DiskData:
        return replace(self, data=data)

    def __str__(self) -> str:
        at = f"drive {self.drive} at {self.offset}"
        return f"{len(self.data)} bytes on {at}: {_hex(self.data)}"


@dataclass(frozen=True, slots=True)
class At(Change):
    """A change that is made later, while the case runs: a fault.

    Several are made in the order in which the variation has them. One whose place is not reached
    is not made.

    Attributes:
        when: how many instructions all vCPUs have retired since the case began; or a location,
            before whose instruction it is made.
        change: what is made then, on the vCPU that stopped there.
        count: at which time that the location is reached.
    """

    when: int | str
    change: Change
    count: int = 1

    def apply(self, guest: Guest) -> None:
        self.change.apply(guest)

    def __str__(self) -> str:
        if isinstance(self.when, int):
            return f"after {self.when:,} instructions: {self.change}"
        times = "" if self.count == 1 else f" (time {self.count})"
        return f"at {self.when}{times}: {self.change}"


# ---- places ----------------------------------------------------------------------------------

#: Names are looked up once: cases use the same ones again and again.
_places: WeakKeyDictionary[Guest, dict[str, tuple[int, int | None]]] = WeakKeyDictionary()


def _place(guest: Guest, where: int | str) -> tuple[int, int | None]:
    """The address, and how many bytes are there (None: not known)."""
    if isinstance(where, int):
        return where, None
    if (indirect := _INDIRECT.match(where)) is not None:
        return guest.cpu.reg(indirect[1]), None
    known = _places.setdefault(guest, {})
    place = known.get(where)
    if place is None:
        data = guest.resolve(where)
        place = data.address, data.length
        # Only a plain name is at the same place whatever is in memory.
        if _SYMBOL.match(where) and "." not in where and data.source is None:
            known[where] = place
    return place


def _put_number(guest: Guest, where: int | str, number: int) -> None:
    if isinstance(where, str) and _GENERAL.match(where):
        guest.cpu.set_reg(where, number)
        return
    address, length = _place(guest, where)
    size = 8 if length is None else length
    if size not in (1, 2, 4, 8):
        raise DoesNotFit(f"{where!r} has {size} bytes, and is no number")
    if number >= 1 << 8 * size:
        raise DoesNotFit(f"the length {number} does not fit in {size} bytes at {where!r}")
    guest.write(address, number.to_bytes(size, "little"))


def apply_all(guest: Guest, changes: Iterable[Change]) -> None:
    """Make changes.

    Raises:
        DoesNotFit: one of them cannot be made.
        VariationError: one of them raises something else.
    """
    for change in changes:
        try:
            change.apply(guest)
        except DoesNotFit:
            raise
        except GuestdbgError as error:
            raise DoesNotFit(f"{change!s:.120}: {error}") from error
        except Exception as error:
            raise VariationError(f"{change!s:.120}: {error}") from error


def _shown(where: int | str) -> str:
    return f"{where:#x}" if isinstance(where, int) else where


def _hex(data: bytes) -> str:
    return data[:_SHOWN].hex(" ") + (" …" if len(data) > _SHOWN else "")


def _text(data: bytes) -> str:
    return repr(data[: 2 * _SHOWN])[1:] + (" …" if len(data) > 2 * _SHOWN else "")
