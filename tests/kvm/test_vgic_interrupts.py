"""Interrupts that guests take through the GICs in the kernel."""

from __future__ import annotations

import threading
import time

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitIntr
from guestdbg.kvm.regs import core_reg, sys_reg

from .gic_guest import (
    EOI,
    ICACTIVER,
    ISACTIVER,
    PTIMER,
    SPI,
    VTIMER,
    GicGuest,
    log_x0,
    ppi_line,
    spi_line,
    stop,
)
from .support import PC, RAM

UNMASK = asm.daifclr(2)
SELF = asm.b(0)
both = pytest.mark.parametrize("version", [2, 3])


def wait_forever() -> list[int]:
    return [UNMASK, asm.WFI, asm.b(-4)]


@both
def test_an_edge_is_taken_once(version: int) -> None:
    guest = GicGuest(*wait_forever(), version=version)
    guest.logging_handler()
    guest.enable(SPI)
    guest.edge(SPI)
    assert guest.go() == ExitIntr(idle=True)
    guest.vm.irq_line(spi_line(SPI), 1)
    guest.vm.irq_line(spi_line(SPI), 0)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [SPI]
    guest.vm.irq_line(spi_line(SPI), 1)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [SPI, SPI]


@both
def test_a_level_is_taken_until_it_is_low(version: int) -> None:
    guest = GicGuest(*wait_forever(), version=version)
    guest.handler(*guest.ack(), *log_x0(), *stop(1), *guest.eoi(), asm.ERET)
    guest.enable(SPI)
    guest.vm.irq_line(spi_line(SPI), 1)
    for _ in range(3):
        assert guest.until_stop() == 1
    guest.vm.irq_line(spi_line(SPI), 0)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [SPI] * 3


@both
def test_a_level_that_falls_before_it_is_taken_is_not(version: int) -> None:
    guest = GicGuest(*stop(1), *wait_forever(), version=version)
    guest.logging_handler()
    guest.enable(SPI)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop() == 1
    guest.vm.irq_line(spi_line(SPI), 0)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == []


@both
def test_the_virtual_timer_raises_its_ppi(version: int) -> None:
    """One exit of WFI a tick, and the counter jumps to the timer."""
    guest = GicGuest(*asm.mov(4, 1), asm.msr("CNTV_CTL_EL0", 4), *wait_forever(), version=version)
    guest.handler(
        *guest.ack(),
        *log_x0(),
        *asm.mov(5, 1000),
        asm.msr("CNTV_TVAL_EL0", 5),
        *guest.eoi(),
        asm.ERET,
    )
    guest.enable(VTIMER)
    guest.set_reg("CNTV_CVAL_EL0", 500)
    assert guest.go(instructions=600) == ExitIntr()
    assert len(guest.log()) > 10
    assert set(guest.log()) == {VTIMER}
    assert guest.vcpu.cpu.counter > 1000 * (len(guest.log()) - 2)


@both
@pytest.mark.parametrize(("name", "ppi"), [("CNTV", VTIMER), ("CNTP", PTIMER)])
def test_a_timer_that_is_not_served_interrupts_again(version: int, name: str, ppi: int) -> None:
    """The PPI is level-sensitive: it stays pending until the timer's condition is gone."""
    guest = GicGuest(
        asm.msr(f"{name}_CVAL_EL0", 31),
        *asm.mov(4, 1),
        asm.msr(f"{name}_CTL_EL0", 4),
        *wait_forever(),
        version=version,
    )
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.add(21, 21, 1),
        asm.cmp(21, 3),
        asm.b_cond("ne", 8),
        asm.msr(f"{name}_CTL_EL0", 31),
        *guest.eoi(),
        asm.ERET,
    )
    guest.enable(ppi)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [ppi] * 3


def test_the_timers_have_other_interrupts_if_userspace_says_so() -> None:
    guest = GicGuest(
        asm.msr("CNTV_CVAL_EL0", 31), *asm.mov(4, 1), asm.msr("CNTV_CTL_EL0", 4), *wait_forever()
    )
    guest.vcpu.set_device_attr(1, 0, (20).to_bytes(4, "little"))
    guest.handler(*guest.ack(), *log_x0(), asm.msr("CNTV_CTL_EL0", 31), *guest.eoi(), asm.ERET)
    guest.enable(20)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [20]


