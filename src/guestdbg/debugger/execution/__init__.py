"""Letting the vCPUs of a guest run: turns, limits, steps, interruption.

scheduler           turns of the vCPUs, time and instruction limits, interruption
keyboard_interrupt  Ctrl-C while a guest runs
step_commands       steps by instruction, call, function and source line
snapshot            snapshots of a guest under the debugger
resume_guard        one run or step at a time, until the guest has powered off
facade              ``guest.execution``: what the layers above may use of all this
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.debugger.execution.facade import Execution
    from guestdbg.debugger.execution.scheduler import ResumeAction

__all__ = ["Execution", "ResumeAction"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.debugger.execution.facade": ("Execution",),
        "guestdbg.debugger.execution.scheduler": ("ResumeAction",),
    },
)
