"""Waiting: WFI, and a vCPU that is powered off."""

from __future__ import annotations

from typing import Final

from guestdbg.kvm.exits import Exit, ExitIntr
from guestdbg.kvm.soft.register_fields import HCR_VSE
from guestdbg.kvm.soft.registers.timer import COUNTER_HZ
from guestdbg.kvm.soft.state import VcpuState

INTR: Final = ExitIntr()
_IDLE: Final = ExitIntr(idle=True)


def wait_for_interrupt(vcpu: VcpuState) -> Exit | None:
    """WFI: until an interrupt is pending or a timer is met. None: the guest goes on.

    In virtual time nobody sleeps. When all who could run are waiting, time jumps to the next
    timer of any of them. Where there is none, or others can still run, the caller is told
    (``idle``). With the host's clock the thread sleeps.
    """
    cpu = vcpu.cpu
    if vcpu.irq_lines or cpu.hcr_el2 & HCR_VSE or cpu.vtimer_output or cpu.ptimer_output:
        return None
    ticks = cpu.next_timer()
    if vcpu.vm.clock == "host":
        return sleep(vcpu, None if ticks is None else ticks / COUNTER_HZ)
    if vcpu.vm.single_vcpu:
        if ticks is None:
            return _IDLE
        cpu.advance_counter(ticks)
        return None
    return _wait_with_others(vcpu, ticks)


def _wait_with_others(vcpu: VcpuState, ticks: int | None) -> Exit | None:
    """WFI in virtual time, one of several; ``ticks`` to the own timer, None: it is not set."""
    vm, cpu = vcpu.vm, vcpu.cpu
    vcpu.waiting = True
    others = [v for v in vm.soft_vcpus if v is not vcpu and not v.stopped]
    if not all(v.waiting for v in others):
        return _IDLE
    now = cpu.counter
    times = [] if ticks is None else [now + ticks]
    for other in others:
        theirs = other.cpu.next_timer()
        if theirs is not None:
            times.append(other.cpu.counter + theirs)
    if not times:
        return _IDLE
    if min(times) > now:
        cpu.advance_counter(min(times) - now)
    vm.virtual_time = cpu.counter
    # Ours, or somebody else's: then it is for the caller to run that one.
    mine = cpu.vtimer_output or cpu.ptimer_output
    return None if mine else INTR


def sleep(vcpu: VcpuState, seconds: float | None) -> Exit | None:
    """Let others run until woken (None) or kicked (the exit); virtual time does not wait."""
    if vcpu.vm.clock == "virtual":
        if vcpu.kicked:
            vcpu.kicked = False
            return INTR
        return _IDLE
    turns = vcpu.vm.run_lock
    turns.release()
    vcpu.wake.wait(seconds)
    turns.acquire()
    vcpu.wake.clear()
    if vcpu.kicked:
        vcpu.kicked = False
        return INTR
    return None