@both
def test_higher_priority_is_taken_first_and_preempts(version: int) -> None:
    low, high = SPI + 1, SPI + 2
    guest = GicGuest(*wait_forever(), version=version)
    # The handler of the low one makes the high one pending, and lets it in.
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.cmp(0, low),
        asm.b_cond("eq", 4 * (1 + len(guest.eoi()) + 1)),
        *guest.eoi(),
        asm.ERET,
        asm.mrs(10, "ELR_EL1"),
        asm.mrs(11, "SPSR_EL1"),
        *stop(7),
        UNMASK,
        asm.NOP,
        asm.daifset(2),
        asm.msr("ELR_EL1", 10),
        asm.msr("SPSR_EL1", 11),
        asm.movz(0, low),
        *log_x0(),
        *guest.eoi(),
        asm.ERET,
    )
    for intid, priority in ((low, 0xA0), (high, 0x80)):
        guest.enable(intid, priority)
        guest.edge(intid)
    guest.vm.irq_line(spi_line(low), 1)
    assert guest.until_stop() == 7
    guest.vm.irq_line(spi_line(high), 1)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [low, high, low]
    guest.vm.irq_line(spi_line(low), 1)
    guest.vm.irq_line(spi_line(high), 1)
    assert guest.until_stop() == 7
    assert guest.log()[3:] == [high, low]


@both
def test_more_pending_interrupts_than_list_registers(version: int) -> None:
    """They come by priority, whatever the order in which they became pending."""
    guest = GicGuest(*wait_forever(), version=version, irqs=96)
    guest.logging_handler()
    order = [(SPI + n * 7 % 30, 8 * (n * 5 % 20)) for n in range(20)]
    for intid, priority in order:
        guest.enable(intid, priority)
        guest.edge(intid)
    for intid, _ in order:
        guest.vm.irq_line(spi_line(intid), 1)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [intid for intid, _ in sorted(order, key=lambda pair: pair[1])]


@both
def test_more_active_interrupts_than_list_registers(version: int) -> None:
    """Each preempts the one before; the EOIs of those that are in no list register count too."""
    guest = GicGuest(*wait_forever(), version=version, irqs=96)
    depth = 10
    eoi = guest.eoi(12)
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.access("str", 30, 22, 8, mode="post"),
        asm.mrs(10, "ELR_EL1"),
        asm.mrs(11, "SPSR_EL1"),
        asm.pair("stp", 10, 11, 22, 16, mode="post"),
        asm.access("str", 0, 22, 8, mode="post"),
        *stop(7),
        UNMASK,
        asm.NOP,
        asm.daifset(2),
        asm.access("ldr", 12, 22, -8, mode="pre"),
        asm.pair("ldp", 10, 11, 22, -16, mode="pre"),
        asm.access("ldr", 30, 22, -8, mode="pre"),
        *eoi,
        asm.msr("ELR_EL1", 10),
        asm.msr("SPSR_EL1", 11),
        asm.ERET,
    )
    guest.set_x(22, RAM + 0x20000)
    for n in range(depth):
        guest.enable(SPI + n, 0xF0 - 16 * n)
        guest.edge(SPI + n)
    guest.vm.irq_line(spi_line(SPI), 1)
    for n in range(depth):
        assert guest.until_stop() == 7
        assert guest.dist(ISACTIVER + 4) == (2 << n) - 1
        if n + 1 < depth:
            guest.vm.irq_line(spi_line(SPI + n + 1), 1)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [SPI + n for n in range(depth)]
    assert guest.dist(ISACTIVER + 4) == 0, "all of them are deactivated"
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop() == 7


def test_with_eoimode_1_dir_deactivates() -> None:
    guest = GicGuest(*wait_forever())
    guest.icc("ICC_CTLR_EL1", guest.icc("ICC_CTLR_EL1") | 2)
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.msr(EOI, 0),
        *stop(1),
        asm.msr("ICC_DIR_EL1", 0),
        *stop(2),
        asm.ERET,
    )
    guest.enable(SPI)
    guest.edge(SPI)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop() == 1
    assert guest.dist(ISACTIVER + 4) == 1
    assert guest.until_stop() == 2
    assert guest.dist(ISACTIVER + 4) == 0
    assert guest.go() == ExitIntr(idle=True)


