"""Snapshots of a guest under the debugger.

The guest goes back; what a person asked the debugger for does not: the points stay as they are,
with their counts, and are armed over the state that was put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import BadSnapshot, Unsupported
from guestdbg.debugger.vcpu.exclusive_stepper import SequenceState
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import SupportsSnapshots
from guestdbg.machine import NO_SNAPSHOTS, BoardSnapshot

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["GuestSnapshot", "restore", "take"]


@dataclass(frozen=True, slots=True)
class _CoreState:
    """Where in its stops a vCPU was: see ``VcpuContext``."""

    reported: int | None
    stood: int | None
    interrupted: frozenset[tuple[int, int]]
    reported_before_access: tuple[int, int] | None
    sequence: SequenceState
    device_hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GuestSnapshot:
    """A guest as it was at one time, of ``guest.snapshot()``.

    Attributes:
        board: the part of it that is the guest's: vCPUs, memory, devices.
    """

    guest: Guest
    board: BoardSnapshot
    cores: tuple[_CoreState, ...]
    turn: int
    ended: Stop | None
    under_breakpoints: dict[int, bytes]

    @property
    def instructions(self) -> tuple[int, ...]:
        """What each vCPU had retired."""
        return self.board.vm.instructions

    @property
    def memory_size(self) -> int:
        """Bytes of guest memory in it; those that other snapshots hold as well are held once."""
        return self.board.vm.memory_size

    def __repr__(self) -> str:
        counts = ", ".join(map(str, self.instructions))
        return f"<GuestSnapshot at {counts} instructions, {self.memory_size >> 10} KiB of memory>"


def take(guest: Guest) -> GuestSnapshot:
    """The guest as it is."""
    _check(guest)
    return GuestSnapshot(
        guest,
        guest.board.snapshot(),
        tuple(_state(core) for core in guest.cores),
        guest.runloop.current.number,
        guest.moves.ended,
        guest.memory.snapshot(),
    )


def restore(guest: Guest, snapshot: GuestSnapshot) -> None:
    """Put the guest back; raises BadSnapshot for one of another guest."""
    _check(guest)
    if snapshot.guest is not guest:
        raise BadSnapshot("the snapshot is of another guest: it can only be put back there")
    guest.board.restore(snapshot.board)
    guest.memory.restored(snapshot.under_breakpoints)
    guest.runloop.select(snapshot.turn)
    guest.moves.ended = snapshot.ended
    for core, state in zip(guest.cores, snapshot.cores, strict=True):
        core.current = None  # what the vCPU is armed with now is what it was then
        core.stop_number += 1  # hits from before are of the past
        core.arrivals.reported = state.reported
        core.stood = state.stood
        core.arrivals.interrupted = set(state.interrupted)
        core.watching.reported_before_access = state.reported_before_access
        core.sequences.restored(state.sequence)
        core.devices.hits = list(state.device_hits)


def _check(guest: Guest) -> None:
    if not isinstance(guest.board.vm, SupportsSnapshots):
        raise Unsupported(NO_SNAPSHOTS)


def _state(core: VcpuContext) -> _CoreState:
    return _CoreState(
        core.arrivals.reported,
        core.stood,
        frozenset(core.arrivals.interrupted),
        core.watching.reported_before_access,
        core.sequences.snapshot(),
        tuple(core.devices.hits),
    )
