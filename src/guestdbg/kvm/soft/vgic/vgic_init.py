"""Creation and initialisation of the interrupt controller, and the first run (vgic-init.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.vgic import vgic, vgic_mmio_v2, vgic_mmio_v3, vgic_v3
from guestdbg.kvm.soft.vgic.arm_vgic import (
    V2_CPU_SIZE,
    V2_DIST_SIZE,
    V3_DIST_SIZE,
    VGIC_NR_IRQS_LEGACY,
    VGIC_NR_PRIVATE_IRQS,
    VGIC_V2,
    VGIC_V2_MAX_CPUS,
    VGIC_V3,
    Frame,
    VgicCpu,
    VgicDist,
    VgicIrq,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VmState


def create(vm: VmState, model: int) -> None:
    """KVM_CREATE_DEVICE of an interrupt controller (kvm_vgic_create).

    Raises:
        KvmError: EEXIST: the machine has one; EBUSY: a vCPU has run, or is running; E2BIG: it has
            more vCPUs than a GICv2 can have.
    """
    call = "KVM_CREATE_DEVICE"
    if any(vcpu.running for vcpu in vm.soft_vcpus):
        raise KvmError(errno.EBUSY, call, "a vCPU is running")
    if vm.vgic is not None:
        raise KvmError(errno.EEXIST, call, "the machine has an interrupt controller already")
    if vm.has_run:
        raise KvmError(
            errno.EBUSY, call, "the vCPUs have run already: create the interrupt controller first"
        )
    if model == VGIC_V2:
        if len(vm.soft_vcpus) > VGIC_V2_MAX_CPUS:
            raise KvmError(
                errno.E2BIG,
                call,
                f"the machine has {len(vm.soft_vcpus)} vCPUs; with a GICv2 it can have "
                f"{VGIC_V2_MAX_CPUS}",
            )
        vm.max_vcpus = VGIC_V2_MAX_CPUS
    vm.vgic = VgicDist(model)


def check_vcpu(vm: VmState) -> None:
    """A vCPU is to be added (kvm_arch_vcpu_precreate). EBUSY: the vCPUs are counted already."""
    if vm.vgic is not None and vm.vgic.initialized:
        raise KvmError(
            errno.EBUSY,
            "KVM_CREATE_VCPU",
            "the interrupt controller has been initialised: create vCPUs first",
        )


def init(vm: VmState) -> None:
    """Make the interrupts, and give the processors their CPU interfaces (vgic_init)."""
    dist = vgic.get_dist(vm)
    if dist.initialized:
        return
    if not dist.nr_spis:
        dist.nr_spis = VGIC_NR_IRQS_LEGACY - VGIC_NR_PRIVATE_IRQS
    v3 = dist.model == VGIC_V3
    first = 0 if vm.soft_vcpus else None
    for n in range(dist.nr_spis):
        irq = VgicIrq(VGIC_NR_PRIVATE_IRQS + n, first)
        irq.group = int(v3)
        dist.spis.append(irq)
    for index, vcpu in enumerate(vm.soft_vcpus):
        gic = VgicCpu(index)
        for irq in gic.private_irqs:
            irq.group = int(v3)
            if v3:
                irq.mpidr = vcpu.affinity
            else:
                irq.targets = 1 << index
        if v3:
            gic.pendbaser = vgic_mmio_v3.INITIAL_PENDBASER
        dist.cpus.append(gic)
        dist.places[vcpu.affinity] = index
        vcpu.vgic_cpu = gic
        vgic_v3.enable(vcpu, gic)
    dist.initialized = True


def lazy_init(vm: VmState, call: str) -> None:
    """Initialise a GICv2 that is used first; a GICv3 must have been (vgic_lazy_init, EBUSY)."""
    dist = vgic.get_dist(vm)
    if dist.initialized:
        return
    if dist.model != VGIC_V2:
        raise KvmError(
            errno.EBUSY,
            call,
            "the GICv3 is not initialised: set KVM_DEV_ARM_VGIC_CTRL_INIT first",
        )
    with dist.lock:
        init(vm)


def map_resources(vm: VmState) -> None:
    """The first run: put the distributor in its place (kvm_vgic_map_resources).

    Raises:
        KvmError: ENXIO: an address is not set; EINVAL: frames overlap; EBUSY: a GICv3 that is not
            initialised.
    """
    dist = vgic.get_dist(vm)
    if dist.ready:
        return
    if dist.model == VGIC_V2:
        _map_v2(vm, dist)
        size, registers = V2_DIST_SIZE, vgic_mmio_v2.DIST_REGISTERS
    else:
        _map_v3(vm, dist)
        size, registers = V3_DIST_SIZE, vgic_mmio_v3.DIST_REGISTERS
    assert dist.dist_base is not None
    dist.ready = True
    dist.add_frame(Frame(dist.dist_base, dist.dist_base + size, registers, None))


def _map_v2(vm: VmState, dist: VgicDist) -> None:
    """vgic_v2_map_resources()"""
    if dist.dist_base is None or dist.cpu_base is None:
        raise _cannot_run(
            errno.ENXIO, "the addresses of the GICv2's distributor and CPU interface are not set"
        )
    start, other = sorted(
        ((dist.dist_base, V2_DIST_SIZE), (dist.cpu_base, V2_CPU_SIZE)),
    )
    if start[0] + start[1] > other[0]:
        raise _cannot_run(errno.EINVAL, "the GICv2's distributor and CPU interface overlap")
    init(vm)
    for vcpu in vm.soft_vcpus:
        vcpu.cpu.set_gicv(dist.cpu_base)


def _map_v3(vm: VmState, dist: VgicDist) -> None:
    """vgic_v3_map_resources()"""
    for place, vcpu in enumerate(vm.soft_vcpus):
        if place not in dist.redists:
            raise _cannot_run(errno.ENXIO, f"the redistributor of vCPU {vcpu.id} has no address")
    if dist.dist_base is None:
        raise _cannot_run(errno.ENXIO, "the address of the GICv3's distributor is not set")
    if not vgic_v3.check_base(vm, dist):
        raise _cannot_run(errno.EINVAL, "the GICv3's distributor and redistributors overlap")
    if not dist.initialized:
        raise _cannot_run(
            errno.EBUSY,
            "the GICv3 is not initialised: set KVM_DEV_ARM_VGIC_CTRL_INIT first",
        )


def _cannot_run(number: int, text: str) -> KvmError:
    return KvmError(number, "KVM_RUN", text)