def test_one_vcpu_deactivates_an_interrupt_that_is_active_on_another() -> None:
    guest = GicGuest(*wait_forever(), vcpus=2)
    for n in range(2):
        guest.icc("ICC_CTLR_EL1", guest.icc("ICC_CTLR_EL1", vcpu=n) | 2, n)
    guest.handler(*guest.ack(), *log_x0(), asm.msr(EOI, 0), *stop(1), asm.ERET)
    guest.place(RAM + 0x100, *asm.mov(0, SPI), asm.msr("ICC_DIR_EL1", 0), *stop(2), SELF)
    guest.vcpus[1].set_one_reg(PC, RAM + 0x100)
    guest.enable(SPI)
    guest.edge(SPI)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop(0) == 1
    assert guest.dist(ISACTIVER + 4) == 1
    assert guest.until_stop(1) == 2
    assert guest.dist(ISACTIVER + 4) == 0
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop(0) == 1
    assert guest.log() == [SPI, SPI]


def test_an_sgi_wakes_another_vcpu() -> None:
    """ICC_SGI1R_EL1 to one, to all but oneself, and to oneself."""
    guest = GicGuest(*wait_forever(), vcpus=3)
    guest.logging_handler()
    for vcpu in guest.vcpus:
        vcpu.set_one_reg(PC, RAM)
    assert guest.in_turns() == [ExitIntr(idle=True)] * 3
    for value, expected in (
        (3 << 24 | 1 << 1, [[], [3], []]),
        (5 << 24 | 1 << 40, [[], [5], [5]]),
        (6 << 24 | 1, [[6], [], []]),
        (7 << 24 | 7, [[7], [7], [7]]),
    ):
        before = [len(guest.log(n)) for n in range(3)]
        guest.place(RAM + 0x100, *asm.mov(1, value), asm.msr("ICC_SGI1R_EL1", 1), *wait_forever())
        guest.vcpus[0].set_one_reg(PC, RAM + 0x100)
        assert guest.in_turns() == [ExitIntr(idle=True)] * 3
        assert [guest.log(n)[before[n] :] for n in range(3)] == expected


def test_an_ipi_costs_one_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """And acknowledging it none."""
    from guestdbg.kvm.soft.exits import handle_exit
    from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS

    guest = GicGuest(
        UNMASK, *asm.mov(1, 1 << 24 | 1), asm.msr("ICC_SGI1R_EL1", 1), asm.NOP, *stop(1)
    )
    guest.logging_handler()
    seen: list[int] = []
    counted = tuple(
        (lambda vcpu, esr, handler=handler: (seen.append(esr >> 26), handler(vcpu, esr))[1])
        for handler in EXIT_HANDLERS
    )
    monkeypatch.setattr("guestdbg.kvm.soft.vcpu.EXIT_HANDLERS", counted)
    assert handle_exit.EXIT_HANDLERS is not counted
    assert guest.until_stop() == 1
    assert guest.log() == [1]
    assert seen == [0x18, 0x24], "the SGI, and the end"


def test_sgis_of_a_gicv2_have_their_senders() -> None:
    """GICV_IAR gives the source in [12:10]; two senders are two interrupts."""
    guest = GicGuest(*wait_forever(), version=2, vcpus=3)
    guest.logging_handler()
    send = [*asm.mov(2, 0x08000F00), *asm.mov(1, 1 << 16 | 4), asm.access("strw", 1, 2)]
    guest.place(RAM + 0x100, *send, *wait_forever())
    for n in (1, 2):
        guest.vcpus[n].set_one_reg(PC, RAM + 0x100)
        assert guest.go(n) == ExitIntr(idle=True)
    assert guest.in_turns() == [ExitIntr(idle=True)] * 3
    assert sorted(guest.log(0)) == [1 << 10 | 4, 2 << 10 | 4]
    assert guest.log(1) == guest.log(2) == []


def test_an_spi_goes_to_the_vcpu_of_its_route() -> None:
    for version in (2, 3):
        guest = GicGuest(*wait_forever(), version=version, vcpus=2)
        guest.logging_handler()
        guest.vcpus[1].set_one_reg(PC, RAM)
        guest.edge(SPI)
        for target in (0, 1, 0):
            guest.enable(SPI, vcpu=target)
            guest.vm.irq_line(spi_line(SPI), 1)
            guest.in_turns()
        assert (guest.log(0), guest.log(1)) == ([SPI, SPI], [SPI])


@both
def test_ppis_of_userspace(version: int) -> None:
    guest = GicGuest(*wait_forever(), version=version)
    guest.handler(*guest.ack(), *log_x0(), *stop(1), *guest.eoi(), asm.ERET)
    guest.enable(16)
    guest.vm.irq_line(ppi_line(0, 16), 1)
    assert guest.until_stop() == 1
    guest.vm.irq_line(ppi_line(0, 16), 0)
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == [16]


