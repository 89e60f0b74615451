"""Registers: reset, and one-reg access.

id_regs     identification registers as a guest sees them (sys_regs.c)
sys_regs    system registers (sys_regs.c)
timer       the generic timer's registers (arch_timer.c)
reset       the state after reset, and KVM_ARM_VCPU_INIT (reset.c, arm.c)
guest       all other registers; KVM_GET_ONE_REG and KVM_SET_ONE_REG start here (guest.c)
"""
