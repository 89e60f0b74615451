"""A bare machine with an interrupt controller in the kernel, and guest programs that use it."""

from __future__ import annotations

from typing import Any

from guestdbg.check import assembler as asm
from guestdbg.kvm import Device, Exit, ExitIntr, ExitMmio
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.regs import sys_reg

from .support import DATA, NOWHERE, RAM, VECTORS, Guest

DIST, CPU_INTERFACE, REDIST = 0x08000000, 0x08010000, 0x080A0000
V2, V3 = kvm.KVM_DEV_TYPE_ARM_VGIC_V2, kvm.KVM_DEV_TYPE_ARM_VGIC_V3
ADDR = kvm.KVM_DEV_ARM_VGIC_GRP_ADDR
DIST_REGS, REDIST_REGS = kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS, kvm.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
CPU_REGS, SYS_REGS = kvm.KVM_DEV_ARM_VGIC_GRP_CPU_REGS, kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
LEVEL_INFO, NR_IRQS = kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS
CTRL, INIT = kvm.KVM_DEV_ARM_VGIC_GRP_CTRL, kvm.KVM_DEV_ARM_VGIC_CTRL_INIT

VTIMER, PTIMER, SPI = 27, 30, 32
IRQ_VECTOR = 0x280
#: Where each vCPU's handler writes the numbers of the interrupts that it takes: a word each.
LOG = DATA
LOG_SIZE = 0x1000
STOP = NOWHERE

#: Registers of the distributor, by offset; of a GICv3's private interrupts, from SGI_BASE on.
CTLR, TYPER, IIDR, IGROUPR, ISENABLER, ICENABLER = 0, 4, 8, 0x80, 0x100, 0x180
ISPENDR, ICPENDR, ISACTIVER, ICACTIVER = 0x200, 0x280, 0x300, 0x380
IPRIORITYR, ITARGETSR, ICFGR, IROUTER = 0x400, 0x800, 0xC00, 0x6000
SGIR, CPENDSGIR, SPENDSGIR = 0xF00, 0xF10, 0xF20
SGI_BASE = 0x10000

ACK, EOI = "ICC_IAR1_EL1", "ICC_EOIR1_EL1"


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def spi_line(intid: int) -> int:
    return kvm.KVM_ARM_IRQ_TYPE_SPI << 24 | intid


def ppi_line(vcpu: int, intid: int) -> int:
    return kvm.KVM_ARM_IRQ_TYPE_PPI << 24 | vcpu << 16 | intid


def stop(value: int) -> list[int]:
    """End the run with an MMIO exit that writes ``value``."""
    return asm.flat(asm.mov(9, STOP), asm.mov(8, value), asm.str_(8, 9))


def log_x0() -> list[int]:
    """Append W0 to the vCPU's log, whose end is in X20."""
    return [asm.access("strw", 0, 20, 4, mode="post")]