def test_the_timers_own_their_interrupts() -> None:
    guest = GicGuest(*wait_forever())
    guest.logging_handler()
    guest.enable(VTIMER)
    assert guest.go() == ExitIntr(idle=True)
    guest.vm.irq_line(ppi_line(0, VTIMER), 1)  # no error, and no effect
    assert guest.go() == ExitIntr(idle=True)
    assert guest.log() == []


def test_a_vcpu_stays_in_its_wfi() -> None:
    """Running it again does not end the wait, as it does without an interrupt controller."""
    guest = GicGuest(asm.WFI, *stop(1))
    for _ in range(3):
        assert guest.go() == ExitIntr(idle=True)
    guest.enable(SPI)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.until_stop() == 1, "also while it is masked"


def test_a_kick_does_not_end_the_wait() -> None:
    """So a guest runs the same whenever it is kicked."""
    guest = GicGuest(asm.WFI, *stop(1))
    assert guest.go() == ExitIntr(idle=True)
    guest.vcpu.kick()
    assert guest.go() == ExitIntr(waiting=True)
    assert guest.go() == ExitIntr(idle=True)
    guest.pc += 8  # another place: there it runs
    guest.go()


def test_a_masked_priority_does_not_end_the_wait() -> None:
    guest = GicGuest(asm.WFI, *stop(1))
    guest.icc("ICC_PMR_EL1", 0x80)
    guest.enable(SPI, 0x80)
    guest.vm.irq_line(spi_line(SPI), 1)
    assert guest.go() == ExitIntr(idle=True)
    guest.icc("ICC_PMR_EL1", 0x88)
    assert guest.until_stop() == 1


def test_time_jumps_to_the_earliest_timer_of_all() -> None:
    """Two vCPUs with timers send the third one an SGI at their tick."""
    guest = GicGuest(*wait_forever(), vcpus=3)
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.msr("CNTV_CTL_EL0", 31),
        asm.msr("ICC_SGI1R_EL1", 23),
        *guest.eoi(),
        asm.ERET,
    )
    for n, ticks in enumerate((9_000_000, 4_000_000, 0)):
        guest.vcpu = guest.vcpus[n]
        guest.enable(VTIMER, vcpu=n)
        guest.pc = RAM
        if ticks:
            guest.set_reg("CNTV_CVAL_EL0", ticks)
            guest.set_reg("CNTV_CTL_EL0", 1)
            guest.set_x(23, 2 << 24 | 1 << 2)
    assert guest.in_turns() == [ExitIntr(idle=True)] * 3
    assert [guest.log(n) for n in range(3)] == [[VTIMER], [VTIMER], [2, 2]]
    assert 9_000_000 <= guest.vm.virtual_time < 9_001_000


def test_active_state_can_be_written_by_the_guest() -> None:
    guest = GicGuest(
        *asm.mov(2, 0x08000000 + ISACTIVER + 4),
        *asm.mov(1, 1),
        asm.access("strw", 1, 2),
        asm.access("ldrw", 3, 2),
        *asm.mov(2, 0x08000000 + ICACTIVER + 4),
        asm.access("strw", 1, 2),
        asm.access("ldrw", 4, 2),
        *stop(1),
    )
    guest.until_stop()
    assert (guest.x(3), guest.x(4)) == (1, 0)


@both
def test_wfi_sleeps_by_the_hosts_clock_until_another_thread_raises_a_line(version: int) -> None:
    guest = GicGuest(*wait_forever(), version=version, clock="host")
    guest.handler(*guest.ack(), *log_x0(), *stop(1))
    guest.enable(SPI)
    guest.edge(SPI)
    started = time.process_time()
    timer = threading.Timer(0.3, lambda: guest.vm.irq_line(spi_line(SPI), 1))
    timer.start()
    guest.vcpu.max_instructions = None
    guest.vcpu.run()
    timer.join()
    assert guest.log() == [SPI]
    assert time.process_time() - started < 0.2, "it has slept"


@both
def test_a_line_interrupts_a_running_guest_from_another_thread(version: int) -> None:
    guest = GicGuest(UNMASK, SELF, version=version)
    guest.handler(*guest.ack(), *log_x0(), *stop(1))
    guest.enable(SPI)
    timer = threading.Timer(0.1, lambda: guest.vm.irq_line(spi_line(SPI), 1))
    timer.start()
    guest.vcpu.max_instructions = None
    guest.vcpu.run()
    timer.join()
    assert guest.log() == [SPI]


