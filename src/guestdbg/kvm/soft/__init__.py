"""The soft provider: the kernel's side of KVM on arm64, in Python, over our own processor.

It answers as Linux 6.1 to 6.13 does. Its modules are laid out as the kernel's are:

    kvm.py, vm.py, vcpu.py   arm.c, kvm_main.c    the calls, and the run loop
    requests.py, waiting.py  arm.c                power, interrupt lines, WFI
    guest_debug.py           debug.c              guest debug: before an entry, after an exit
    switch.py                hyp/debug-sr         the world switch of the debug registers
    handle_exit.py           handle_exit.c        a handler for each exception class
    sys_regs.py              sys_regs.c           trapped and one-reg system registers
    guest.py                 guest.c              the other registers
    reset.py                 reset.c              reset, capabilities
    hypercalls.py, psci.py   hypercalls.c, psci.c HVC and SMC
    mmu.py, mmio.py          mmu.c, mmio.c        stage 2 aborts, accesses that userspace answers
    inject_fault.py          inject_fault.c       exceptions brought into the guest
    timer.py                 arch_timer.c         the generic timer
"""

from guestdbg.kvm.soft.kvm import SoftKvm
from guestdbg.kvm.soft.vcpu import SoftVcpu
from guestdbg.kvm.soft.vm import SoftVm

__all__ = ["SoftKvm", "SoftVcpu", "SoftVm"]
