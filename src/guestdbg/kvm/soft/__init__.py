"""The soft provider: the kernel's side of KVM on arm64, in Python, over the compiled processor.

It answers as Linux 6.14 and later do, or as 6.1 to 6.13 (linux_versions). Its modules follow the
files of the kernel (arch/arm64/kvm where no folder is named), lowest first; a module imports only
what is above it in this list:

    register_fields               asm/kvm_arm.h,   fields of EL2's registers and of syndromes
                                  asm/esr.h
    processor_features            cpufeature.c     what the kernel asks of its processor
    capabilities                  arm.c, reset.c   KVM_CHECK_EXTENSION, limits, the target
    processor_model               no counterpart   makes the processors of the machines
    run/fair_lock                 no counterpart   one vCPU of a machine runs at a time
    vgic/arm_vgic                 include/kvm/arm_vgic.h
                                                   the state of the interrupt controller
    state                         asm/kvm_host.h   the state of a vCPU and of a machine
    vgic/vgic_v3                  vgic/vgic-v3.c   list registers, the virtual CPU interface
    vgic/vgic                     vgic/vgic.c      which interrupts go to which vCPU
    vgic/vgic_mmio                vgic/vgic-mmio.c
                                                   registers of both GICs
    vgic/vgic_mmio_v2             vgic/vgic-mmio-v2.c
                                                   the GICv2's distributor
    vgic/vgic_mmio_v3             vgic/vgic-mmio-v3.c
                                                   the GICv3's distributor and redistributors
    vgic/vgic_sys_reg_v3          vgic/vgic-sys-reg-v3.c
                                                   the GICv3's CPU interface to userspace
    vgic/vgic_init                vgic/vgic-init.c, vgic-v2.c
                                                   creation, initialisation, the first run
    vgic/vgic_kvm_device          vgic/vgic-kvm-device.c
                                                   the device and its attributes
    vgic/save                     no counterpart   its state for snapshots
    debug/guest_debug             guest.c          KVM_SET_GUEST_DEBUG
    debug/switch                  hyp/include/hyp/debug-sr.h
                                                   the world switch of the debug registers
    debug/linux_6_1               debug.c          guest debug until 6.13: entries and exits
    debug/linux_6_14              debug.c          guest debug since 6.14: owners, loads and puts
    debug/debug_regs              sys_regs.c       the guest's debug registers and OS Lock
    registers/id_regs             sys_regs.c       ID registers as a guest sees them
    registers/sys_regs            sys_regs.c       one-reg access to system registers
    registers/timer               arch_timer.c     the generic timer's registers and interrupts
    registers/reset               reset.c, arm.c   reset, KVM_ARM_VCPU_INIT
    registers/guest               guest.c          one-reg access to all other registers
    run/waiting                   arm.c            WFI, and sleeping while powered off
    run/requests                  arm.c            power, reset and interrupt lines
    run/livelock                  no counterpart   guests that take one exception for ever
    exits/inject_fault            inject_fault.c,  exceptions for the guest, the PC after an exit
                                  hyp/exception.c
    exits/mmio                    mmio.c           accesses that userspace completes
    exits/mmu                     mmu.c            stage 2 aborts
    exits/psci_versions           include/kvm/arm_psci.h
                                                   versions of PSCI
    exits/psci                    psci.c           the Power State Coordination Interface
    exits/hypercalls              hypercalls.c     HVC and SMC
    exits/sys_reg_traps           sys_regs.c       trapped accesses to system registers
    exits/handle_exit             handle_exit.c    a handler for each exception class
    exits/hit_programs            no counterpart   an extension of the seam
    snapshot/present_pages        no counterpart   which pages of memory the host has
    snapshot/changed_pages        no counterpart   in which pages two snapshots differ
    snapshot/snapshots            no counterpart   an extension of the seam
    snapshot/serial               no counterpart   snapshots as bytes, for files
    vcpu_trace                    no counterpart   what both kinds of traces share
    flow_trace                    no counterpart   an extension of the seam
    instruction_trace             no counterpart   an extension of the seam
    dirty_log                     virt/kvm/kvm_main.c
                                                   the log of dirty pages, and their readers
    linux_versions                no counterpart   the kernel versions, side by side
    vcpu                          arm.c            a vCPU's calls, and the run loop
    vm                            arm.c,           a machine's calls
                                  virt/kvm/kvm_main.c
    kvm                           virt/kvm/kvm_main.c
                                                   the provider: what open_kvm("soft") returns
"""

from guestdbg.kvm.soft.kvm import SoftKvm
from guestdbg.kvm.soft.vcpu import SoftVcpu
from guestdbg.kvm.soft.vm import SoftVm

__all__ = ["SoftKvm", "SoftVcpu", "SoftVm"]
