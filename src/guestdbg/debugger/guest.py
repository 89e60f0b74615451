"""A guest under the debugger: what ``guestdbg.load`` returns."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from guestdbg.arm64.debug import AccessKind, Privilege, canonical
from guestdbg.debugger import motion, snapshots
from guestdbg.debugger.allocation import Hardware
from guestdbg.debugger.arming import Arming, Temporary
from guestdbg.debugger.core import Core
from guestdbg.debugger.cpu import Cpu
from guestdbg.debugger.decode import Decoder
from guestdbg.debugger.errors import (
    AddressError,
    BadRange,
    BadWhere,
    GuestBusy,
    GuestClosed,
    Unsupported,
)
from guestdbg.debugger.hits import Hit
from guestdbg.debugger.image import Image
from guestdbg.debugger.location import Location
from guestdbg.debugger.memory import AddressSpace
from guestdbg.debugger.patches import PatchedMemory
from guestdbg.debugger.points import STOP, Breakpoint, Condition, Kind, Watch
from guestdbg.debugger.pointset import Points
from guestdbg.debugger.recording import Recording
from guestdbg.debugger.runloop import Go, RunLoop
from guestdbg.debugger.snapshots import GuestSnapshot
from guestdbg.debugger.steps import Fixed
from guestdbg.debugger.stops import Stop
from guestdbg.debugger.symbols import Symbol
from guestdbg.debugger.types import Types
from guestdbg.debugger.where import Data, Where, Wheres
from guestdbg.kvm import ExitMmio, KvmError, Vcpu
from guestdbg.kvm.constants import KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_GUEST_DEBUG_HW_WPS
from guestdbg.kvm.regs import sys_reg
from guestdbg.machine import Board

__all__ = ["Guest"]

_ID_AA64DFR0 = sys_reg("ID_AA64DFR0_EL1")
_LOCATIONS = 4096
_ACCESSES = ("read", "write", "any")
_LEVELS = ("any", "el0", "el1")


class Guest:
    """A loaded guest: its memory, registers, symbols, and the points at which it is stopped.

    Made by ``guestdbg.load``, or around a board that has a guest in it already. Use it in a
    ``with`` statement, or ``close()`` it. One thread runs a guest and looks at it; ``interrupt``
    alone may come from any other.

    Args:
        board: the board with the guest loaded.
        images: the ELF files that its symbols are in.
        overwatch: how many bytes one watchpoint register may watch for the sake of several
            watches, where registers run out; 0 keeps every watch exact.
        on_close: called when the guest is closed.
        reload: loads the guest anew, for ``reset``.

    Attributes:
        vcpus: the vCPUs, each with its registers: ``guest.vcpus[0].x[0]``.
        board: the board below: console, device tree, physical memory.
        hardware: how many breakpoint and watchpoint registers there are.
        images: the loaded ELF files.
    """

    def __init__(
        self,
        board: Board,
        images: Sequence[Image] = (),
        *,
        overwatch: int = 0,
        on_close: Callable[[], object] | None = None,
        reload: Callable[[], object] | None = None,
    ) -> None:
        self.board = board
        self.images = list(images)
        self.memory = PatchedMemory(board)
        self.decoder = Decoder()
        self.attention = False
        self.limited = False
        self.hardware = _hardware(board)
        self._on_close = on_close
        self._reload = reload
        self._closed = False
        self._running: int | None = None
        self.ended: Stop | None = None
        self._locations: dict[int, Location] = {}
        self._types = Types(self.read, self.images)
        self._wheres = Wheres(self.images, self._types)
        self.points = Points(self, overwatch)
        self.arming: Arming = self.points.arming
        self.cores = [Core(self, n, vcpu) for n, vcpu in enumerate(board.vcpus)]
        self.vcpus: tuple[Cpu, ...] = tuple(core.cpu for core in self.cores)
        self.runloop = RunLoop(self)
        board.bus.on_access = self._mmio

    # ---- symbols and places ------------------------------------------------------------------

    def add_symbols(self, path: str | os.PathLike[str], slide: int = 0) -> Image:
        """Bring in an ELF file's symbols, moved by ``slide`` bytes from where it was linked.

        For firmware that relocates itself, kernels under KASLR, programs that the guest loads.
        Raises BadImage.
        """
        image = Image(Path(path), slide)
        self.images.append(image)
        self._types.add(image)
        self._locations.clear()
        return image

    def symbol(self, name: str) -> Symbol:
        """A symbol by name; raises UnknownSymbol, which names those that look like it."""
        return self._wheres.symbol(name)

    def locate(self, address: int) -> Location:
        """What is known of an address: function (or variable), offset, file and line."""
        found = self._locations.get(address)
        if found is None:
            if len(self._locations) >= _LOCATIONS:
                self._locations.clear()
            found = self._locations[address] = self._locate(address)
        return found

    def _locate(self, address: int) -> Location:
        for image in self.images:
            if not image.covers(address):
                continue
            symbol = image.symbols.at(address)
            row = image.lines.at(address)
            if symbol is None and row is None:
                continue
            return Location(
                address,
                symbol.name if symbol is not None else None,
                address - symbol.address if symbol is not None else 0,
                row.file if row is not None else None,
                row.line if row is not None else None,
            )
        return Location(address)

    def resolve(self, where: Where, length: int | None = None) -> Data:
        """The bytes that ``where`` names; its ``length`` is None where nothing says it."""
        return self._wheres.data(where, length)

    # ---- memory ------------------------------------------------------------------------------

    @property
    def space(self) -> AddressSpace:
        """The virtual memory as the current vCPU sees it."""
        return self.runloop.current.space

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes of guest virtual memory, through the guest's own page tables.

        As the current vCPU sees them (the one that was hit last); with its MMU off, virtual is
        physical. Software breakpoints do not show. Raises AddressError.
        """
        self._check_open()
        if length < 0:
            raise BadRange(f"{length} bytes cannot be read: a length is not negative")
        return self.space.read(_address(address), length)

    def write(self, address: int, data: bytes) -> None:
        """Write guest virtual memory; page permissions do not bind. Raises AddressError."""
        self._check_open()
        self.space.write(_address(address), bytes(data))

    def read_u8(self, address: int) -> int:
        """One byte."""
        return self.read(address, 1)[0]

    def read_u16(self, address: int) -> int:
        """Two bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 2), "little")

    def read_u32(self, address: int) -> int:
        """Four bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 4), "little")

    def read_u64(self, address: int) -> int:
        """Eight bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 8), "little")

    def write_u8(self, address: int, value: int) -> None:
        """Write one byte; negative values in two's complement, as in the others."""
        self._write_int(address, value, 1)

    def write_u16(self, address: int, value: int) -> None:
        """Write two bytes."""
        self._write_int(address, value, 2)

    def write_u32(self, address: int, value: int) -> None:
        """Write four bytes."""
        self._write_int(address, value, 4)

    def write_u64(self, address: int, value: int) -> None:
        """Write eight bytes."""
        self._write_int(address, value, 8)

    def _write_int(self, address: int, value: int, size: int) -> None:
        bits = 8 * size
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise BadRange(f"{value:#x} does not fit {size} bytes")
        self.write(address, (value & (1 << bits) - 1).to_bytes(size, "little"))

    def translate(self, address: int) -> int:
        """The guest-physical address behind a virtual one, as the current vCPU sees it."""
        self._check_open()
        return self.space.translate(_address(address))

    def __getitem__(self, expression: str) -> Any:
        """A variable, member or element as a drgn object: ``guest["queue.items[3].id"]``.

        It reads guest memory when it is looked at. Raises UnknownSymbol, BadWhere,
        MissingDependency (drgn runs on Linux only), NoDebugInfo.
        """
        self._check_open()
        return self._types.evaluate(expression)

    @property
    def program(self) -> Any:
        """The ``drgn.Program`` over this guest, for everything else that drgn can do."""
        return self._types.program

    # ---- points ------------------------------------------------------------------------------

    def watch(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        *,
        when: Condition | None = None,
        ignore: int = 0,
        before: bool = False,
        name: str | None = None,
        el: Privilege = "any",
        context: int | None = None,
    ) -> Watch:
        """Watch bytes: a variable or member, a symbol, or ``length`` bytes at an address.

        Without a ``length`` a variable or symbol is watched whole, and an address stands for the
        8 bytes there, or as many as it is aligned to. Called with a function, the watch takes it as
        its handler, so it serves as a decorator; without one, a hit ends ``run()``.

        ``access`` is ``"read"``, ``"write"`` or ``"any"``; ``when`` a condition on the hit;
        ``ignore`` so many hits before the first that counts; ``before`` calls the handler before
        the access; ``el`` watches one exception level only (``"el0"``, ``"el1"``), ``context`` one
        value of CONTEXTIDR_EL1.

        Raises OutOfRegisters (which says why), BadRange, BadWhere, UnknownSymbol.
        """
        self._check_open()
        _choice("access", access, _ACCESSES)
        _choice("el", el, _LEVELS)
        _check_counts(ignore, context)
        data = self._wheres.data(where, length)
        if data.length is None:
            data = Data(data.name, data.address, _natural(data.address), data.type_name)
        return self.points.watch(
            data,
            access=access,
            when=when,
            ignore=ignore,
            before=before,
            name=name,
            el=el,
            context=context,
        )

    def record(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        *,
        when: Condition | None = None,
        registers: Sequence[int] = (),
        limit: int | None = None,
        name: str | None = None,
    ) -> Recording:
        """Watch 1, 2, 4 or 8 bytes and write every hit down, calling nobody.

        ``registers``: those of x0 to x30 (numbers, at most 16) that go into a record; ``limit``: a
        run ends after so many records. The rest is as with ``watch``. On providers with hit
        programs millions of hits a second are recorded, with a condition by ``guestdbg.cond`` too.

        Raises what ``watch`` raises; BadRange for other lengths.
        """
        self._check_open()
        _choice("access", access, _ACCESSES)
        data = self._wheres.data(where, length)
        if data.length is None:
            data = Data(data.name, data.address, _natural(data.address), data.type_name)
        return self.points.record(
            data, access=access, when=when, registers=registers, limit=limit, name=name
        )

    def fixed_variable(self, expression: str) -> Fixed | None:
        """A variable that lies at the same place for ever, for conditions; None: it does not."""
        return self._types.fixed(expression)

    def break_(
        self,
        where: Where,
        *,
        when: Condition | None = None,
        ignore: int = 0,
        kind: Kind = "auto",
        name: str | None = None,
        el: Privilege = "any",
        context: int | None = None,
    ) -> Breakpoint:
        """Stop before an instruction: a symbol, ``symbol+offset``, address, or ``file:line``.

        ``kind``: ``"hardware"``, ``"software"`` (a BRK put into the guest's memory) or ``"auto"``:
        hardware, and software only when the registers have run out, which is logged as a warning
        and told by the breakpoint's ``why_software``. The rest is as with ``watch``.

        Raises OutOfRegisters, Unsupported (the provider cannot have its code changed), BadRange,
        UnknownSymbol, UnknownLine.
        """
        self._check_open()
        _choice("el", el, _LEVELS)
        _check_counts(ignore, context)
        return self.points.breakpoint(
            self._wheres.code(where),
            kind=kind,
            when=when,
            ignore=ignore,
            name=name,
            el=el,
            context=context,
        )

    def dispatch(
        self, core: Core, hits: Sequence[Hit], decided: Sequence[bool] = ()
    ) -> Stop | None:
        """Put hits to their points: conditions, counts, handlers. Stop if one asks for it.

        ``decided`` tells of which hits the condition is known to hold.
        """
        ended: list[Hit] = []
        for n, hit in enumerate(hits):
            point = hit.point
            if not point._enabled:
                continue  # by a handler of this very stop
            hit._stop = core.stop_number
            point.seen += 1
            when = point._when
            if when is not None and not (decided and decided[n]) and not when(hit):
                continue
            point.hits += 1
            hit.count = point.hits
            if point.hits <= point.ignore:
                continue
            if point.handler is None or point.handler(hit) is STOP:
                ended.append(hit)
        if not ended:
            return None
        return core.stop("hit", ended[0].point.name, ended)

    def _mmio(self, vcpu: Vcpu, exit_: ExitMmio, data: bytes) -> None:
        if self.arming.watches:
            for core in self.cores:
                if core.vcpu is vcpu:
                    core.devices.accessed(exit_, data)

    # ---- running -----------------------------------------------------------------------------

    def run(
        self,
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
        until: Where | None = None,
    ) -> Stop:
        """Let the guest run until something stops it; the Stop says what.

        ``timeout`` in seconds; ``max_instructions`` over all vCPUs (where the provider counts
        them); ``until`` a place as for ``break_``. A guest that has powered off stays so: running
        it again gives the same Stop. Raises GuestBusy from within a handler.
        """
        if until is None:
            return self._move(self.runloop.all, timeout, max_instructions)
        addresses = self._wheres.code(until).addresses
        temporaries = [
            Temporary(address, core.number) for address in addresses for core in self.cores
        ]

        def run_until() -> Stop:
            self._step_off(addresses)
            with self.points.temporaries(temporaries):
                return self.runloop.all()

        return self._move(run_until, timeout, max_instructions)

    def _step_off(self, addresses: Sequence[int]) -> None:
        """A vCPU that stands at the very place has to come round to it again."""
        for core in self.cores:
            pc = core.cpu.pc
            if pc in addresses:
                core.reported = pc

    def step(
        self,
        n: int = 1,
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Step ``n`` instructions of the vCPU that stopped last (``select`` chooses another).

        The others are held. A watch that is hit is reported as when running; the breakpoint that
        the vCPU arrives at is reported when it is run from there. A load-exclusive is stepped
        together with all of its sequence, which would never succeed otherwise.
        """
        if n < 1:
            raise BadWhere(f"{n} steps: 1 is the least")
        core = self.runloop.current
        return self._move(lambda: motion.step_instructions(core, n), timeout, max_instructions)

    def step_over(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Step one instruction; a call is run until it returns."""
        core = self.runloop.current
        return self._move(lambda: motion.step_over(core), timeout, max_instructions)

    def step_out(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Run until the present function has returned. Raises Unsupported without a caller."""
        core = self.runloop.current
        return self._move(lambda: motion.step_out(core), timeout, max_instructions)

    def step_line(
        self,
        *,
        into: bool = False,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Step to another line of source; over calls, or ``into`` those that have lines.

        Raises NoDebugInfo where no line is known.
        """
        core = self.runloop.current
        return self._move(lambda: motion.step_line(core, into=into), timeout, max_instructions)

    def resume(
        self,
        moves: Mapping[int, Go],
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Let go of some vCPUs and hold the others: for those who tell each its own move.

        ``moves`` has the vCPUs by their place in ``vcpus``. The first thing to stop one of them
        stops them all. Raises BadWhere without a move, or for a vCPU that is not there.
        """
        for number in moves:
            if not 0 <= number < len(self.cores):
                raise BadWhere(f"there is no vCPU {number}: this guest has {len(self.cores)}")
        if not moves:
            raise BadWhere("no vCPU is to move")
        return self._move(lambda: self.runloop.some(moves), timeout, max_instructions)

    def _move(
        self, move: Callable[[], Stop], timeout: float | None, max_instructions: int | None
    ) -> Stop:
        self._check_open()
        self._check_still("the guest is running already")
        if self.ended is not None:
            return self.ended
        self._running = threading.get_ident()
        try:
            if self.arming.software:
                self.points.refresh()
            stop = self.runloop.until_stop(move, timeout, max_instructions)
            if stop.reason == "exit":
                self.ended = stop
            return stop
        except KvmError as error:
            if error.call != "KVM_RUN" or "stood at" in error.text:
                raise
            raise self.board.explained(self.cpu.vcpu, error) from error
        finally:
            self._running = None
            for core in self.cores:
                core.deciding.collect()
            self.board.console.flush()

    def _check_still(self, problem: str) -> None:
        if self._running is not None:
            who = (
                "this is called by one of its handlers"
                if self._running == threading.get_ident()
                else "another thread runs it"
            )
            raise GuestBusy(f"{problem}: {who}")

    # ---- going back --------------------------------------------------------------------------

    def snapshot(self) -> GuestSnapshot:
        """All that the guest is: vCPUs, memory, devices, time, and where in its stops it stands.

        It takes time and memory by what the guest has touched, and shares what did not change with
        the snapshots before it. Raises Unsupported where the provider has none, GuestBusy from
        within a handler: return ``guestdbg.STOP`` there, and take it when ``run`` has returned.
        """
        self._check_open()
        self._check_still("a snapshot is of a guest that stands still")
        return snapshots.take(self)

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back to where it was: it goes on from there as it did then.

        The points stay as they are now, with their counts, and so do symbols and printed output.
        As often and in any order as wanted. Raises BadSnapshot for one of another guest, and
        Unsupported and GuestBusy as above.
        """
        self._check_open()
        self._check_still("only a guest that stands still is put back")
        snapshots.restore(self, snapshot)

    def select(self, cpu: Cpu | int) -> None:
        """Make a vCPU the current one: the one that is stepped, and whose memory is read."""
        number = cpu.id if isinstance(cpu, Cpu) else cpu
        for core in self.cores:
            if core.vcpu.id == number:
                self.runloop.select(core.number)
                return
        raise BadWhere(f"there is no vCPU {number}: this guest has {len(self.cores)}")

    @property
    def cpu(self) -> Cpu:
        """The current vCPU: the one that stopped last."""
        return self.runloop.current.cpu

    def interrupt(self) -> None:
        """Stop the guest, from any thread. One that is not running stops as soon as it is run."""
        self.runloop.interrupt()

    def reset(self) -> None:
        """Load the guest anew and let its first vCPU stand at the entry; points stay.

        Memory that the guest's file does not fill keeps what it holds, as on a reset of hardware.
        A software breakpoint whose address means nothing then (the MMU is off) is disabled.
        Raises Unsupported for a guest that was not made by ``load``.
        """
        self._check_open()
        self._check_still("only a guest that stands still is reset")
        if self._reload is None:
            raise Unsupported("this guest was not loaded from a file that could be loaded again")
        with self.points.out_of_memory():
            self._reload()
            for core in self.cores:
                core.reset()
            self.runloop.select(0)
        self.ended = None

    def serve_gdb(self, listen: str = "tcp:127.0.0.1:1234", **options: Any) -> Any:
        """Serve GDB or LLDB until the client kills the guest or the guest ends.

        ``guestdbg.gdb.serve`` with this guest: its arguments, its result, its errors.
        """
        self._check_open()
        # A layer above this one, which is asked for by whoever calls this.
        return import_module("guestdbg.gdb").serve(self, listen, **options)

    # ---- the end -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def detached(self) -> Iterator[Self]:
        """Debug nothing for the length of a ``with`` block: all points disarmed, none lost."""
        enabled = [p for p in self.points if p.enabled]
        for point in enabled:
            point.enabled = False
        try:
            yield self
        finally:
            for point in enabled:
                point.enabled = True

    def close(self) -> None:
        """Take the debugger and the guest down. Closing twice does nothing."""
        if self._closed:
            return
        if self._running is not None:
            raise GuestBusy("a running guest cannot be closed: interrupt() it first")
        self._closed = True
        self.board.bus.on_access = None
        self.board.close()
        if self._on_close is not None:
            self._on_close()

    def _check_open(self) -> None:
        if self._closed:
            raise GuestClosed("the guest has been closed")

    def __repr__(self) -> str:
        names = ", ".join(image.path.name for image in self.images) or "no symbols"
        return f"<Guest {names}: {len(self.cores)} vCPU, {len(self.points)} points>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _hardware(board: Board) -> Hardware:
    vm = board.vm
    dfr0 = board.vcpus[0].get_one_reg(_ID_AA64DFR0)
    return Hardware(
        breakpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_BPS),
        watchpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_WPS),
        contexts=(dfr0 >> 28 & 0xF) + 1,
    )


def _address(address: int) -> int:
    if not isinstance(address, int):
        address = int(address)  # a drgn object
    if not 0 <= address < 1 << 64:
        raise AddressError(f"{address:#x} is not an address: addresses have 64 bits", address)
    return canonical(address) if address >> 56 else address


def _natural(address: int) -> int:
    """How many bytes an address without a length stands for."""
    return min(8, address & -address or 8)


def _choice(what: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadWhere(f"{what} is {value!r}: it must be one of {', '.join(choices)}")


def _check_counts(ignore: int, context: int | None) -> None:
    if ignore < 0:
        raise BadWhere(f"ignore is {ignore}: it counts hits, and is 0 or more")
    if context is not None and not 0 <= context < 1 << 32:
        raise BadWhere(f"context {context:#x} does not fit CONTEXTIDR_EL1, which has 32 bits")
