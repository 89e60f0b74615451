"""The points that are enabled, as the objects that ``set_guest_debug`` takes.

Everything a stop needs is made here once, when a point changes, and only looked up afterwards: a
provider recognises an object that it was given before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.debugger.breakpoints.point import Breakpoint, Point, Watch
from guestdbg.debugger.hardware.register_allocator import Allocation, allocate
from guestdbg.debugger.hardware.requests import BreakRequest, Hardware
from guestdbg.kvm import GuestDebug
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

__all__ = ["OFF", "STEP_DISARMED", "ArmedState", "InternalBreakpoint", "arm", "exits_only"]

OFF = GuestDebug()
#: One instruction with all debug registers empty, the guest's own put aside.
STEP_DISARMED = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW)


@dataclass(frozen=True, slots=True)
class InternalBreakpoint:
    """A breakpoint of the debugger's own, to get control back at ``address``.

    It counts only for the vCPU ``core`` (its number), and only once the stack pointer is at least
    ``minimum_sp``: not in a deeper call of the same function.
    """

    address: int
    core: int
    minimum_sp: int = 0


@dataclass(frozen=True, slots=True)
class ArmedState:
    """One state of all points.

    Attributes:
        armed: for running on.
        step_watching: for one instruction, with watches but without breakpoints.
        step_bare: for one instruction with nothing armed: off a watchpoint.
        watches: the enabled watches, in the order of their numbers.
        breakpoints: the enabled breakpoints by address, in the order of their numbers.
        software: the addresses that hold a BRK of ours.
        hardware: whether the guest's own debug registers are out of the hardware (USE_HW).
        quick: whether every watch is one of the simplest kind: told after the access, whatever the
            exception level and context, and no BRK of ours in memory.
    """

    armed: GuestDebug
    step_watching: GuestDebug
    step_bare: GuestDebug
    watches: tuple[Watch, ...]
    breakpoints: dict[int, tuple[Breakpoint, ...]]
    temporaries: dict[int, tuple[InternalBreakpoint, ...]]
    software: frozenset[int]
    hardware: bool
    quick: bool
    allocation: Allocation


def arm(
    registers: Hardware,
    points: Iterable[Point],
    temporaries: Sequence[InternalBreakpoint] = (),
    *,
    overwatch: int = 0,
) -> ArmedState:
    """Arm what is enabled; raises OutOfRegisters and leaves everything as it was."""
    enabled = sorted((p for p in points if p.enabled), key=lambda p: p.number)
    watches = tuple(p for p in enabled if isinstance(p, Watch))
    breaks = [p for p in enabled if isinstance(p, Breakpoint)]
    requests = [r for p in breaks for r in p.requests()]
    software = frozenset(a for p in breaks if p.kind == "software" for a in p.addresses)
    requests += [
        BreakRequest("a place to come back to", t.address)
        for t in temporaries
        if t.address not in software
    ]
    allocation = allocate(registers, [w.request() for w in watches], requests, overwatch=overwatch)
    by_address: dict[int, list[Breakpoint]] = {}
    for point in breaks:
        for address in point.addresses:
            by_address.setdefault(address, []).append(point)
    by_place: dict[int, list[InternalBreakpoint]] = {}
    for temporary in temporaries:
        by_place.setdefault(temporary.address, []).append(temporary)
    hardware = bool(watches or requests)
    control = KVM_GUESTDBG_ENABLE if hardware or software else 0
    if hardware:
        control |= KVM_GUESTDBG_USE_HW
    if software:
        control |= KVM_GUESTDBG_USE_SW_BP
    step = control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP
    a = allocation
    return ArmedState(
        armed=GuestDebug(control, a.dbg_bcr, a.dbg_bvr, a.dbg_wcr, a.dbg_wvr) if control else OFF,
        step_watching=GuestDebug(step, (), (), a.dbg_wcr, a.dbg_wvr),
        # With USE_HW and nothing enabled the guest's own registers stay out of the way too.
        step_bare=GuestDebug(step),
        watches=watches,
        breakpoints={address: tuple(found) for address, found in by_address.items()},
        temporaries={address: tuple(found) for address, found in by_place.items()},
        software=software,
        hardware=hardware,
        quick=hardware and not software and not any(w.before or w.restricted for w in watches),
        allocation=allocation,
    )


def exits_only(arming: ArmedState, addresses: Sequence[int]) -> GuestDebug:
    """Nothing armed but breakpoints at ``addresses``: to run over an exclusive sequence."""
    pairs = [arm64_debug.breakpoint(address) for address in addresses]
    control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
    if arming.software:
        control |= KVM_GUESTDBG_USE_SW_BP
    return GuestDebug(control, tuple(p.control for p in pairs), tuple(p.value for p in pairs))
