"""What the debugger of one guest works on: shared by its vCPUs and by all that resumes them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.breakpoints.armed_state import arm
from guestdbg.debugger.hardware.requests import Hardware
from guestdbg.debugger.memory.brk_patches import PatchedMemory
from guestdbg.kvm import (
    SupportsInstructionCount,
    SupportsInstructionLimit,
    SupportsTableFilters,
)
from guestdbg.kvm.constants import (
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.machine import Time

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.armed_state import ArmedState
    from guestdbg.debugger.breakpoints.task_words import TaskWords
    from guestdbg.debugger.breakpoints.vector_catch import VectorCatch
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.kvm import Vcpu
    from guestdbg.machine import Board
    from guestdbg.semihosting import SemihostingCalls

__all__ = ["PLAIN", "Target"]

#: GUESTDBG_PLAIN=1: do not use what only some providers can do. All results are the same.
PLAIN = os.environ.get("GUESTDBG_PLAIN", "") not in ("", "0")

_ID_AA64DFR0 = sys_reg("ID_AA64DFR0_EL1")
_CTX_CMPS_SHIFT = 28

_PC = core_reg("pc")


class Target:
    """A board under the debugger, and the state that is one for all of its vCPUs.

    Attributes:
        guest: what handlers get as ``hit.guest``. Nothing below ``Guest`` uses it.
        board: the board with the guest.
        vcpus: the KVM vCPUs of the board, by their place.
        counting, limiting: the same with None at the place of those that do not count instructions,
            or cannot stop after a number of them: ``isinstance()`` with a protocol costs as much
            as a short run.
        info: the symbols, lines and types of the guest's program.
        memory: guest-physical memory without the debugger's BRK instructions.
        hardware: how many breakpoint and watchpoint registers there are.
        armed: the points as they are armed now; a vCPU takes them over when it runs next.
        attention: a run has to look for a pending stop: an interruption, or the end of a timeout.
            Set by any thread, cleared by the one that runs the guest.
        limits: the instruction counts at which vCPUs have to stop, by their place.
        limited: whether instruction limits are set at the provider.
        semihosting: performs the guest's semihosting calls; None: there is none.
        vector_catch: catches those calls at the exception vectors; None: there are none, or the
            provider exits at HLT.
        name_task: gives the task of a Linux guest that a vCPU executes; None: that is not known.
        task_words: what records keep of that task; None: nothing.
        program_of: gives the files and the memory of the program that a vCPU executes in a process
            of a Linux guest; None: nothing is known of processes.
        loaded_at: when the guest was loaded, by time.monotonic_ns().
        on_hit: called with each hit that counts, before its handler; None: nobody asks.
        keeps_time: whether the guest has a history, so that stops have their time.
        in_handler: whether a function of the user's, of a point, is being called.
        heap: what SYS_HEAPINFO gives: heap base and limit, stack base and limit; 0: not known.
        step_into_interrupts: a step ends in the handler of an interrupt that is taken instead of
            the instruction; otherwise that handler runs first.
        use_hit_programs: whether the provider may decide hits itself; None: unless
            ``GUESTDBG_PLAIN`` is set.
    """

    def __init__(
        self, guest: Any, board: Board, info: DebugInfo, *, use_hit_programs: bool | None = None
    ) -> None:
        self.guest = guest
        self.board = board
        self.vcpus: Sequence[Vcpu] = board.vcpus
        self.counting = tuple(
            vcpu if isinstance(vcpu, SupportsInstructionCount) else None for vcpu in board.vcpus
        )
        self.limiting = tuple(
            vcpu if isinstance(vcpu, SupportsInstructionLimit) else None for vcpu in board.vcpus
        )
        self.info = info
        self.memory = PatchedMemory(board)
        self.hardware = _hardware(board)
        self.armed: ArmedState = arm(self.hardware, ())
        self.attention = False
        self.limits: dict[int, int] = {}
        self.limited = False
        self.step_into_interrupts = False
        self.use_hit_programs = use_hit_programs
        self.semihosting: SemihostingCalls | None = None
        self.vector_catch: VectorCatch | None = None
        self.name_task: Callable[[Vcpu], Any] | None = None
        self.task_words: TaskWords | None = None
        self.program_of: Callable[[Vcpu], DebugInfo | None] | None = None
        self.loaded_at = time.monotonic_ns()
        self.on_hit: Callable[[Any], object] | None = None
        self.keeps_time = False
        self.in_handler = False
        self.heap: tuple[int, int, int, int] = (0, 0, 0, 0)

    def now(self) -> Time:
        """Where the guest is. The PC is that of the vCPU that had the last turn, which need not be
        the current one: a run may end where the next turn would begin."""
        position = self.board.position
        vcpu = next(vcpu for vcpu in self.vcpus if vcpu.id == position.vcpu)
        return Time(position, vcpu.get_one_reg(_PC))

    def will_write(self) -> None:
        """The user of the debugger is about to write a register or memory."""
        if self.memory.before_write is not None:
            self.memory.before_write()

    def apply_limits(self) -> None:
        """Set ``limits`` at the provider, where a single step may have lifted them."""
        for place, limit in self.limits.items():
            vcpu = self.limiting[place]
            if vcpu is not None:
                vcpu.max_instructions = limit

    def powered_off(self) -> list[int]:
        """The places of the vCPUs that are powered off."""
        return [
            place
            for place, vcpu in enumerate(self.vcpus)
            if vcpu.get_mp_state() == KVM_MP_STATE_STOPPED
        ]

    def lift_limits(self) -> None:
        """Have no instruction limits any more."""
        self.limits.clear()
        if self.limited:
            self.limited = False
            for vcpu in self.limiting:
                if vcpu is not None:
                    vcpu.max_instructions = None


def _hardware(board: Board) -> Hardware:
    vm = board.vm
    dfr0 = board.vcpus[0].get_one_reg(_ID_AA64DFR0)
    first = board.vcpus[0]
    return Hardware(
        breakpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_BPS),
        watchpoints=vm.check_extension(KVM_CAP_GUEST_DEBUG_HW_WPS),
        contexts=(dfr0 >> _CTX_CMPS_SHIFT & 0xF) + 1,
        tables=first.max_tables if isinstance(first, SupportsTableFilters) and not PLAIN else 0,
    )
