"""What a guest executes, found out by single steps of KVM: a reference for coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from guestdbg.kvm import ExitDebug, GuestDebug, Vcpu
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP
from guestdbg.kvm.regs import PC, PSTATE

#: EL, address
Key = tuple[int, int]
_STEP = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
#: B and BL, B.cond, CBZ to TBNZ, BR to RET and their authenticated forms (mask, value).
_BRANCHES = (
    (0x7C000000, 0x14000000),
    (0xFF000000, 0x54000000),
    (0x7C000000, 0x34000000),
    (0xFE800000, 0xD6000000),
)


class Stepped:
    """Counts and edges of what is stepped.

    ``instruction``: the encoding at the vCPU's PC.
    """

    def __init__(self, vcpu: Vcpu, instruction: Callable[[int], int]) -> None:
        self.counts: Counter[Key] = Counter()
        self.edges: Counter[tuple[int, int, int]] = Counter()  # EL, branch, where it went
        self._vcpu: Any = vcpu
        self._instruction = instruction

    def step(self, run: Callable[[], object]) -> object:
        """One step: ``run`` runs the vCPU. The exit, if it is another one than that of the step."""
        vcpu = self._vcpu
        vcpu.set_guest_debug(_STEP)
        pc, el = vcpu.get_one_reg(PC), vcpu.get_one_reg(PSTATE) >> 2 & 1
        before = vcpu.instructions
        raw = self._instruction(pc)
        exit_ = run()
        retired = vcpu.instructions - before
        assert retired <= 1
        if retired:
            self.counts[el, pc] += 1
            if any(raw & mask == value for mask, value in _BRANCHES):
                self.edges[el, pc, vcpu.get_one_reg(PC)] += 1
        return None if isinstance(exit_, ExitDebug) and exit_.ec == 0x32 else exit_
