"""Guest debug: who owns the debug registers, and how they get into the hardware and back.

guest_debug    KVM_SET_GUEST_DEBUG (guest.c)
switch         the world switch of the debug registers (hyp/include/hyp/debug-sr.h)
linux_6_1      what an entry sets up and an exit takes back, until Linux 6.13 (debug.c)
linux_6_14     who owns the registers, and what a run loads and puts, since 6.14 (debug.c)
debug_regs     the guest's own debug registers and OS Lock, trapped and one-reg (sys_regs.c)
"""
