"""A guest under the debugger: what ``guestdbg.load`` returns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from guestdbg.arm64.debug import AccessKind, Privilege
from guestdbg.closing import Closing
from guestdbg.debugger.breakpoints.armed_state import ArmedState
from guestdbg.debugger.breakpoints.point import Breakpoint, Condition, Kind, Watch
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.debugger.breakpoints.registry import PointRegistry
from guestdbg.debugger.errors import (
    BadRange,
    GuestBusy,
    GuestClosed,
    InvalidLocation,
    Unsupported,
)
from guestdbg.debugger.execution import step_commands
from guestdbg.debugger.execution.facade import Execution
from guestdbg.debugger.execution.resume_guard import ResumeGuard
from guestdbg.debugger.execution.scheduler import ResumeAction, Scheduler
from guestdbg.debugger.hardware.requests import Hardware
from guestdbg.debugger.memory.address_space import AddressSpace, virtual
from guestdbg.debugger.memory.brk_patches import PatchedMemory
from guestdbg.debugger.memory.integer_access import IntegerAccess
from guestdbg.debugger.program.debug_info import DebugInfo
from guestdbg.debugger.program.image import Image
from guestdbg.debugger.program.resolver import Data, Where
from guestdbg.debugger.program.source_location import Location
from guestdbg.debugger.program.static_address import StaticAddress
from guestdbg.debugger.program.symbol_table import Symbol
from guestdbg.debugger.snapshot import GuestSnapshot, restore, take
from guestdbg.debugger.validation import integer
from guestdbg.debugger.vcpu.access_decoder import Decoder
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.debugger.vcpu.registers import UNPICKLABLE, Cpu
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitMmio, Vcpu
from guestdbg.kvm.constants import KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_GUEST_DEBUG_HW_WPS
from guestdbg.kvm.regs import sys_reg
from guestdbg.machine import Board

__all__ = ["Guest"]

_ID_AA64DFR0 = sys_reg("ID_AA64DFR0_EL1")


class Guest(IntegerAccess, Closing):
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
        execution: the inside of the debugger, for servers and tools above it.
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
        if integer("overwatch", overwatch) < 0:
            raise InvalidLocation(f"overwatch is {overwatch}: it counts bytes, and is 0 or more")
        self.board = board
        self._info = DebugInfo(images, self.read)
        self.images = self._info.images
        self.memory = PatchedMemory(board)
        self.decoder = Decoder()
        self.attention = False
        self.limited = False
        self.hardware = _hardware(board)
        self._on_close = on_close
        self._reload = reload
        self._closed = False
        self.points = PointRegistry(self, overwatch)
        self.arming: ArmedState = self.points.arming
        self.cores = [VcpuContext(self, n, vcpu) for n, vcpu in enumerate(board.vcpus)]
        self.vcpus: tuple[Cpu, ...] = tuple(core.cpu for core in self.cores)
        self.runloop = Scheduler(self)
        self.moves = ResumeGuard(self)
        self.execution = Execution(self.cores, self.runloop, self.points, self.memory)
        board.bus.on_access = self._mmio

    # ---- symbols and places ------------------------------------------------------------------

    def add_symbols(self, path: str | os.PathLike[str], slide: int = 0) -> Image:
        """Bring in an ELF file's symbols, moved by ``slide`` bytes from where it was linked.

        For firmware that relocates itself, kernels under KASLR, programs that the guest loads.
        Raises BadImage.
        """
        image = Image(Path(path), slide)
        self._info.add(image)
        return image

    def symbol(self, name: str) -> Symbol:
        """A symbol by name; raises UnknownSymbol, which names those that look like it."""
        return self._info.wheres.symbol(name)

    def locate(self, address: int) -> Location:
        """What is known of an address: function (or variable), offset, file and line."""
        return self._info.locate(address)

    def resolve(self, where: Where, length: int | None = None) -> Data:
        """The bytes that ``where`` names; its ``length`` is None where nothing says it."""
        return self._info.wheres.data(where, length)

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
        if integer("length", length) < 0:
            raise BadRange(f"{length} bytes cannot be read: a length is not negative")
        return self.space.read(virtual(address), length)

    def write(self, address: int, data: bytes) -> None:
        """Write guest virtual memory; page permissions do not bind. Raises AddressError."""
        self._check_open()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidLocation(
                f"{data!r} cannot be written: bytes can; write_u32() writes a number"
            )
        self.space.write(virtual(address), bytes(data))

    def translate(self, address: int) -> int:
        """The guest-physical address behind a virtual one, as the current vCPU sees it."""
        self._check_open()
        return self.space.translate(virtual(address))

    def __getitem__(self, expression: str) -> Any:
        """A variable, member or element as a drgn object: ``guest["queue.items[3].id"]``.

        It reads guest memory when it is looked at. Raises UnknownSymbol, InvalidLocation,
        MissingDependency (drgn runs on Linux only), NoDebugInfo.
        """
        self._check_open()
        return self._info.types.evaluate(expression)

    @property
    def program(self) -> Any:
        """The ``drgn.Program`` over this guest, for everything else that drgn can do."""
        return self._info.types.program

    # ---- points ------------------------------------------------------------------------------

    def watch(
        self,
        where: Where,
        length: int | None = None,
        access: AccessKind = "write",
        *,
        when: Condition | str | None = None,
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

        ``access`` is ``"read"``, ``"write"`` or ``"any"``; ``when`` a condition on the
        hit, a function or a text;
        ``ignore`` so many hits before the first that counts; ``before`` calls the handler before
        the access; ``el`` watches one exception level only (``"el0"``, ``"el1"``), ``context`` one
        value of CONTEXTIDR_EL1.

        Raises OutOfRegisters (which says why), BadRange, InvalidLocation, UnknownSymbol.
        """
        self._check_open()
        return self.points.watch(
            self._info.wheres.data(where, length).sized(),
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
        when: Condition | str | None = None,
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
        return self.points.record(
            self._info.wheres.data(where, length).sized(),
            access=access,
            when=when,
            registers=registers,
            limit=limit,
            name=name,
        )

    def fixed_variable(self, expression: str) -> StaticAddress | None:
        """A variable that lies at the same place for ever, for conditions; None: it does not."""
        return self._info.types.static_address(expression)

    def break_(
        self,
        where: Where,
        *,
        when: Condition | str | None = None,
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
        return self.points.breakpoint(
            self._info.wheres.code(where),
            kind=kind,
            when=when,
            ignore=ignore,
            name=name,
            el=el,
            context=context,
        )

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
            return self.moves.make(self.runloop.all, timeout, max_instructions)
        addresses = self._info.wheres.code(until).addresses
        return self.moves.make(
            lambda: step_commands.run_until(self, addresses), timeout, max_instructions
        )

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
        if integer("n", n) < 1:
            raise InvalidLocation(f"{n} steps: 1 is the least")
        core = self.runloop.current
        return self.moves.make(
            lambda: step_commands.step_instructions(core, n),
            timeout,
            max_instructions,
            brief=n == 1,
        )

    def step_over(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Step one instruction; a call is run until it returns."""
        core = self.runloop.current
        return self.moves.make(lambda: step_commands.step_over(core), timeout, max_instructions)

    def step_out(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Run until the present function has returned. Raises Unsupported without a caller."""
        core = self.runloop.current
        return self.moves.make(lambda: step_commands.step_out(core), timeout, max_instructions)

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
        return self.moves.make(
            lambda: step_commands.step_line(core, into=into), timeout, max_instructions
        )

    def resume(
        self,
        moves: Mapping[int, ResumeAction],
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Let go of some vCPUs and hold the others: for those who tell each its own move.

        ``moves`` has the vCPUs by their place in ``vcpus``. The first thing to stop one of them
        stops them all. Raises InvalidLocation without a move, or for a vCPU that is not there.
        """
        return self.moves.make(lambda: self.runloop.some(moves), timeout, max_instructions)

    def select(self, cpu: Cpu | int) -> None:
        """Make a vCPU the current one: the one that is stepped, and whose memory is read."""
        number = cpu.id if isinstance(cpu, Cpu) else cpu
        for core in self.cores:
            if core.vcpu.id == number:
                self.runloop.select(core.number)
                return
        raise InvalidLocation(f"there is no vCPU {number}: this guest has {len(self.cores)}")

    @property
    def ended(self) -> Stop | None:
        """The Stop with which the guest powered off; None: it has not."""
        return self.moves.ended

    @property
    def cpu(self) -> Cpu:
        """The current vCPU: the one that stopped last."""
        return self.runloop.current.cpu

    def interrupt(self) -> None:
        """Stop the guest, from any thread. One that is not running stops as soon as it is run."""
        self.runloop.interrupt()

    # ---- going back --------------------------------------------------------------------------

    def snapshot(self) -> GuestSnapshot:
        """All that the guest is: vCPUs, memory, devices, time, and where in its stops it stands.

        It takes time and memory by what the guest has touched, and shares what did not change with
        the snapshots before it. Raises Unsupported where the provider has none, GuestBusy from
        within a handler: return ``guestdbg.STOP`` there, and take it when ``run`` has returned.
        """
        self._check_open()
        self.moves.check_still("a snapshot is of a guest that stands still")
        return take(self)

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back to where it was: it goes on from there as it did then.

        The points stay as they are now, with their counts, and so do symbols and printed output.
        As often and in any order as wanted. Raises BadSnapshot for one of another guest, and
        Unsupported and GuestBusy as above.
        """
        self._check_open()
        self.moves.check_still("only a guest that stands still is put back")
        restore(self, snapshot)

    def reset(self) -> None:
        """Load the guest anew and let its first vCPU stand at the entry; points stay.

        Memory that the guest's file does not fill keeps what it holds, as on a reset of hardware.
        A software breakpoint whose address means nothing then (the MMU is off) is disabled.
        Raises Unsupported for a guest that was not made by ``load``.
        """
        self._check_open()
        self.moves.check_still("only a guest that stands still is reset")
        if self._reload is None:
            raise Unsupported("this guest was not loaded from a file that could be loaded again")
        with self.points.software.out_of_memory():
            self._reload()
            for core in self.cores:
                core.reset()
            self.runloop.select(0)
        self.moves.ended = None

    def serve_gdb(self, listen: str = "tcp:127.0.0.1:1234", **options: Any) -> Any:
        """Serve GDB or LLDB until the client kills the guest or the guest ends.

        ``guestdbg.gdb.serve`` with this guest: its arguments, its result, its errors.
        """
        self._check_open()
        self.moves.check_still("only a guest that stands still is served")
        # A layer above this one, which is asked for by whoever calls this.
        return import_module("guestdbg.gdb").serve(self, listen, **options)

    # ---- the end -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def detached(self) -> Iterator[Self]:
        """Debug nothing for the length of a ``with`` block: all points disarmed, none lost."""
        with self.points.disarmed():
            yield self

    def close(self) -> None:
        """Take the debugger and the guest down. Closing twice does nothing."""
        if self._closed:
            return
        if self.moves.under_way_here:
            raise GuestBusy(
                "a running guest cannot be closed by one of its handlers: return guestdbg.STOP "
                "there, and close it when run() has returned"
            )
        if self.moves.under_way:
            raise GuestBusy("a running guest cannot be closed: interrupt() it first")
        self._closed = True
        self.board.bus.on_access = None
        self.board.close()
        if self._on_close is not None:
            self._on_close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.moves.end()
        self.close()

    def __reduce__(self) -> str:
        raise TypeError(UNPICKLABLE)

    def _check_open(self) -> None:
        if self._closed:
            raise GuestClosed("the guest has been closed")

    def __repr__(self) -> str:
        names = ", ".join(image.path.name for image in self.images) or "no symbols"
        return f"<Guest {names}: {len(self.cores)} vCPU, {len(self.points)} points>"


def _hardware(board: Board) -> Hardware:
    vm = board.vm
    dfr0 = board.vcpus[0].get_one_reg(_ID_AA64DFR0)
    return Hardware(
        breakpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_BPS),
        watchpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_WPS),
        contexts=(dfr0 >> 28 & 0xF) + 1,
    )
