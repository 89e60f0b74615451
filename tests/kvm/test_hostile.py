"""Whatever a guest and userspace do, a call of the seam gives an exit or a KvmError."""

import errno
import random

import pytest

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.check import assembler as asm
from guestdbg.kvm import Exit, ExitMmio, GuestDebug, KvmError
from guestdbg.kvm.constants import KVM_GUESTDBG_VALID_MASK

from .support import DATA, NOWHERE, RAM, RAM_SIZE, VECTORS, Guest

SEEDS = range(12)
NAMES = sorted(name for name, reg in SYSREGS.items() if reg.op0 >= 2)


def word(chance: random.Random) -> int:
    """An instruction word: anything at all, or something that EL2 has to do with."""
    rt = chance.randrange(32)
    kind = chance.randrange(10)
    if kind < 3:
        return chance.getrandbits(32)
    if kind == 3:
        return asm.mrs(rt, chance.choice(NAMES))
    if kind == 4:
        return asm.msr(chance.choice(NAMES), rt)
    if kind == 5:
        # MSR, MRS, SYS with any operands
        return 0xD5000000 | chance.getrandbits(22)
    if kind == 6:
        return chance.choice([asm.hvc(), asm.smc(7), asm.svc(), asm.brk(9), asm.WFI, asm.ERET])
    if kind == 7:
        access = chance.choice(["str", "ldr", "strb", "ldrsh", "strw", "ldrsbw"])
        return asm.access(access, rt, chance.randrange(31), 8 * chance.randrange(64))
    if kind == 8:
        return asm.b(4 * chance.randrange(-40, 40))
    return asm.add(rt, chance.randrange(32), chance.getrandbits(12))


def value(chance: random.Random) -> int:
    return chance.choice(
        [
            0,
            (1 << 64) - 1,
            chance.getrandbits(64),
            chance.getrandbits(16),
            RAM + 4 * chance.randrange(RAM_SIZE // 4),
            DATA,
            NOWHERE,
            0x84000000 + chance.randrange(20) | chance.getrandbits(1) << 30,
        ]
    )


def debug(chance: random.Random) -> GuestDebug:
    sets = [tuple(value(chance) for _ in range(chance.randrange(17))) for _ in range(4)]
    return GuestDebug(chance.getrandbits(18) & KVM_GUESTDBG_VALID_MASK, *sets)


def run(guest: Guest, chance: random.Random) -> Exit | None:
    try:
        exit_ = guest.run(chance.choice([1, 10, 500]))
    except KvmError as error:
        # The one state that the kernel refuses to run.
        if error.errno != errno.ENOSYS:
            raise
        guest.pc = RAM + 4 * chance.randrange(256)
        return None
    if isinstance(exit_, ExitMmio) and not exit_.is_write and chance.random() < 0.9:
        guest.vcpu.complete_mmio(chance.randbytes(exit_.len))
    return exit_


@pytest.mark.parametrize("seed", SEEDS)
def test_random_guests_under_random_debugging(seed: int) -> None:
    chance = random.Random(seed)
    seen: set[type] = set()
    for _ in range(12):
        guest = Guest(
            *(word(chance) for _ in range(256)),
            breakpoints=chance.randrange(2, 17),
            watchpoints=chance.randrange(2, 17),
            context_aware=2,
            vcpus=2,
        )
        guest.place(VECTORS, *(word(chance) for _ in range(512)))
        for vcpu in guest.vcpus:
            guest.vcpu = vcpu
            for reg_id in vcpu.get_reg_list():
                if chance.random() < 0.7:
                    continue
                try:
                    vcpu.set_one_reg(reg_id, value(chance))
                except KvmError as error:
                    if error.errno != errno.EINVAL:
                        raise
            guest.set_reg("VBAR_EL1", VECTORS)
            guest.pc = RAM
        for _ in range(60):
            guest.vcpu = chance.choice(guest.vcpus)
            if chance.random() < 0.3:
                guest.vcpu.set_guest_debug(debug(chance))
            if chance.random() < 0.1:
                guest.pc = RAM + 4 * chance.randrange(256)
            if chance.random() < 0.05:
                guest.vm.irq_line(chance.randrange(2), chance.randrange(2))
            if chance.random() < 0.05:
                guest.vcpu.set_mp_state(0)
            seen.add(type(run(guest, chance)))
            str(guest.vcpu.debug_state)
        for vcpu in guest.vcpus:
            for reg_id in vcpu.get_reg_list():
                vcpu.get_one_reg(reg_id)
    assert len(seen) >= 3, seen
