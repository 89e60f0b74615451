"""Following a value back: who put it there, and where that had it from, as long as it is a copy.

A place in memory leads to the last store to it, and that to the register that was stored. A
register leads to the last instruction that wrote it, and that to another register or to memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.arm64.data_flow import (
    SourceKind,
    memory_sources,
    register_sources,
)
from guestdbg.arm64.disassembly import instruction as assembly
from guestdbg.arm64.instructions import InstructionClass, accesses, classify
from guestdbg.debugger.errors import AddressError, NotInScope, OptimizedOut, Unsupported
from guestdbg.debugger.program.drgn_import import drgn
from guestdbg.history.questions.instructions import Instructions, WriterKind
from guestdbg.history.questions.origin_result import Origin, OriginStep
from guestdbg.history.search import Search

if TYPE_CHECKING:
    from guestdbg.arm64.data_flow import (
        ByteSource,
    )
    from guestdbg.arm64.instructions import Access
    from guestdbg.debugger import Guest, Hit
    from guestdbg.history.questions.instructions import Writer
    from guestdbg.history.questions.origin_result import Reason
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["is_register", "origin"]

#: So many copies are followed.
_MOST_STEPS = 1000
#: So many failed store-exclusives in a row are passed over.
_MOST_FAILED = 1000
#: So many bytes are followed at a time.
_MOST_BYTES = 64
_FIRST_VECTOR = 64
_SP = 31

_REGISTER = re.compile(r"(?:([xw])([0-9]|[12][0-9]|30)|([vqdshb])([0-9]|[12][0-9]|3[01]))")
_ALIASES = {"lr": "x30", "fp": "x29", "ip0": "x16", "ip1": "x17"}
_BYTES = {"x": 8, "w": 4, "v": 16, "q": 16, "d": 8, "s": 4, "h": 2, "b": 1}
_OPERAND = re.compile(r"\b([xwvqdshb](?:[12]?[0-9]|3[01])|sp|wsp)\b")


class _Memory(NamedTuple):
    """Bytes of virtual memory, as a vCPU sees it."""

    address: int
    size: int
    name: str


class _Register(NamedTuple):
    """Bytes of a register of a vCPU."""

    vcpu: int
    register: str
    first: int
    size: int

    @property
    def name(self) -> str:
        """As it is shown: ``w1`` for the lower half of X1."""
        whole, number = self.register, self.register[1:]
        if whole[0] == "v":
            narrow = {16: "q", 8: "d", 4: "s", 2: "h", 1: "b"}.get(self.size)
            if self.first == 0 and narrow is not None:
                return f"{narrow}{number}"
        elif self.first == 0 and self.size in (4, 8):
            return whole if self.size == 8 or whole == "sp" else f"w{number}"
        last = self.first + self.size - 1
        return f"{whole}, " + (
            f"byte {last}" if self.size == 1 else f"bytes {self.first} to {last}"
        )


_Place = _Memory | _Register


@dataclass(frozen=True, slots=True)
class _End:
    """The value is not followed further."""

    reason: Reason
    text: str


class _Copied(NamedTuple):
    """What a run of bytes was copied from: the source of the first, where it is, and how many."""

    source: ByteSource
    start: int
    length: int


def origin(guest: Guest, travel: Travel, where: Any, length: int | None) -> Origin:
    """Where the value that ``where`` has now came from. The guest is put back to where it is."""
    place = _place(guest, where, length)
    now = travel.now.position
    changed_now = now if travel.live and travel.recorder.changed else None
    with travel.elsewhere(), guest.execution.only(None):
        follower = _Follower(guest, travel, changed_now)
        return follower.follow(place, now)


def is_register(name: str) -> bool:
    """Whether it is a register whose value can be followed."""
    plain = _ALIASES.get(name.lower(), name.lower())
    return plain == "sp" or _REGISTER.fullmatch(plain) is not None


def _place(guest: Guest, where: Any, length: int | None) -> _Place:
    """The bytes that are asked for. Raises errors of names and ranges."""
    if isinstance(where, str) and length is None:
        name = _ALIASES.get(where.lower(), where.lower())
        current = guest.execution.current
        if name == "sp":
            return _Register(current, "sp", 0, _BYTES["x"])
        found = _REGISTER.fullmatch(name)
        if found is not None:
            letter = found[1] or found[3]
            kind = "x" if letter in "xw" else "v"
            return _Register(current, f"{kind}{found[2] or found[4]}", 0, _BYTES[letter])
    try:
        data = guest.resolve(where, length).sized()
    except NotInScope:
        return _local(guest, where)
    size = data.length or 0
    if size > _MOST_BYTES:
        raise Unsupported(
            f"{data.name} has {size} bytes, which need not have come from one place: at most "
            f"{_MOST_BYTES} are followed; ask for a member or an element"
        )
    guest.read(data.address, size)
    return _Memory(data.address, size, data.name)


def _local(guest: Guest, name: str) -> _Place:
    """A local variable or parameter of the function that the current vCPU is in."""
    value = guest.cpu[name]
    size = int(drgn().sizeof(value))
    if value.address_ is not None:
        return _Memory(value.address_, size, name)
    number = guest.execution.local_register(name)
    if number is None or size > 16:
        raise OptimizedOut(
            f"{name!r} has a value here, and is neither in memory nor in one register: ask for the "
            "registers that it is in"
        )
    register = f"v{number - _FIRST_VECTOR}" if number >= _FIRST_VECTOR else f"x{number}"
    return _Register(guest.execution.current, "sp" if number == _SP else register, 0, size)


class _Follower:
    """Follows one value."""

    def __init__(self, guest: Guest, travel: Travel, changed_now: Position | None) -> None:
        """``changed_now``: where the guest is, if the user has changed it there."""
        self._guest = guest
        self._travel = travel
        self._changed_now = changed_now
        self._search = Search(guest, travel)
        self._instructions = Instructions(guest, travel)
        self._steps: list[OriginStep] = []
        #: What the bytes must be that the last step has copied.
        self._copy = self._first = 0

    def follow(self, place: _Place, now: Position) -> Origin:
        """Follow what is in a place at a position."""
        value = self._value(place)  # the guest is there
        name, first = place.name, value
        self._first = first
        before = now
        for _ in range(_MOST_STEPS):
            found = (
                self._memory(place, before, value)
                if isinstance(place, _Memory)
                else self._register(place, before, value)
            )
            if isinstance(found, _End):
                return self._origin(name, first, found)
            place, before = found
            value = self._value(place)  # the guest is there
            if value != self._copy:
                text = f"{place.name} had another value, {value:#x}: what came between is not known"
                return self._origin(name, first, _End("unknown", text))
        return self._origin(
            name, first, _End("unknown", f"followed through {_MOST_STEPS} copies, and no further")
        )

    def _origin(self, name: str, value: int, end: _End) -> Origin:
        return Origin(name, value, self._steps, end.reason, end.text)

    # ---- values ------------------------------------------------------------------------------

    def _value(self, place: _Place) -> int:
        """What is in a place where the guest is."""
        if isinstance(place, _Memory):
            return int.from_bytes(self._guest.read(place.address, place.size), "little")
        whole = self._guest.vcpus[place.vcpu].reg(place.register)
        return whole >> 8 * place.first & (1 << 8 * place.size) - 1

    def _memory_place(self, address: int, size: int) -> _Memory:
        name = self._guest.execution.element_name(address, size)
        return _Memory(address, size, name or f"{_bytes(size)} at {address:#x}")

    # ---- memory ------------------------------------------------------------------------------

    def _memory(
        self, place: _Memory, before: Position, value: int
    ) -> tuple[_Place, Position] | _End:
        hit = self._last_write(place, before)
        if hit is None:
            self._travel.visit(self._travel.begin)
            return self._not_written(place, before, value, self._travel.begin)
        after = self._travel.now.position
        if self._try_value(place) != value:
            return self._not_written(place, before, value, after)
        if hit.device is not None:
            self._add(hit, place.name, "", value, place.size, "")
            return _End("outside", f"{hit.device} wrote it: it came in from outside")
        return self._stored(place, hit, after, value)

    def _last_write(self, place: _Memory, before: Position) -> Hit | None:
        """The last write to a place; the guest is just after it then."""
        watch = self._guest.watch(place.address, place.size)
        try:
            for _ in range(_MOST_FAILED):
                stop = self._search.last_access([watch], before)
                if stop is None or stop.hit is None:
                    return None
                hit = stop.hit
                if hit.new_bytes is not None:
                    hit.time = self._travel.now
                    hit.backtrace()
                    return hit
                # A store-exclusive that failed.
                earlier = self._travel.recorder.turns.before(self._travel.now.position)
                if earlier is None:
                    return None
                before = earlier
        finally:
            watch.delete()
        return None

    def _try_value(self, place: _Place) -> int | None:
        try:
            return self._value(place)
        except AddressError:
            return None

    def _not_written(self, place: _Memory, before: Position, value: int, since: Position) -> _End:
        """No vCPU and no device has written it after ``since``, where the guest is."""
        if self._try_value(place) == value:
            return _End(
                "beginning",
                f"{place.name} has had it since before the beginning of the history, {since}"
                f"{self._in_file(place)}",
            )
        user = self._user_write(place, since, before)
        if user is not None:
            return _End("user", f"the user of the debugger wrote it to {place.name}, at {user}")
        return _End(
            "unknown",
            f"{place.name} had another value at {since}, and has been changed since by what no "
            "watch sees: a semihosting call, or a store to another address of the same memory",
        )

    def _in_file(self, place: _Memory) -> str:
        image = next((i for i in self._guest.images if i.covers(place.address)), None)
        return "" if image is None else f": {image.path.name} was loaded with it"

    def _user_write(self, place: _Place, since: Position, until: Position) -> Position | None:
        """Where the user has changed what is in a place; the last time up to ``until``."""
        travel = self._travel
        if until == self._changed_now and not self._steps:
            travel.visit(until)
            if self._try_value(place) != self._first:
                return until
        checkpoints = travel.recorder.checkpoints
        for number in range(travel.checkpoint_before(until), 0, -1):
            position = checkpoints[number].position
            if position < since:
                break
            if not checkpoints[number].after_write:
                continue
            travel.put_at_checkpoint(number)
            after = self._try_value(place)
            travel.put_at_checkpoint(number - 1)
            if checkpoints[number - 1].position < position:
                travel.run_to(position)
            if self._try_value(place) != after:
                return position
        return None

    def _stored(
        self, place: _Memory, hit: Hit, after: Position, value: int
    ) -> tuple[_Place, Position] | _End:
        """Follow what an instruction has stored."""
        vcpu = hit.vcpu.id
        before = self._before(vcpu, hit.pc, after)
        if before is None:
            return _End("unknown", f"the instruction at {hit.pc:#x} that wrote it was not found")
        raw, access = self._access(hit.pc)
        sources = None if raw is None else memory_sources(raw)
        if raw is None or access is None or sources is None:
            self._add(hit, place.name, "", value, place.size, self._assembly(raw, hit.pc))
            return _End("unknown", f"what {self._described(raw, hit.pc)} stores is not known")
        if len(sources) == 1:
            sources *= access.size  # DC ZVA
        offset = place.address - access.address
        low, high = max(0, offset), min(len(sources), offset + place.size)
        note = ""
        if high - low < place.size:
            note = (
                f"it wrote {_bytes(high - low)} of the {place.size}, from {access.address + low:#x}"
                " on, which are followed"
            )
            value = value >> 8 * (low - offset) & (1 << 8 * max(0, high - low)) - 1
        if high <= low:
            return _End("unknown", f"the instruction at {hit.pc:#x} did not write there")
        return self._copied(
            hit, place.name, sources[low:high], value, note, vcpu, before, raw, access
        )

    def _before(self, vcpu: int, pc: int, after: Position) -> Position | None:
        """The position before an instruction that has just been executed; the guest is there."""
        found = self._travel.recorder.turns.back(after, 1)
        if found is not None:
            self._travel.visit(found)
            if self._guest.vcpus[vcpu].pc == pc:
                return found
        writer = self._instructions.last_execution(vcpu, pc, after)
        if writer.kind is not WriterKind.INSTRUCTION:
            return None
        self._travel.visit(writer.position, pc)
        return writer.position

    # ---- registers ---------------------------------------------------------------------------

    def _register(
        self, place: _Register, before: Position, value: int
    ) -> tuple[_Place, Position] | _End:
        writer = self._instructions.last_writer(
            place.vcpu, place.register, before, lambda: self._value(place), value
        )
        if writer.kind is WriterKind.BEGINNING:
            user = self._user_write(place, self._travel.begin, before)
            if user is not None:
                return _End("user", f"the user of the debugger wrote it to {place.name}, at {user}")
            return _End(
                "beginning",
                f"{place.name} has had it since before the beginning of the history, "
                f"{self._travel.begin}",
            )
        if writer.kind is WriterKind.TOO_FAR:
            return _End(
                "unknown",
                f"vCPU {place.vcpu} has not written {place.name} in the last "
                f"{writer.looked_at:,} instructions: no more are looked at",
            )
        user = self._user_write(place, writer.position, before)
        if user is not None:
            return _End("user", f"the user of the debugger wrote it to {place.name}, at {user}")
        if writer.kind is WriterKind.AT_END:
            self._travel.visit(writer.position, writer.pc)
            raw, access = self._access(writer.pc)
            if raw is not None and self._outside(raw, access) is not None:
                return self._written(place, writer, value)
        if writer.kind in (WriterKind.CHANGED, WriterKind.AT_END):
            return _End(
                "unknown",
                f"{place.name} has changed at {writer.position}, and no instruction there writes "
                "it: an exception was taken, or the hypervisor has changed it",
            )
        return self._written(place, writer, value)

    def _written(
        self, place: _Register, writer: Writer, value: int
    ) -> tuple[_Place, Position] | _End:
        """Follow what an instruction has written to a register."""
        self._travel.visit(writer.position, writer.pc)
        cpu = self._guest.vcpus[place.vcpu]
        raw, access = self._access(writer.pc)
        hit = self._arrival(writer.pc)
        if raw is None:
            return _End("unknown", f"the instruction at {writer.pc:#x} cannot be read")
        outside = self._outside(raw, access)
        if outside is not None:
            text = self._assembly(raw, writer.pc)
            self._add(hit, place.name, "", value, place.size, text)
            return _End("outside", outside)
        sources = register_sources(raw, place.register, cpu.pstate)
        if sources is None:
            return _End("unknown", f"{self._described(raw, writer.pc)} does not write {place.name}")
        part = sources[place.first : place.first + place.size]
        return self._copied(
            hit, place.name, part, value, "", place.vcpu, writer.position, raw, access
        )

    def _outside(self, raw: int, access: Access | None) -> str | None:
        """What a register has got from outside; None: it has not."""
        kind = classify(raw)
        if kind is InstructionClass.HALT:
            return "it is the result of a semihosting call"
        if kind in (InstructionClass.HYPERVISOR_CALL, InstructionClass.SECURE_CALL):
            return "it is the result of a call to the hypervisor"
        if access is None or not access.is_read:
            return None
        try:
            physical = self._guest.translate(access.address)
        except AddressError:
            return None
        board = self._guest.board
        if board.memory.find(physical) is not None:
            return None
        device = board.bus.name_at(physical)
        return f"it was read from {device or 'an address without a device'}, at {physical:#x}"

    # ---- instructions ------------------------------------------------------------------------

    def _copied(
        self,
        hit: Hit,
        target: str,
        sources: Sequence[ByteSource],
        value: int,
        note: str,
        vcpu: int,
        before: Position,
        raw: int,
        access: Access | None,
    ) -> tuple[_Place, Position] | _End:
        """Make a step of an instruction, before which the guest is, and find what it has copied."""
        text = self._assembly(raw, hit.pc)
        copied = _first_copy(sources)
        size = len(sources)
        if copied is None:
            self._add(hit, target, "", value, size, text, note)
            return self._made(raw, hit.pc, sources)
        source, start, count = copied
        place: _Place
        if source.kind is SourceKind.REGISTER:
            place = _Register(vcpu, source.register, source.place, count)
        else:
            assert access is not None
            place = self._memory_place(access.address + source.place, count)
        notes = [note] if note else []
        if count < size:
            notes.append(_extension(sources, start, count))
        self._add(hit, target, place.name, value, size, text, "; ".join(notes))
        self._copy = value >> 8 * start & (1 << 8 * count) - 1
        return place, before

    def _made(self, raw: int, pc: int, sources: Sequence[ByteSource]) -> _End:
        """The end of a chain at an instruction that copies nothing."""
        kinds = {source.kind for source in sources}
        described = self._described(raw, pc)
        if SourceKind.COMPUTED in kinds:
            return _End("computed", f"it was computed by {described}{self._operands(raw, pc)}")
        return _End("constant", f"it is a constant, of {described}")

    def _operands(self, raw: int, pc: int) -> str:
        """The registers that an instruction names after its first, with their values."""
        text = assembly(raw.to_bytes(4, "little"), pc) or ""
        _, _, operands = text.partition(" ")
        _target, _, others = operands.partition(",")
        names = dict.fromkeys(_OPERAND.findall(others))
        if not names:
            return ""
        return " with " + ", ".join(f"{name} = {self._operand(name):#x}" for name in names)

    def _operand(self, name: str) -> int:
        """The value of a register of any width."""
        cpu = self._guest.cpu
        if name[0] in "vqdhb" or (name[0] == "s" and name != "sp"):
            return cpu.v[int(name[1:])] & (1 << 8 * _BYTES[name[0]]) - 1
        return cpu.reg("sp" if name == "wsp" else name)

    def _described(self, raw: int | None, pc: int) -> str:
        return f"`{self._assembly(raw, pc)}` at {self._guest.locate(pc)}"

    def _assembly(self, raw: int | None, pc: int) -> str:
        if raw is None:
            return ""
        return assembly(raw.to_bytes(4, "little"), pc) or f".word {raw:#010x}"

    def _access(self, pc: int) -> tuple[int | None, Access | None]:
        """The instruction at the PC, and what it accesses, as one access from its first byte on."""
        context = self._guest.execution.vcpus[self._guest.execution.current]
        raw = context.instruction(pc)
        if raw is None:
            return None, None
        found = accesses(raw, context.cpu.reg)
        return raw, found[0] if found else None

    def _arrival(self, pc: int) -> Hit:
        """The hit of the instruction before which the guest is."""
        with self._breakpoint(pc) as point:
            hit = self._guest.execution.arrival(point)
        hit.time = self._travel.now
        hit.backtrace()
        return hit

    @contextmanager
    def _breakpoint(self, pc: int) -> Iterator[Any]:
        point = self._guest.break_(pc, kind="hardware")
        try:
            yield point
        finally:
            point.delete()

    def _add(
        self,
        hit: Hit,
        target: str,
        source: str,
        value: int,
        size: int,
        instruction: str,
        note: str = "",
    ) -> None:
        self._steps.append(OriginStep(hit, target, source, value, size, instruction, note))


def _first_copy(sources: Sequence[ByteSource]) -> _Copied | None:
    """The lowest run of bytes that were copied from bytes that follow each other."""
    kinds = (SourceKind.REGISTER, SourceKind.MEMORY)
    start = next((n for n, source in enumerate(sources) if source.kind in kinds), None)
    if start is None:
        return None
    first = sources[start]
    count = 1
    while start + count < len(sources):
        expected = first._replace(place=first.place + count)
        if sources[start + count] != expected:
            break
        count += 1
    return _Copied(first, start, count)


def _extension(sources: Sequence[ByteSource], start: int, count: int) -> str:
    """What became of the bytes that are not followed."""
    others = {source.kind for source in (*sources[:start], *sources[start + count :])}
    if others == {SourceKind.SIGN}:
        return f"sign-extended from {_bytes(count)}"
    if others <= {SourceKind.ZERO} and not start:
        return f"zero-extended from {_bytes(count)}"
    if others <= {SourceKind.ZERO, SourceKind.SIGN}:
        return f"{_bytes(count)} of it, moved by {8 * start} bits"
    return f"put together: bytes {start} to {start + count - 1} are followed"


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"