class GicGuest(Guest):
    """A machine with a GICv3 or GICv2, enabled, whose vCPUs take IRQs at ``VECTORS``."""

    def __init__(self, *words: int, version: int = 3, irqs: int = 64, **options: Any) -> None:
        super().__init__(*words, **options)
        self.version = version
        self.gic = self.make(irqs)
        self.dist(CTLR, 2 if version == 3 else 1)
        for n, vcpu in enumerate(self.vcpus):
            vcpu.set_one_reg(sys_reg("VBAR_EL1"), VECTORS)
            vcpu.set_one_reg(0x6030000000100000 + 2 * 20, LOG + n * LOG_SIZE)  # x20
            if version == 3:
                self.icc("ICC_PMR_EL1", 0xF8, n)
                self.icc("ICC_IGRPEN1_EL1", 1, n)
            else:
                self.set(CPU_REGS, n << 32 | 4, 0x1F)
                self.set(CPU_REGS, n << 32 | 0, 1)

    def make(self, irqs: int) -> Device:
        gic = self.vm.create_device(V3 if self.version == 3 else V2)
        gic.set_attr(NR_IRQS, 0, u32(irqs))
        if self.version == 3:
            gic.set_attr(ADDR, kvm.KVM_VGIC_V3_ADDR_TYPE_DIST, u64(DIST))
            gic.set_attr(ADDR, kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST, u64(REDIST))
        else:
            gic.set_attr(ADDR, kvm.KVM_VGIC_V2_ADDR_TYPE_DIST, u64(DIST))
            gic.set_attr(ADDR, kvm.KVM_VGIC_V2_ADDR_TYPE_CPU, u64(CPU_INTERFACE))
        gic.set_attr(CTRL, INIT, b"")
        return gic

    # -- registers, as userspace accesses them --------------------------------------------------

    def set(self, group: int, attr: int, value: int) -> None:
        self.gic.set_attr(group, attr, u32(value))

    def get(self, group: int, attr: int) -> int:
        return int.from_bytes(self.gic.get_attr(group, attr, 4), "little")

    def dist(self, offset: int, value: int | None = None) -> int:
        if value is not None:
            self.set(DIST_REGS, offset, value)
        return self.get(DIST_REGS, offset)

    def private(self, offset: int, value: int | None = None, vcpu: int = 0) -> int:
        """A register of a vCPU's SGIs and PPIs."""
        if self.version == 3:
            group, attr = REDIST_REGS, self.mpidr(vcpu) << 32 | SGI_BASE + offset
        else:
            group, attr = DIST_REGS, vcpu << 32 | offset
        if value is not None:
            self.set(group, attr, value)
        return self.get(group, attr)

    def mpidr(self, vcpu: int) -> int:
        return vcpu >> 4 << 8 | vcpu & 15

    def icc(self, name: str, value: int | None = None, vcpu: int = 0) -> int:
        attr = self.mpidr(vcpu) << 32 | sys_reg(name) & 0xFFFF
        if value is not None:
            self.gic.set_attr(SYS_REGS, attr, u64(value))
        return int.from_bytes(self.gic.get_attr(SYS_REGS, attr, 8), "little")

    def enable(self, intid: int, priority: int = 0xA0, vcpu: int = 0) -> None:
        """Enable an interrupt, with a priority, and for an SPI the vCPU it goes to."""
        n, bit = intid // 32 * 4, 1 << intid % 32
        access = self.dist if intid >= 32 else lambda o, v=None: self.private(o, v, vcpu)
        access(ISENABLER + n, bit)
        word, shift = IPRIORITYR + (intid & ~3), 8 * (intid & 3)
        access(word, access(word) & ~(0xFF << shift) | priority << shift)
        if intid >= 32 and self.version == 3:
            self.dist(IROUTER + 8 * intid, self.mpidr(vcpu))
        elif intid >= 32:
            word = ITARGETSR + (intid & ~3)
            self.dist(word, self.dist(word) & ~(0xFF << shift) | 1 << vcpu << shift)

    def edge(self, intid: int) -> None:
        word, bit = ICFGR + intid // 16 * 4, 2 << 2 * (intid % 16)
        self.dist(word, self.dist(word) | bit)

    # -- programs -------------------------------------------------------------------------------

    def ack(self, rt: int = 0) -> list[int]:
        """Acknowledge an interrupt into a register."""
        if self.version == 3:
            return [asm.mrs(rt, ACK)]
        return asm.flat(asm.mov(7, CPU_INTERFACE), asm.access("ldrw", rt, 7, 0xC))

    def eoi(self, rt: int = 0) -> list[int]:
        if self.version == 3:
            return [asm.msr(EOI, rt)]
        return asm.flat(asm.mov(7, CPU_INTERFACE), asm.access("strw", rt, 7, 0x10))

    def handler(self, *words: int) -> None:
        """The code at the IRQ vector."""
        assert len(words) <= 32, "the vector has room for 32 instructions"
        self.place(VECTORS + IRQ_VECTOR, *words)

    def logging_handler(self) -> None:
        """Acknowledge, log, end of interrupt, return."""
        self.handler(*self.ack(), *log_x0(), *self.eoi(), asm.ERET)

    def log(self, vcpu: int = 0) -> list[int]:
        """The interrupts that a vCPU has logged."""
        start = LOG + vcpu * LOG_SIZE
        end = self.vcpus[vcpu].get_one_reg(0x6030000000100000 + 2 * 20)
        memory = self.memory[start - RAM : end - RAM]
        return [int.from_bytes(memory[n : n + 4], "little") for n in range(0, len(memory), 4)]

    def until_stop(self, vcpu: int = 0, instructions: int = 10_000) -> int:
        """Run one vCPU until it ends the run by ``stop``; the value."""
        exit_ = self.go(vcpu, instructions)
        assert isinstance(exit_, ExitMmio), exit_
        assert exit_.phys_addr == STOP, exit_
        return int.from_bytes(exit_.data, "little")

    def go(self, vcpu: int = 0, instructions: int = 10_000) -> Exit:
        chosen = self.vcpus[vcpu]
        chosen.max_instructions = chosen.instructions + instructions
        return chosen.run()

    def in_turns(self, instructions: int = 200, turns: int = 50) -> list[Exit]:
        """Run all vCPUs in turns, until every one waits for ever; the last exits."""
        exits: list[Exit] = []
        for _ in range(turns):
            exits = [self.go(n, instructions) for n in range(len(self.vcpus))]
            if all(exit_ == ExitIntr(idle=True) for exit_ in exits):
                break
        return exits
