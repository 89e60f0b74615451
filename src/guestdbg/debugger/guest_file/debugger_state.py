"""What the debugger of a saved guest had to remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from guestdbg.container.values import encode
from guestdbg.debugger.execution.snapshot import GuestSnapshot
from guestdbg.debugger.vcpu.resume_state import ResumeState
from guestdbg.debugger.vcpu.stop import Stop

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["DebuggerState", "debugger_state", "guest_snapshot"]

_Pair = tuple[int, int]
#: last_stop_pc, needs_step_over, interrupted, reported_before_access, waits_for_input.
_Resume = tuple[int | None, int | None, set[_Pair], _Pair | None, bool]
#: Of the Stop with which the guest ended: reason, the vCPU's id, PC, detail, status.
_Ended = tuple[Literal["exit", "panic", "error"], int, int, str, int]
#: Of the debugger: what each vCPU had to remember, the current one, how the guest ended, where the
#: turns end that a stop has broken off, and the instructions under BRKs.
DebuggerState = tuple[list[_Resume], int, _Ended | None, list[int | None], dict[int, bytes]]


def debugger_state(snapshot: GuestSnapshot) -> bytes:
    """The debugger's part of a snapshot; ``decode`` gives a ``DebuggerState``."""
    ended = snapshot.ended
    return encode(
        (
            [
                (
                    state.last_stop_pc,
                    state.needs_step_over,
                    state.interrupted,
                    state.reported_before_access,
                    state.waits_for_input,
                )
                for state in snapshot.resume_states
            ],
            snapshot.current,
            None
            if ended is None
            else (ended.reason, ended.cpu.id, ended.pc, ended.detail, ended.status),
            list(snapshot.turn_ends),
            snapshot.under_breakpoints,
        )
    )


def guest_snapshot(guest: Guest, board: Any, debugger: DebuggerState) -> GuestSnapshot:
    """A snapshot from its parts. Raises ValueError: they do not fit together."""
    resume, current, ended, turn_ends, under = debugger
    vcpus = len(guest.vcpus)
    if len(resume) != vcpus or len(turn_ends) != vcpus or not 0 <= current < vcpus:
        raise ValueError(f"the debugger's state is not of {vcpus} vCPUs")
    stop = None
    if ended is not None:
        reason, vcpu, pc, detail, status = ended
        cpu = next((each for each in guest.vcpus if each.id == vcpu), None)
        if cpu is None:
            raise ValueError(f"the guest ended on vCPU {vcpu}, which there is not")
        stop = Stop(reason, cpu, pc, (), detail, status)
    return GuestSnapshot(
        None,
        board,
        tuple(
            ResumeState(
                last_stop_pc=pc,
                needs_step_over=over,
                interrupted=interrupted,
                reported_before_access=before,
                waits_for_input=waits,
            )
            for pc, over, interrupted, before, waits in resume
        ),
        current,
        stop,
        tuple(turn_ends),
        {at: data for at, data in under.items() if len(data) == 4},
    )
