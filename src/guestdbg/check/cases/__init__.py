"""The cases, one file for each topic. Importing this package registers all of them.

There are more than fifteen files, because `docs/conformance.md` has one section for each, and a
case is found by its topic. In reading order:

capabilities    what KVM_CHECK_EXTENSION answers about debugging
control         the control word of KVM_SET_GUEST_DEBUG
brk             BRK, with and without KVM_GUESTDBG_USE_SW_BP
breakpoints     address breakpoints
linked          context breakpoints, and what is linked to them
watchpoints     watchpoints: which register, before the access, which accesses
selection       BAS and MASK: which bytes a watchpoint watches
accesses        FAR and the syndrome for every sort of access
unwatched       what makes no watchpoint exception
levels          HMC and SSC: at which Exception levels registers match
stepping        single step, also into and out of exceptions
instructions    single step over every class of instruction
priorities      which exception comes first at one instruction
order           breakpoint, watchpoint and step together, removed in every order
between         what userspace changes between two runs
guest           the guest's own debugging
guest_handlers  the guest's own debugging with handlers that continue, and with linked registers
guest_and_host  the guest's own debugging while the host debugs it, and afterwards
ownership       what Linux 6.14 changed about who owns the debug registers
lock            the OS Lock and the OS Double Lock
migration       one-reg access to the debug registers; moving them to another machine
vcpus           several vCPUs of one machine
interrupt_controller  creating and configuring an interrupt controller
interrupt_lines       lines: level and edge, pending and active, enabled
interrupt_priorities  priorities, preemption, EOI modes, more than list registers
interrupt_timers      the timers' interrupts
interrupt_vcpus       SGIs, routes, PSCI
interrupt_migration   register attributes, and restoring them
interrupt_debug       interrupts and guest debug together
interrupt_gicv2       a GICv2
"""

from guestdbg.check.cases import (
    accesses,
    between,
    breakpoints,
    brk,
    capabilities,
    control,
    guest,
    guest_and_host,
    guest_handlers,
    instructions,
    interrupt_controller,
    interrupt_debug,
    interrupt_gicv2,
    interrupt_lines,
    interrupt_migration,
    interrupt_priorities,
    interrupt_timers,
    interrupt_vcpus,
    levels,
    linked,
    lock,
    migration,
    order,
    ownership,
    priorities,
    selection,
    stepping,
    unwatched,
    vcpus,
    watchpoints,
)

__all__ = [
    "accesses",
    "between",
    "breakpoints",
    "brk",
    "capabilities",
    "control",
    "guest",
    "guest_and_host",
    "guest_handlers",
    "instructions",
    "interrupt_controller",
    "interrupt_debug",
    "interrupt_gicv2",
    "interrupt_lines",
    "interrupt_migration",
    "interrupt_priorities",
    "interrupt_timers",
    "interrupt_vcpus",
    "levels",
    "linked",
    "lock",
    "migration",
    "order",
    "ownership",
    "priorities",
    "selection",
    "stepping",
    "unwatched",
    "vcpus",
    "watchpoints",
]
