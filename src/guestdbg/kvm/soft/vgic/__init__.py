"""The interrupt controller for guests: GICv3, and GICv2 on a GICv3 host (arch/arm64/kvm/vgic).

The modules have the names of the kernel's files; a module imports only what is above it:

arm_vgic          include/kvm/arm_vgic.h, vgic.h   the state, and the numbers of both architectures
vgic              vgic.c             queues of interrupts, and their way into and out of the
                                     list registers
vgic_v3           vgic-v3.c          list registers and the virtual CPU interface; where the
                                     redistributors are
vgic_mmio         vgic-mmio.c        registers of the frames in memory that both have
vgic_mmio_v2      vgic-mmio-v2.c     the GICv2's distributor; its CPU interface to userspace
vgic_mmio_v3      vgic-mmio-v3.c     the GICv3's distributor and redistributors; SGIs
vgic_sys_reg_v3   vgic-sys-reg-v3.c  the GICv3's CPU interface to userspace
vgic_init         vgic-init.c        creation, initialisation, the first run
vgic_kvm_device   vgic-kvm-device.c  the device and its attributes
save              no counterpart     its state for snapshots

What the guest does most costs no exit: acknowledging an interrupt, priority drop and deactivation
happen in the processor's virtual CPU interface, on the list registers. Unlike in the kernel, they
stay loaded across exits until something must look at an interrupt or change it: most exits, such as
a breakpoint's, do not.
"""