def test_by_the_hosts_clock_one_thread_runs_all_vcpus_in_turns() -> None:
    """One that waits gives up its turn; when all wait, the thread sleeps until the next timer."""
    guest = GicGuest(*wait_forever(), vcpus=2, clock="host")
    guest.logging_handler()
    send = [*asm.mov(1, 3 << 24 | 1), asm.msr("ICC_SGI1R_EL1", 1)]
    guest.place(RAM + 0x100, *send, *wait_forever())
    guest.vcpus[1].set_one_reg(PC, RAM + 0x100)
    guest.enable(VTIMER)
    assert guest.go(0) == guest.go(1) == ExitIntr(waiting=True)
    assert guest.vcpus[0].waiting
    watchdog = threading.Timer(20, lambda: [vcpu.kick() for vcpu in guest.vcpus])
    watchdog.start()
    timer = 6_000_000  # ticks of 16 ns: 0.1 s
    guest.set_reg("CNTV_CVAL_EL0", guest.reg("CNTVCT_EL0") + timer)
    guest.set_reg("CNTV_CTL_EL0", 1)
    started = time.monotonic()
    while VTIMER not in guest.log(0) and time.monotonic() < started + 15:
        guest.go(0, 30)
        guest.go(1, 30)
    watchdog.cancel()
    assert guest.log(0)[:2] == [3, VTIMER]
    assert time.monotonic() < started + 10, "no kick was needed"


def test_vcpus_in_threads_send_each_other_sgis() -> None:
    """By the host's clock: each waits for the other's SGI, 50 times."""
    guest = GicGuest(vcpus=2, clock="host")
    for n in range(2):
        other = 1 << 24 | 1 << (1 - n)
        code = asm.assemble(
            RAM + 0x1000 * n,
            UNMASK,
            *([asm.mov(1, other), asm.msr("ICC_SGI1R_EL1", 1)] if n == 0 else []),
            asm.label("wait"),
            asm.WFI,
            asm.cmp(21, 50),
            asm.b_cond("ne", "wait"),
            stop(1),
        )
        guest.place(code.address, *code.words)
        guest.vcpus[n].set_one_reg(PC, code.address)
        guest.vcpus[n].set_one_reg(core_reg("x19"), other)
    guest.handler(
        *guest.ack(),
        *log_x0(),
        asm.add(21, 21, 1),
        *guest.eoi(),
        asm.msr("ICC_SGI1R_EL1", 19),
        asm.ERET,
    )
    threads = [threading.Thread(target=vcpu.run, daemon=True) for vcpu in guest.vcpus]
    for vcpu in guest.vcpus:
        vcpu.max_instructions = None
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert guest.log(0)[:50] == guest.log(1)[:50] == [1] * 50


def test_a_vcpu_that_is_powered_on_takes_interrupts() -> None:
    """PSCI CPU_ON resets the vCPU but not its redistributor, nor what is pending there."""
    guest = GicGuest(vcpus=2)
    guest.logging_handler()
    secondary = RAM + 0x1000
    guest.place(
        secondary,
        *asm.mov(0, 0x40008000),
        asm.msr("VBAR_EL1", 0),
        *asm.mov(20, 0x40011000),
        *asm.mov(0, 0xF8),
        asm.msr("ICC_PMR_EL1", 0),
        *asm.mov(0, 1),
        asm.msr("ICC_IGRPEN1_EL1", 0),
        *wait_forever(),
    )
    guest.place(
        RAM,
        *asm.mov(1, 2 << 24 | 2),
        asm.msr("ICC_SGI1R_EL1", 1),
        *asm.mov(0, 0xC4000003),
        *asm.mov(1, 1),
        *asm.mov(2, secondary),
        asm.hvc(),
        *stop(3),
    )
    guest.vcpus[1].set_mp_state(5)
    assert guest.until_stop() == 3
    assert guest.x(0) == 0
    assert guest.go(1) == ExitIntr(idle=True)
    assert guest.log(1) == [2]


def test_id_aa64pfr0_announces_a_gicv3() -> None:
    from .support import Guest

    for guest, expected in ((GicGuest(), 1), (GicGuest(version=2), 0), (Guest(), 0)):
        assert guest.reg("ID_AA64PFR0_EL1") >> 24 & 15 == expected
        guest.place(RAM, asm.mrs(3, "ID_AA64PFR0_EL1"), SELF)
        guest.run(2)
        assert guest.x(3) >> 24 & 15 == expected
        assert guest.vcpu.get_one_reg(sys_reg("ID_AA64PFR0_EL1")) == guest.x(3)
