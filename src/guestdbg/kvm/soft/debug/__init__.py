"""Guest debug: who owns the debug registers, and how they get into the hardware and back.

guest_debug    what an entry sets up and an exit takes back (debug.c)
switch         the world switch of the debug registers (hyp/include/hyp/debug-sr.h)
debug_regs     the guest's own debug registers and OS Lock, trapped and one-reg (sys_regs.c)
"""
