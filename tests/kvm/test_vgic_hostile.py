"""Hostile guests and userspace: the GIC's registers written at random, in every order."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitIntr, ExitMmio, KvmError
from guestdbg.kvm.soft.vgic import vgic
from guestdbg.kvm.soft.vgic.arm_vgic import VGIC_NR_LR

from .gic_guest import (
    ADDR,
    CPU_INTERFACE,
    CPU_REGS,
    CTRL,
    DIST,
    DIST_REGS,
    LEVEL_INFO,
    NR_IRQS,
    REDIST,
    REDIST_REGS,
    SYS_REGS,
    GicGuest,
    ppi_line,
    spi_line,
)
from .support import PC, RAM, VECTORS

GROUPS = (ADDR, DIST_REGS, CPU_REGS, NR_IRQS, CTRL, REDIST_REGS, SYS_REGS, LEVEL_INFO, 8, 99)
#: Registers of the CPU interface that a guest can write or read.
ICC = sorted(name for name in SYSREGS if name.startswith("ICC_") and name.endswith("_EL1"))
#: Loads and stores of all sizes, of X1 at X2.
ACCESSES = [
    asm.access(name, 1, 2)
    for name in ("ldr", "str", "ldrw", "strw", "ldrh", "strh", "ldrb", "strb", "ldrsw", "ldrsb")
]


def check(guest: GicGuest) -> None:
    """What holds of the interrupts' queues at any time."""
    dist = vgic.get_dist(guest.vm)
    everything = [*dist.spis, *(irq for cpu in dist.cpus for irq in cpu.private_irqs)]
    for cpu in dist.cpus:
        assert len(cpu.lr_irqs) <= VGIC_NR_LR
        assert len({id(irq) for irq in cpu.ap_list}) == len(cpu.ap_list)
        assert all(irq.vcpu == cpu.index for irq in cpu.ap_list)
        queued = {id(irq) for irq in cpu.ap_list}
        assert all(id(irq) in queued for irq in cpu.lr_irqs)
        # A processor that has two registers for one interrupt is unpredictable.
        loaded = guest.vcpus[cpu.index].cpu.save_list_registers()
        ids = [value & 0xFFFFFFFF for value in loaded if value >> 62]
        assert len(ids) == len(set(ids))
    for irq in everything:
        assert irq.vcpu is None or irq in dist.cpus[irq.vcpu].ap_list
        assert irq.priority & ~0xF8 == 0
        assert 0 <= irq.source < 256


def addresses(rng: random.Random, version: int) -> int:
    """An address in one of the frames, or near them."""
    if version == 2:
        base, size = rng.choice([(DIST, 0x1000), (CPU_INTERFACE, 0x2000), (DIST, 0x1100)])
    else:
        base, size = rng.choice([(DIST, 0x10000), (REDIST, 0x40000), (DIST, 0xD00)])
    return base + rng.randrange(size) & ~rng.choice([0, 3, 3, 7])


def program(rng: random.Random, version: int) -> list[int]:
    """Code that writes registers of the frames and of the CPU interface; it may never end."""
    words = []
    for _ in range(rng.randrange(4, 24)):
        value = rng.choice([0, 1, rng.getrandbits(5), rng.getrandbits(32), (1 << 64) - 1])
        words += asm.mov(1, value)
        if rng.random() < 0.6:
            words += [*asm.mov(2, addresses(rng, version)), rng.choice(ACCESSES)]
        elif version == 3:
            name = rng.choice(ICC)
            words.append(rng.choice([asm.msr(name, 1), asm.mrs(1, name)]))
            if rng.random() < 0.4:
                words += [asm.mrs(1, "ICC_IAR1_EL1"), asm.msr("ICC_EOIR1_EL1", 1)]
        if rng.random() < 0.1:
            words += [asm.daifclr(3), asm.WFI]
    return words


@pytest.mark.parametrize("version", [2, 3])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None)
def test_random_programs_on_all_vcpus(version: int, seed: int) -> None:
    """No exception, no hang, and the queues stay sound."""
    rng = random.Random(seed)
    guest = GicGuest(version=version, vcpus=2, irqs=rng.choice([64, 96, 256]))
    try:
        for n, vcpu in enumerate(guest.vcpus):
            guest.place(RAM + 0x4000 * n, *program(rng, version), asm.b(0))
            vcpu.set_one_reg(PC, RAM + 0x4000 * n)
        guest.handler(*guest.ack(), *guest.eoi(), asm.ERET)
        skip = [asm.mrs(10, "ELR_EL1"), asm.add(10, 10, 4), asm.msr("ELR_EL1", 10), asm.ERET]
        guest.place(VECTORS + 0x200, *skip)
        group0 = [asm.mrs(0, "ICC_IAR0_EL1"), asm.msr("ICC_EOIR0_EL1", 0)]
        guest.place(VECTORS + 0x300, *(guest.ack() if version == 2 else group0), asm.ERET)
        for _ in range(12):
            n = rng.randrange(2)
            what = rng.random()
            if what < 0.2:
                guest.vm.irq_line(spi_line(rng.randrange(32, 64)), rng.getrandbits(1))
            elif what < 0.3:
                guest.vm.irq_line(ppi_line(n, rng.randrange(16, 32)), rng.getrandbits(1))
            exit_ = guest.go(n, rng.choice([1, 20, 300]))
            assert isinstance(exit_, ExitMmio | ExitIntr), exit_
            check(guest)
    finally:
        guest.vm.close()


attributes = st.tuples(
    st.sampled_from(GROUPS),
    st.one_of(
        st.integers(0, 6),
        st.integers(0, 0xFFF).map(lambda n: n & ~3),
        st.integers(0, 0x1FFFF).map(lambda n: n & ~3),
        st.integers(0, 0xFFF).map(lambda n: 0x10000 | n & ~3),
        st.sampled_from([SYSREGS[name].encoding for name in ICC]),
        st.integers(0, (1 << 64) - 1),
    ),
    st.sampled_from([0, 0, 1, 2, 255]),
    st.one_of(
        st.integers(0, (1 << 64) - 1).map(lambda n: n.to_bytes(8, "little")),
        st.integers(0, (1 << 32) - 1).map(lambda n: n.to_bytes(4, "little")),
        st.binary(max_size=9),
    ),
)


@pytest.mark.parametrize("version", [2, 3])
@given(calls=st.lists(attributes, max_size=40))
@settings(max_examples=30, deadline=None)
def test_random_attributes(version: int, calls: list[tuple[int, int, int, bytes]]) -> None:
    """Every call succeeds or raises KvmError; then the guest runs with what was set."""
    guest = GicGuest(asm.daifclr(3), asm.NOP, asm.b(-4), version=version, vcpus=2)
    guest.handler(*guest.ack(), *guest.eoi(), asm.ERET)
    try:
        for group, attr, vcpu, value in calls:
            attr = attr | vcpu << 32 & (1 << 64) - 1
            for call in (
                lambda g=group, a=attr, v=value: guest.gic.set_attr(g, a, v),
                lambda g=group, a=attr, v=value: guest.gic.get_attr(g, a, len(v)),
                lambda g=group, a=attr: guest.gic.has_attr(g, a),
            ):
                with contextlib.suppress(KvmError):
                    call()
            check(guest)
        for n in range(2):
            guest.vcpus[n].set_one_reg(PC, RAM)
            assert isinstance(guest.go(n, 500), ExitIntr)
            check(guest)
    finally:
        guest.vm.close()
