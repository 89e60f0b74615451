"""The state of a vCPU in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

__all__ = ["describe"]


def describe(session: SessionState, index: int) -> str:
    """The state of a vCPU in words, for lists of threads; with the task of a Linux guest."""
    context = session.execution.vcpus[index]
    if index in session.threads.resume_actions:
        return "running"
    if context.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
        return "powered off"
    level = f"EL{context.cpu.el}"
    task = session.tasks.current(index)
    return level if task is None else f"{level}, {task.comm} {task.pid}"
