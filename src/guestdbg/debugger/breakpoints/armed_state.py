"""The enabled points as the objects that KVM_SET_GUEST_DEBUG takes.

Everything that a stop needs is made here once, when a point changes, and only looked up afterwards.
A provider recognises an object that it was given before, and need not convert it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.debugger.breakpoints.point import Breakpoint, Watch
from guestdbg.debugger.hardware.register_allocator import allocate
from guestdbg.debugger.hardware.requests import BreakRequest
from guestdbg.kvm import GuestDebug
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Point
    from guestdbg.debugger.hardware.register_allocator import Allocation
    from guestdbg.debugger.hardware.requests import Hardware, WatchRequest
    from guestdbg.debugger.memory.brk_patches import PatchedMemory

__all__ = ["OFF", "STEP_DISARMED", "Armable", "ArmedState", "InternalBreakpoint", "arm", "only_at"]

OFF = GuestDebug()
#: One instruction with all debug registers empty; the guest's own are not in the hardware.
STEP_DISARMED = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW)

_T = TypeVar("_T")


class InternalBreakpoint(NamedTuple):
    """A breakpoint of the debugger's own, to get control back at ``address``.

    It counts only for the vCPU with the number ``vcpu``, and only if the stack pointer is at least
    ``minimum_sp``: not in a deeper call of the same function.
    """

    address: int
    vcpu: int
    minimum_sp: int = 0


@dataclass(frozen=True, slots=True)
class ArmedState:
    """One state of all points.

    Attributes:
        running: what a vCPU is given to run.
        step_watching: for one instruction, with watches but without breakpoints.
        step_unarmed: for one instruction with nothing armed: to step over a watchpoint.
        watches: the enabled watches, in the order of their numbers.
        breakpoints: the enabled breakpoints by address, in the order of their numbers.
        internal: the debugger's own breakpoints by address.
        catches: the addresses at which semihosting calls are caught (see ``vector_catch``).
        brk_addresses: the virtual addresses that hold a BRK of the debugger's.
        uses_hardware: whether KVM_GUESTDBG_USE_HW is set: the guest's own debug registers are not
            in the hardware then.
        only_plain_watches: whether every watch is reported after the access, at any exception
            level and in any context, and no BRK of the debugger's is in memory.
        reports_before: whether a watch is reported before the access.
        allocation: which debug register has which point.
        requests: what the watchpoint registers were allocated for: the watches, and others that
            have been taken out since, but whose registers are needed.
    """

    running: GuestDebug
    step_watching: GuestDebug
    step_unarmed: GuestDebug
    watches: tuple[Watch, ...]
    breakpoints: dict[int, tuple[Breakpoint, ...]]
    internal: dict[int, tuple[InternalBreakpoint, ...]]
    catches: frozenset[int]
    brk_addresses: frozenset[int]
    uses_hardware: bool
    only_plain_watches: bool
    reports_before: bool
    allocation: Allocation
    requests: tuple[WatchRequest, ...]

    def has_breakpoint(self, pc: int) -> bool:
        """Whether a breakpoint is armed at the virtual address ``pc``, of whatever kind."""
        return pc in self.breakpoints or pc in self.internal or pc in self.catches


class Armable(Protocol):
    """What points are armed on.

    Attributes:
        hardware: how many debug registers there are.
        memory: guest-physical memory, which takes BRK instructions.
        armed: the points as they are armed now.
    """

    hardware: Hardware
    memory: PatchedMemory
    armed: ArmedState


def arm(
    hardware: Hardware,
    points: Iterable[Point],
    internal: Sequence[InternalBreakpoint] = (),
    *,
    catches: Sequence[int] = (),
    overwatch: int = 0,
    beside: Sequence[WatchRequest] = (),
) -> ArmedState:
    """The state in which the enabled ones of ``points`` are armed; raises OutOfRegisters.

    ``catches`` are the addresses at which semihosting calls are caught. ``beside``: what else the
    watchpoint registers are allocated for, although no point is hit by it.
    """
    enabled = sorted((p for p in points if p.enabled and p.placed), key=lambda p: p.number)
    watches = tuple(p for p in enabled if isinstance(p, Watch))
    breakpoints = [p for p in enabled if isinstance(p, Breakpoint)]
    brk_addresses = frozenset(
        address for p in breakpoints if p.kind == "software" for address in p.addresses
    )
    requests = [request for p in breakpoints for request in p.requests(hardware.tables)]
    requests += [
        BreakRequest("a place to come back to", i.address)
        for i in internal
        if i.address not in brk_addresses
    ]
    requests += [BreakRequest("semihosting", address, el="el1") for address in catches]
    watched = tuple(
        dict.fromkeys((*(watch.request(hardware.tables) for watch in watches), *beside))
    )
    allocation = allocate(hardware, watched, requests, overwatch=overwatch)
    uses_hardware = bool(watches or requests)
    control = _control(uses_hardware, bool(brk_addresses))
    step = control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP
    bcr, bvr = allocation.dbg_bcr, allocation.dbg_bvr
    wcr, wvr = allocation.dbg_wcr, allocation.dbg_wvr
    break_tables, watch_tables = allocation.break_tables, allocation.watch_tables
    return ArmedState(
        running=GuestDebug(control, bcr, bvr, wcr, wvr, break_tables, watch_tables)
        if control
        else OFF,
        step_watching=GuestDebug(
            step, *allocation.contexts, wcr, wvr, watch_tables=allocation.watch_tables
        ),
        # With USE_HW and no register enabled the guest's own are not in the hardware either.
        step_unarmed=GuestDebug(step),
        watches=watches,
        breakpoints=_grouped((address, p) for p in breakpoints for address in p.addresses),
        internal=_grouped((i.address, i) for i in internal),
        catches=frozenset(catches),
        brk_addresses=brk_addresses,
        uses_hardware=uses_hardware,
        reports_before=any(watch.before for watch in watches),
        only_plain_watches=uses_hardware
        and not brk_addresses
        and not any(watch.before or watch.restricted for watch in watches),
        allocation=allocation,
        requests=watched,
    )


def only_at(armed: ArmedState, addresses: Sequence[int]) -> GuestDebug:
    """Nothing but breakpoints at ``addresses``: to run over an exclusive sequence."""
    pairs = [arm64_debug.breakpoint(address) for address in addresses]
    control = _control(True, bool(armed.brk_addresses))
    return GuestDebug(control, tuple(p.control for p in pairs), tuple(p.value for p in pairs))


def _control(uses_hardware: bool, uses_brk: bool) -> int:
    """kvm_guest_debug.control for running with these kinds of points."""
    control = KVM_GUESTDBG_ENABLE if uses_hardware or uses_brk else 0
    if uses_hardware:
        control |= KVM_GUESTDBG_USE_HW
    if uses_brk:
        control |= KVM_GUESTDBG_USE_SW_BP
    return control


def _grouped(pairs: Iterable[tuple[int, _T]]) -> dict[int, tuple[_T, ...]]:
    """The second members of the pairs by their first ones, in their order."""
    found: dict[int, tuple[_T, ...]] = {}
    for address, value in pairs:
        found[address] = (*found.get(address, ()), value)
    return found
