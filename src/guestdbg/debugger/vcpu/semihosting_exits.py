"""How a guest's semihosting calls come to the debugger, if it has any.

Providers with the extension ``SupportsHltExit`` exit at the call; on others it is caught at the
exception vectors (see ``guestdbg.debugger.breakpoints.vector_catch``). What the calls do is in
``semihosting``, which few guests need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.errors import OutOfRegisters
from guestdbg.debugger.target import PLAIN
from guestdbg.kvm import SupportsHltExit
from guestdbg.semihosting.operations import HLT_IMMEDIATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guestdbg.debugger.target import Target
    from guestdbg.machine import Segment

__all__ = ["WAITS_FOR_INPUT", "catch_calls", "set_exits"]

#: The detail of a Stop with reason "idle" where a vCPU waits in SYS_READ or SYS_READC.
WAITS_FOR_INPUT = "the guest waits for console input (semihosting)"


def catch_calls(
    target: Target,
    segments: Sequence[Segment],
    catch: Callable[[Sequence[int]], None],
) -> None:
    """Have semihosting calls caught: by the provider, or by breakpoints at the exception vectors.

    The guest has just been loaded, or loaded again. ``segments`` are where it was loaded, ``catch``
    arms those breakpoints.

    Raises:
        OutOfRegisters: the provider cannot catch calls, and there are too few breakpoints.
    """
    can_exit = all(isinstance(vcpu, SupportsHltExit) for vcpu in target.vcpus)
    if target.semihosting is None or (can_exit and not PLAIN):
        set_exits(target, HLT_IMMEDIATE)
        return
    from guestdbg.debugger.breakpoints.vector_catch import (
        REGISTERS_NEEDED,
        VECTOR_TABLE_BYTES,
        VectorCatch,
        vbar_writes,
    )

    available = target.hardware.breakpoints
    if available < REGISTERS_NEEDED:
        raise OutOfRegisters(
            f"semihosting needs {REGISTERS_NEEDED} breakpoint registers under this provider, to "
            f"catch the calls at the exception vectors, and this guest has {available}"
        )
    board = target.board
    if target.vector_catch is None:
        ram_end = board.ram.base + board.memory_size
        target.vector_catch = VectorCatch(HLT_IMMEDIATE, ram_end - VECTOR_TABLE_BYTES, catch)
    sites = vbar_writes(board, segments)
    target.vector_catch.start(sites, available, target.powered_off())


def set_exits(target: Target, immediate: int | None) -> None:
    """Have the provider exit at HLT with this immediate; None: at none."""
    for vcpu in target.vcpus:
        if isinstance(vcpu, SupportsHltExit):
            vcpu.set_hlt_exit(immediate)
