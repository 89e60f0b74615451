"""What an exception to EL2 leads to: an exit to userspace, or emulation.

inject_fault     exceptions for the guest, the PC after an exit (inject_fault.c, hyp/exception.c)
mmio             accesses that userspace completes (mmio.c)
mmu              stage 2 aborts (mmu.c)
psci_versions    versions of PSCI (include/kvm/arm_psci.h)
psci             the Power State Coordination Interface (psci.c)
hypercalls       HVC and SMC (hypercalls.c)
sys_reg_traps    trapped accesses to system registers (sys_regs.c)
handle_exit      a handler for each exception class (handle_exit.c)
hit_programs     hits that the processor decides itself; no counterpart in the kernel
"""
