"""WFI, and sleeping while powered off (arm.c: kvm_vcpu_wfi, kvm_vcpu_sleep)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.kvm.exits import ExitIntr
from guestdbg.kvm.soft.register_fields import HCR_VSE
from guestdbg.kvm.soft.registers.timer import COUNTER_HZ
from guestdbg.kvm.soft.vgic.vgic import vcpu_pending_irq

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState

INTR: Final = ExitIntr()
_IDLE: Final = ExitIntr(idle=True)
_WAITING: Final = ExitIntr(waiting=True)


def is_runnable(vcpu: VcpuState) -> bool:
    """Whether a vCPU in a WFI has something to do (kvm_arch_vcpu_runnable, kvm_timer_is_pending).

    A timer's output ends the WFI also if its interrupt is masked.
    """
    cpu = vcpu.cpu
    return bool(
        vcpu.irq_lines
        or cpu.hcr_el2 & HCR_VSE
        or cpu.vtimer_output
        or cpu.ptimer_output
        or vcpu_pending_irq(vcpu)
    )


def wait_for_interrupt(vcpu: VcpuState) -> Exit | None:
    """WFI: wait until an interrupt is pending or a timer's condition is met.

    With virtual time no thread sleeps. When every vCPU that is powered on waits, time advances to
    the earliest of their timers. If none has a timer set, or another vCPU can still run, the exit
    says ``idle``. Those that are paused do not count. With the host's clock the thread sleeps.

    Returns the exit, or None: the guest runs on.
    """
    vcpu.waiting = False
    if is_runnable(vcpu):
        return None
    cpu = vcpu.cpu
    if vcpu.vm.clock == "host":
        return _sleep_until_runnable(vcpu)
    ticks = cpu.next_timer()
    if vcpu.vm.single_vcpu:
        if ticks is None:
            vcpu.waiting = True
            return _IDLE
        cpu.advance_counter(ticks)
        return None
    return _wait_with_others(vcpu, ticks)


def continue_waiting(vcpu: VcpuState) -> Exit | None:
    """A vCPU that waits in a WFI is run again: it waits on, if nothing has come for it.

    Without an interrupt controller in the kernel nothing but a timer would end the wait, so it ends
    here. In the kernel it also ends with a signal; here a kick leaves the guest as it is, so that
    it runs the same whenever it is kicked. And it is the same how often it is run again: a guest
    whose run is repeated waits as long as it did.

    Returns the exit, or None: the guest runs on.
    """
    if vcpu.vgic_cpu is None or vcpu.stopped or vcpu.reset_state is not None:
        vcpu.waiting = False
        return None
    if vcpu.kicked and vcpu.vm.clock == "host":
        vcpu.kicked = False
        vcpu.wake.clear()
        return _WAITING
    late = vcpu.vm.virtual_time - vcpu.cpu.counter
    if late > 0 and not vcpu.vm.single_vcpu:
        vcpu.cpu.advance_counter(late)
    exit_ = wait_for_interrupt(vcpu)
    if exit_ is not None and vcpu.kicked:
        vcpu.kicked = False
        vcpu.wake.clear()
        return _WAITING
    return exit_


def _wait_with_others(vcpu: VcpuState, ticks: int | None) -> Exit | None:
    """WFI in virtual time, as one of several vCPUs.

    ``ticks``: until this vCPU's own timer; None: no timer is set.
    """
    vm, cpu = vcpu.vm, vcpu.cpu
    vcpu.waiting = True
    others = [v for v in vm.soft_vcpus if v is not vcpu and not v.stopped and v.id not in vm.paused]
    if not all(v.waiting and not vcpu_pending_irq(v) for v in others):
        return _IDLE
    now = cpu.counter
    times = [] if ticks is None else [now + ticks]
    for other in others:
        other_ticks = other.cpu.next_timer()
        if other_ticks is not None:
            times.append(other.cpu.counter + other_ticks)
    if not times:
        return _IDLE
    if min(times) > now:
        cpu.advance_counter(min(times) - now)
        # Only here: when it is run again, the WFI has been retired, which may have taken a tick.
        vm.virtual_time = cpu.counter
    # If the timer is another vCPU's, the caller must run that one.
    own = cpu.vtimer_output or cpu.ptimer_output
    if own:
        vcpu.waiting = False
        return None
    return _WAITING


def _sleep_until_runnable(vcpu: VcpuState) -> Exit | None:
    """WFI by the host's clock: sleep until an interrupt, a timer or a kick.

    Also if the vCPU is powered off or reset meanwhile. Returns the exit of a kick, or of a vCPU
    that gives up its turn, or None.
    """
    vcpu.waiting = True
    while True:
        in_turns = _others_in_turns(vcpu)
        if any(not v.waiting or is_runnable(v) for v in in_turns):
            return _WAITING
        timers = (v.cpu.next_timer() for v in (vcpu, *in_turns))
        ticks = min((t for t in timers if t is not None), default=None)
        exit_ = sleep(vcpu, None if ticks is None else ticks / COUNTER_HZ)
        if exit_ is not None:
            return exit_
        # Without an interrupt controller any wake-up will do.
        if (
            vcpu.vgic_cpu is None
            or vcpu.stopped
            or vcpu.reset_state is not None
            or is_runnable(vcpu)
        ):
            vcpu.waiting = False
            return None


def _others_in_turns(vcpu: VcpuState) -> list[VcpuState]:
    """The vCPUs that have turns in the same thread as this one, whose sleep would stop them.

    A turn has a limit of instructions, and meanwhile none of the others is inside run().
    """
    vm = vcpu.vm
    if vm.single_vcpu or vcpu.vgic_cpu is None or vcpu._max_instructions is None:
        return []
    return [
        v
        for v in vm.soft_vcpus
        if v is not vcpu and not v.running and not v.stopped and v.id not in vm.paused
    ]


def sleep(vcpu: VcpuState, seconds: float | None) -> Exit | None:
    """Let other vCPUs run until this one is woken or kicked.

    ``seconds``: at most so long; None: no limit. With virtual time no thread sleeps: the exit says
    ``idle``. Returns the exit of a kick, or None.
    """
    if vcpu.vm.clock == "virtual":
        if vcpu.kicked:
            vcpu.kicked = False
            return INTR
        return _IDLE
    run_lock = vcpu.vm.run_lock
    run_lock.release()
    try:
        vcpu.wake.wait(seconds)
    finally:
        run_lock.acquire()
    vcpu.wake.clear()
    if vcpu.kicked:
        vcpu.kicked = False
        return _WAITING
    return None
