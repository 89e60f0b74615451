"""Snapshots of a guest under the debugger.

The guest goes back; what the user has set up in the debugger does not: the points stay as they are,
with their counts, and are armed over the state that is restored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from errno import EINVAL
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import BadSnapshot, Unsupported
from guestdbg.kvm import KvmError, SupportsSnapshots
from guestdbg.machine import NO_SNAPSHOTS, MachineError
from guestdbg.object_size import size_beside

if TYPE_CHECKING:
    from guestdbg.debugger.execution.resume_guard import ResumeGuard
    from guestdbg.debugger.execution.scheduler import Scheduler
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.vcpu.resume_state import ResumeState
    from guestdbg.debugger.vcpu.stop import Stop
    from guestdbg.machine import BoardSnapshot

__all__ = ["GuestSnapshot", "ResumePoint", "Snapshots"]


#: What a snapshot keeps for each vCPU beside the state of the board, at most.
_OVERHEAD = 2048


@dataclass(frozen=True, slots=True, eq=False)
class GuestSnapshot:
    """A guest as it was at one time, of ``guest.snapshot()``.

    It can be restored to that guest, and to every guest on a board that is like its board.

    Attributes:
        taken_by: the guest that it was taken of; None: it comes from a file.
        board: the part of it that is the guest's: vCPUs, memory, devices.
        resume_states: what each vCPU had to remember from its last stop.
        current: the place of the vCPU that had stopped last.
        ended: the Stop with which the guest had powered off, or None.
        turn_ends: by place, where a turn ends that a stop has broken off.
        under_breakpoints: the instructions under the BRKs that are in the board's memory, by
            guest-physical address.
    """

    taken_by: Target | None
    board: BoardSnapshot
    resume_states: tuple[ResumeState, ...]
    current: int
    ended: Stop | None
    turn_ends: tuple[int | None, ...]
    under_breakpoints: dict[int, bytes]

    @property
    def instructions(self) -> tuple[int, ...]:
        """How many instructions each vCPU had retired."""
        return self.board.vm.instructions

    @property
    def memory_size(self) -> int:
        """Bytes of guest memory in it; what it shares with other snapshots is stored once."""
        return self.board.vm.memory_size

    def size_beside(self, other: GuestSnapshot | None) -> int:
        """Bytes of the host's memory that it takes, without what ``other`` holds too."""
        own = _OVERHEAD * len(self.resume_states) + size_beside(self.under_breakpoints)
        return own + self.board.size_beside(None if other is None else other.board)

    def __repr__(self) -> str:
        counts = ", ".join(map(str, self.instructions))
        return f"<GuestSnapshot at {counts} instructions, {self.memory_size >> 10} KiB of memory>"


@dataclass(frozen=True, slots=True, eq=False)
class ResumePoint:
    """What the debugger remembers of where a guest has stopped: of a ``GuestSnapshot``, what is
    not the guest's own.

    Attributes:
        resume_states, current, ended, turn_ends: see ``GuestSnapshot``.
    """

    resume_states: tuple[ResumeState, ...]
    current: int
    ended: Stop | None
    turn_ends: tuple[int | None, ...]


class Snapshots:
    """Takes and restores the snapshots of one guest."""

    def __init__(self, target: Target, scheduler: Scheduler, guard: ResumeGuard) -> None:
        self._target = target
        self._scheduler = scheduler
        self._guard = guard
        # isinstance() with a protocol costs as much as a restore.
        self._supported = isinstance(target.board.vm, SupportsSnapshots)

    def take(self) -> GuestSnapshot:
        """The guest as it is. Raises Unsupported if the provider has no snapshots."""
        self._check_supported()
        target = self._target
        with target.memory.own_writes():  # of inputs that are delivered
            board = target.board.snapshot()
        return GuestSnapshot(
            target,
            board,
            tuple(vcpu.resume_state.copy() for vcpu in self._scheduler.vcpus),
            self._scheduler.current.number,
            self._guard.ended,
            self._scheduler.turn_ends,
            target.memory.snapshot(),
        )

    def resume_point(self) -> ResumePoint:
        """How the guest would go on from here."""
        return ResumePoint(
            tuple(vcpu.resume_state.copy() for vcpu in self._scheduler.vcpus),
            self._scheduler.current.number,
            self._guard.ended,
            self._scheduler.turn_ends,
        )

    def resume_from(self, point: ResumePoint) -> None:
        """The guest is where ``resume_point`` was called: it goes on as it would have then."""
        self._scheduler.select(point.current)
        self._scheduler.turn_ends = point.turn_ends
        self._guard.ended = point.ended
        for vcpu, state in zip(self._scheduler.vcpus, point.resume_states, strict=True):
            vcpu.restore(state)

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back. Raises BadSnapshot for a snapshot that is not for this board."""
        self._check_supported()
        target = self._target
        if not isinstance(snapshot, GuestSnapshot):
            raise BadSnapshot(f"{snapshot!r} is no snapshot: snapshot() makes them")
        try:
            with target.memory.own_writes():
                target.board.restore(snapshot.board)
        except MachineError as error:
            raise BadSnapshot(str(error)) from error
        except KvmError as error:
            if error.errno != EINVAL:
                raise
            raise BadSnapshot(error.text) from error
        target.memory.restored(snapshot.under_breakpoints)
        if target.vector_catch is not None:
            target.vector_catch.replaced(target.powered_off())
        self._scheduler.select(snapshot.current)
        self._scheduler.turn_ends = snapshot.turn_ends
        # What another guest remembered of its points and hits means nothing here. A vCPU that was
        # running over an exclusive sequence for their sake just goes on: no guest sees that.
        own = snapshot.taken_by is target
        self._guard.ended = snapshot.ended if own else self._own_stop(snapshot.ended)
        for vcpu, state in zip(self._scheduler.vcpus, snapshot.resume_states, strict=True):
            vcpu.restore(state if own else replace(state, sequence=None, device_hits=[]))
        target.info.refresh_sources(reloaded=False)

    def _own_stop(self, stop: Stop | None) -> Stop | None:
        """The Stop of another guest as one of this guest."""
        if stop is None:
            return None
        vcpus = [vcpu.cpu for vcpu in self._scheduler.vcpus]
        return replace(stop, cpu=next(cpu for cpu in vcpus if cpu.id == stop.cpu.id), hits=())

    def _check_supported(self) -> None:
        if not self._supported:
            raise Unsupported(NO_SNAPSHOTS)
