"""The topic `interrupts` can fail: each mutant is a software KVM with one error in its interrupts.

Most break what the kernel side does with list registers, which decides what a guest sees.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from guestdbg.check import CASES, run_cases
from guestdbg.kvm import Exit, open_kvm
from guestdbg.kvm.constants import KVM_GUESTDBG_SINGLESTEP
from guestdbg.kvm.regs import PSTATE

from .mutants import MutantKvm, MutantVcpu, failing

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from guestdbg.kvm.soft.vgic import vgic, vgic_v3

_PATCH = pytest.MonkeyPatch
_PRIORITY = 0xFF << vgic_v3.LR_PRIORITY_SHIFT


def _list_registers(change: Callable[[Any, int], int]) -> Callable[[_PATCH], None]:
    """A mutant that changes what is loaded into the list registers: (interrupt, value) -> value."""

    def apply(patch: _PATCH) -> None:
        populate = vgic_v3.populate_lr
        patch.setattr(vgic_v3, "populate_lr", lambda irq, model: change(irq, populate(irq, model)))

    return apply


def _after_folding(change: Callable[[Any, int, bool], None]) -> Callable[[_PATCH], None]:
    """A mutant that changes an interrupt after its list register was read: (interrupt, value,
    whether it was active before)."""

    def apply(patch: _PATCH) -> None:
        fold = vgic_v3.fold_lr

        def folded(irq: Any, value: int, model: int) -> None:
            was_active = irq.active
            fold(irq, value, model)
            change(irq, value, was_active)

        patch.setattr(vgic_v3, "fold_lr", folded)

    return apply


def _stays_active(irq: Any, value: int, was_active: bool) -> None:
    irq.active = irq.active or was_active


def _forgets_a_level(irq: Any, value: int, was_active: bool) -> None:
    if not irq.edge and not value & vgic_v3.LR_STATE:
        irq.line_level = False


def never_raises(patch: _PATCH) -> None:
    patch.setattr(vgic, "flush_hwstate", lambda vcpu, gic: None)


def lines_never_fall(patch: _PATCH) -> None:
    set_level = vgic.set_level
    patch.setattr(
        vgic, "set_level", lambda vm, irq, level: set_level(vm, irq, True) if level else None
    )


def falling_edges_count(patch: _PATCH) -> None:
    set_level = vgic.set_level
    patch.setattr(
        vgic, "set_level", lambda vm, irq, level: set_level(vm, irq, bool(level) or irq.edge)
    )


def no_maintenance(patch: _PATCH) -> None:
    patch.setattr(vgic, "_needed_hcr", lambda vcpu, gic, dist, outside: gic.base_hcr)


def in_order_of_arrival(patch: _PATCH) -> None:
    patch.setattr(vgic, "_sort_ap_list", lambda vcpu, gic, dist: None)


def always_to_the_first(patch: _PATCH) -> None:
    oracle = vgic.target_oracle

    def target(dist: Any, irq: Any) -> int | None:
        return oracle(dist, irq) if irq.intid < 32 or oracle(dist, irq) is None else 0

    patch.setattr(vgic, "target_oracle", target)


def enables_are_ignored(patch: _PATCH) -> None:
    def target(dist: Any, irq: Any) -> int | None:
        return irq.vcpu if irq.vcpu is not None else irq.target_vcpu

    patch.setattr(vgic, "target_oracle", lambda dist, irq: target(dist, irq))


#: (mutant, patterns of which each must have a failing case, patterns of which none may fail).
NOTICED: dict[str, tuple[Callable[[_PATCH], None], list[str], list[str]]] = {
    "never-raises": (
        never_raises,
        [
            *("interrupts.line.taken.*", "interrupts.timer.taken.*", "interrupts.sgi.targets.*"),
            *(
                "interrupts.moved.*",
                "interrupts.debug.step-while-pending.*",
                "interrupts.v2.line.*",
            ),
        ],
        ["interrupts.create.*", "interrupts.address.*", "interrupts.number.*"],
    ),
    "eoi-does-not-deactivate": (
        _after_folding(_stays_active),
        [
            *("interrupts.eoi-mode-0.deactivates", "interrupts.edge.while-active"),
            "interrupts.level.while-it-is-high",
        ],
        ["interrupts.create.*", "interrupts.enable.reads-back"],
    ),
    "level-not-resampled": (
        _after_folding(_forgets_a_level),
        ["interrupts.level.while-it-is-high", "interrupts.v2.line.*"],
        ["interrupts.edge.*"],
    ),
    "lines-never-fall": (
        lines_never_fall,
        ["interrupts.level.gone-*", "interrupts.line.taken.*"],
        ["interrupts.edge.once", "interrupts.sgi.*"],
    ),
    "falling-edges-count": (
        falling_edges_count,
        ["interrupts.edge.once", "interrupts.v2.edge"],
        ["interrupts.level.while-it-is-high"],
    ),
    "priorities-ignored": (
        _list_registers(lambda irq, value: value & ~_PRIORITY | 0x80 << 48),
        ["interrupts.priority.order.*", "interrupts.running-priority"],
        ["interrupts.edge.*"],
    ),
    "always-the-highest-priority": (
        _list_registers(lambda irq, value: value & ~_PRIORITY),
        ["interrupts.mask.lower", "interrupts.mask.same", "interrupts.v2.mask"],
        ["interrupts.edge.*"],
    ),
    "in-order-of-arrival": (
        in_order_of_arrival,
        ["interrupts.many.in-order", "interrupts.many.later-ones", "interrupts.v2.priorities"],
        ["interrupts.priority.order.*"],
    ),
    "no-maintenance": (
        no_maintenance,
        ["interrupts.many.without-exits"],
        ["interrupts.priority.order.*"],
    ),
    "active-ignored": (
        _list_registers(lambda irq, value: value & ~vgic_v3.LR_ACTIVE),
        ["interrupts.active.set", "interrupts.eoi-mode-1"],
        ["interrupts.edge.once"],
    ),
    "group-0-as-group-1": (
        _list_registers(lambda irq, value: value | vgic_v3.LR_GROUP1),
        ["interrupts.group-0.is-an-fiq"],
        ["interrupts.edge.once"],
    ),
    "routes-ignored": (
        always_to_the_first,
        ["interrupts.route", "interrupts.route.*", "interrupts.v2.targets"],
        ["interrupts.sgi.targets.*"],
    ),
    "enables-ignored": (
        enables_are_ignored,
        ["interrupts.enable", "interrupts.edge.while-disabled"],
        ["interrupts.create.*"],
    ),
}


@pytest.mark.parametrize("name", NOTICED)
def test_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant, must_fail, must_pass = NOTICED[name]
    mutant(monkeypatch)
    failed = failing(MutantKvm(), *must_fail, *must_pass)
    for pattern in must_fail:
        assert fnmatch.filter(failed, pattern), f"nothing of {pattern} fails"
    for pattern in must_pass:
        assert not fnmatch.filter(failed, pattern)


class MasksWhileStepping(MutantVcpu):
    """What KVM_GUESTDBG_BLOCKIRQ would do, which arm64 does not have."""

    def run(self) -> Exit:
        if not self.debugged & KVM_GUESTDBG_SINGLESTEP:
            return super().run()
        before = self.inner.get_one_reg(PSTATE) & 1 << 7
        self.inner.set_one_reg(PSTATE, self.inner.get_one_reg(PSTATE) | 1 << 7)
        exit_ = super().run()
        pstate = self.inner.get_one_reg(PSTATE) & ~(1 << 7)
        self.inner.set_one_reg(PSTATE, pstate | before)
        return exit_


def test_a_step_that_masks_interrupts_is_noticed() -> None:
    failed = failing(MutantKvm(MasksWhileStepping), "interrupts.debug", "step.over")
    assert {
        *("interrupts.debug.step-while-pending.el1", "interrupts.debug.step-while-pending.el0"),
        "interrupts.debug.step-through-the-handler",
    } <= failed
    assert "interrupts.debug.breakpoint-in-the-handler" not in failed


def test_deactivation_without_a_list_register() -> None:
    """Only Linux 6.19 and later promise this. The software KVM as Linux 6.14 does it, too."""
    one = replace(CASES["interrupts.preemption.nested-beyond-the-list-registers"], since=None)
    with open_kvm("soft", linux="6.14") as kvm:
        (result,) = run_cases([one], kvm)
    assert result.verdict == "pass", result.reason
