"""Snapshots of machines with a GIC in the kernel."""

from __future__ import annotations

import errno
import random

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitIntr, KvmError

from .gic_guest import CTRL, INIT, ISACTIVER, SPI, V3, VTIMER, GicGuest, spi_line, stop
from .support import PC, RAM, Guest


@pytest.mark.parametrize("version", [2, 3])
def test_interrupts_come_back(version: int) -> None:
    """Pending, active, in list registers and outside: the run after a restore is the same."""
    guest = GicGuest(asm.daifclr(2), asm.WFI, asm.b(-4), version=version, irqs=96)
    guest.handler(*guest.ack(), *stop(1), *guest.eoi(), asm.ERET)
    for n in range(8):
        guest.enable(SPI + n, 0x80 + 8 * n)
        guest.edge(SPI + n)
        guest.vm.irq_line(spi_line(SPI + n), 1)
    assert guest.until_stop() == 1
    snapshot = guest.vm.snapshot()

    def rest() -> list[int]:
        taken = [guest.x(0)]
        while guest.go() != ExitIntr(idle=True):
            taken.append(guest.x(0))
        return taken

    first = rest()
    assert len(first) == 8
    assert guest.dist(ISACTIVER + 4) == 0
    for _ in range(2):
        guest.vm.restore(snapshot)
        assert rest() == first
    guest.vm.restore(snapshot)
    assert guest.dist(ISACTIVER + 4) == 1


@pytest.mark.parametrize("version", [2, 3])
def test_a_snapshot_changes_nothing(version: int) -> None:
    """Timers and SGIs of two vCPUs; with and without snapshots in between."""

    def play(take: bool) -> list[object]:
        guest = GicGuest(version=version, vcpus=2)
        for n, vcpu in enumerate(guest.vcpus):
            other = 1 - n
            send = (
                [*asm.mov(1, 1 << 24 | 1 << other), asm.msr("ICC_SGI1R_EL1", 1)]
                if version == 3
                else [
                    *asm.mov(2, 0x08000F00),
                    *asm.mov(1, 1 << 16 + other | 1),
                    asm.access("strw", 1, 2),
                ]
            )
            guest.place(RAM + 0x1000 * n, asm.daifclr(2), *send, asm.NOP, asm.WFI, asm.b(-4))
            vcpu.set_one_reg(PC, RAM + 0x1000 * n)
            guest.enable(VTIMER, vcpu=n)
            guest.vcpu = vcpu
            guest.set_reg("CNTV_CVAL_EL0", 1000 + 300 * n)
            guest.set_reg("CNTV_CTL_EL0", 1)
        guest.handler(
            *guest.ack(),
            asm.access("strw", 0, 20, 4, mode="post"),
            *asm.mov(5, 700),
            asm.msr("CNTV_TVAL_EL0", 5),
            *guest.eoi(),
            asm.ERET,
        )
        rng = random.Random(7)
        seen: list[object] = []
        for _ in range(60):
            n, steps = rng.randrange(2), rng.choice([3, 10, 50])
            if take:
                guest.vm.restore(guest.vm.snapshot())
            seen.append((n, guest.go(n, steps), guest.vcpus[n].instructions))
        return [*seen, guest.log(0), guest.log(1), guest.vm.virtual_time]

    plain = play(False)
    assert play(True) == plain
    assert VTIMER in plain[-3]  # type: ignore[operator]


def test_the_controller_is_initialised_before_the_first_snapshot() -> None:
    guest = Guest()
    gic = guest.vm.create_device(V3)
    snapshot = guest.vm.snapshot()
    gic.set_attr(CTRL, INIT, b"")
    with pytest.raises(KvmError, match="controller initialised: False in") as error:
        guest.vm.restore(snapshot)
    assert error.value.errno == errno.EINVAL
