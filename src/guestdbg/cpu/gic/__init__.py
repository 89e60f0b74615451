"""The virtual CPU interface of a GIC (Arm IHI 0069, chapters 4 to 6, 8 and 12).

fields            bits of its registers (.pxd only)
interface         list registers and priorities: what is pending, acknowledge, end of interrupt
system_registers  ICC_*_EL1, which are ICV_*_EL1 here, and ICH_*_EL2
frame             GICV, the same interface in memory for guests with a GICv2 (also Arm IHI 0048)

Interrupts get into it through the list registers only, which the owner of the processor writes as
EL2. There is no physical CPU interface: ICC_*_EL1 access the virtual one whatever HCR_EL2.IMO and
FMO are, which decide only whether its interrupts are taken. 5 priority bits, all of them for
preemption; 16 bits of INTID. No virtual LPIs but those in list registers, no SEIs, no NMIs.

A list register with HW set asks for the physical interrupt to be deactivated together with the
virtual one. The owner does that: it sees the list register no longer active.
"""
