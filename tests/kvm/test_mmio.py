"""MMIO exits with decoded syndromes, stage 2 aborts, WFI, interrupt lines, and time."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.kvm import (
    ExitArmNisv,
    ExitDebug,
    ExitInternalError,
    ExitIntr,
    ExitMmio,
    KvmError,
    VcpuEvents,
)
from guestdbg.kvm.constants import KVM_CAP_ARM_NISV_TO_USER
from guestdbg.kvm.soft.run.requests import power_off

from .support import (
    NOWHERE,
    PC,
    RAM,
    STEP,
    USE_HW,
    VECTORS,
    WATCH_BOTH,
    Guest,
)

U64 = (1 << 64) - 1
LOADS = {
    # name: (bytes, signed, 64-bit destination)
    "ldr": (8, False, True),
    "ldrw": (4, False, False),
    "ldrsw": (4, True, True),
    "ldrh": (2, False, False),
    "ldrsh": (2, True, True),
    "ldrshw": (2, True, False),
    "ldrb": (1, False, False),
    "ldrsb": (1, True, True),
    "ldrsbw": (1, True, False),
}
STORES = {"str": 8, "strw": 4, "strh": 2, "strb": 1}
GUEST = Guest()


def fresh(*code: int) -> Guest:
    """The one machine, as new: making one for each example would take most of the time."""
    guest = GUEST
    guest.vcpu.init(guest.vm.preferred_target())
    guest.place(RAM, *code)
    guest.pc = RAM
    guest.debug(0)
    return guest


@given(
    st.sampled_from(sorted(LOADS)),
    st.integers(0, U64),
    st.integers(0, 31),
    st.integers(0, 255),
)
def test_read_is_answered_and_extended_as_the_load_says(
    name: str, value: int, rt: int, offset: int
) -> None:
    """SAS gives the size, SSE the sign extension, SF the width, SRT the register."""
    size, signed, wide = LOADS[name]
    guest = fresh(asm.access(name, rt, 1 if rt != 1 else 2, offset * size), asm.b(0))
    guest.set_x(1 if rt != 1 else 2, NOWHERE)
    if rt != 31:
        guest.set_x(rt, 0x5555555555555555)
    assert guest.run() == ExitMmio(NOWHERE + offset * size, bytes(size), size, False)
    assert guest.pc == RAM, "not yet: the answer is still to come"
    data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    guest.vcpu.complete_mmio(data)
    guest.run(20)
    assert guest.pc == RAM + 4
    if rt != 31:
        number = int.from_bytes(data, "little", signed=signed)
        assert guest.x(rt) == number & (U64 if wide else 0xFFFFFFFF)


@given(st.sampled_from(sorted(STORES)), st.integers(0, U64), st.integers(0, 31))
def test_write_brings_the_bytes_of_its_size(name: str, value: int, rt: int) -> None:
    size = STORES[name]
    base = 1 if rt != 1 else 2
    guest = fresh(asm.access(name, rt, base), asm.b(0))
    if rt != 31:
        guest.set_x(rt, value)
    guest.set_x(base, NOWHERE + 64)
    stored = (value if rt != 31 else 0) & ((1 << 8 * size) - 1)
    data = stored.to_bytes(size, "little")
    assert guest.run() == ExitMmio(NOWHERE + 64, data, size, True)
    guest.run(20)
    assert guest.pc == RAM + 4


def test_unanswered_read_is_zero() -> None:
    guest = fresh(asm.ldr(0, 1), asm.b(0))
    guest.set_x(0, 5)
    guest.set_x(1, NOWHERE)
    guest.run()
    guest.run(20)
    assert guest.x(0) == 0


def test_immediate_exit_completes_the_access_and_runs_nothing() -> None:
    guest = fresh(asm.ldr(0, 1), asm.add(2, 2, 1), asm.b(0))
    guest.set_x(1, NOWHERE)
    guest.run()
    guest.vcpu.complete_mmio(bytes(range(8)))
    guest.vcpu.immediate_exit = True
    assert guest.vcpu.run() == ExitIntr()
    assert (guest.pc, guest.x(0), guest.x(2)) == (RAM + 4, 0x0706050403020100, 0)
    assert guest.vcpu.run() == ExitIntr()
    assert guest.pc == RAM + 4
    guest.vcpu.immediate_exit = False


def test_answers_that_do_not_fit_are_refused() -> None:
    guest = fresh(asm.access("ldrw", 0, 1), asm.str_(0, 1), asm.b(0))
    with pytest.raises(KvmError, match="no MMIO read"):
        guest.vcpu.complete_mmio(bytes(4))
    guest.set_x(1, NOWHERE)
    guest.run()
    with pytest.raises(KvmError, match="8 bytes answer a read of 4"):
        guest.vcpu.complete_mmio(bytes(8))
    guest.vcpu.complete_mmio(bytes(4))
    guest.run()
    with pytest.raises(KvmError, match="no MMIO read"):
        guest.vcpu.complete_mmio(bytes(8))


def test_stepping_an_access_gives_the_access_first_then_the_step() -> None:
    """The other exit comes first; the step ends with its completion."""
    guest = fresh(asm.ldr(0, 1), asm.add(2, 2, 1))
    guest.set_x(1, NOWHERE)
    guest.debug(STEP)
    assert isinstance(guest.run(), ExitMmio)
    guest.vcpu.complete_mmio(bytes([7]) + bytes(7))
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert (exit_.ec, guest.pc, guest.x(0), guest.x(2)) == (0x32, RAM + 4, 7, 0)


def test_access_outside_memory_comes_before_its_watchpoint() -> None:
    """The stage 2 abort has the higher priority: a watch on MMIO is seen as the MMIO exit."""
    guest = fresh(asm.ldr(0, 1), asm.b(0))
    guest.set_x(1, NOWHERE)
    guest.debug(USE_HW, dbg_wcr=(WATCH_BOTH,), dbg_wvr=(NOWHERE,))
    assert isinstance(guest.run(), ExitMmio)


@pytest.mark.parametrize(
    "word", [asm.stp(2, 3, 1), asm.ldp(2, 3, 1), 0xF8008422], ids=["stp", "ldp", "str post-index"]
)
def test_access_without_syndrome(word: int) -> None:
    """ISV = 0: ENOSYS as from the kernel, or KVM_EXIT_ARM_NISV where that was enabled."""
    guest = Guest(word)
    guest.set_x(1, NOWHERE + 8)
    with pytest.raises(KvmError, match="does not describe") as error:
        guest.run()
    assert error.value.errno == errno.ENOSYS
    assert error.value.call == "KVM_RUN"
    guest.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
    exit_ = guest.run()
    assert isinstance(exit_, ExitArmNisv)
    assert exit_.fault_ipa == NOWHERE + 8
    assert exit_.esr_iss & 0x3C == 4, "a translation fault"
    assert bool(exit_.esr_iss & 1 << 6) == (word != asm.ldp(2, 3, 1))
    # Userspace emulates it by hand, and moves on.
    guest.pc += 4
    guest.place(RAM + 4, asm.b(0))
    assert guest.run(10) == ExitIntr()


def test_external_abort_instead_of_an_answer() -> None:
    """KVM_SET_VCPU_EVENTS ext_dabt_pending: the access becomes an external abort of the guest."""
    guest = Guest(asm.ldr(0, 1))
    guest.place(VECTORS + 0x200, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_x(1, NOWHERE + 0x18)
    assert isinstance(guest.run(), ExitMmio)
    guest.vcpu.set_vcpu_events(VcpuEvents(ext_dabt_pending=True))
    guest.run(10)
    assert guest.pc == VECTORS + 0x200
    assert guest.reg("ESR_EL1") == 0x96000010
    assert guest.reg("FAR_EL1") == NOWHERE + 0x18


def test_enable_cap_of_anything_else_is_refused() -> None:
    with pytest.raises(KvmError) as error:
        Guest().vm.enable_cap(23)
    assert error.value.errno == errno.EINVAL


# -- aborts ---------------------------------------------------------------------------------------


def test_jump_to_no_memory_is_an_instruction_abort_of_the_guest() -> None:
    """A synchronous external abort: EC 0x21 from EL1, IFSC 0x10, FAR the address."""
    guest = Guest(asm.br(1))
    guest.place(VECTORS + 0x200, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_x(1, NOWHERE)
    assert guest.run(50) == ExitIntr()
    assert guest.pc == VECTORS + 0x200
    assert guest.reg("ESR_EL1") == 0x86000010
    assert guest.reg("FAR_EL1") == NOWHERE
    assert guest.reg("ESR_EL1") >> 26 == 0x21


def test_jump_to_no_memory_without_a_vector_ends_with_an_explanation() -> None:
    """It would take the same abort again and again; the kernel lets it."""
    guest = Guest(asm.br(1))
    guest.set_x(1, NOWHERE)
    exit_ = guest.run()
    assert isinstance(exit_, ExitInternalError)
    assert "VBAR_EL1" in exit_.text
    assert isinstance(guest.run(), ExitInternalError), "and says so again"


VECTOR_THAT_FAILS = {
    "UNDEFINED": 0,
    "BRK": asm.brk(1),
    "trapped system register": asm.mrs(1, "PMCR_EL0"),
    "access beyond the machine": asm.ldr(0, 1),
}


@pytest.mark.parametrize("word", VECTOR_THAT_FAILS.values(), ids=VECTOR_THAT_FAILS)
def test_exception_vector_that_raises_an_exception_ends_with_an_explanation(word: int) -> None:
    """No instruction retires any more, so an instruction limit would not end it."""
    guest = Guest(asm.NOP, word)
    guest.place(VECTORS + 0x200, word)
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_x(1, 1 << 41)
    exit_ = guest.run()
    assert isinstance(exit_, ExitInternalError)
    assert f"{VECTORS + 0x200:#x}" in exit_.text
    assert isinstance(guest.run(), ExitInternalError), "and says so again"
    # The host can still repair it.
    guest.place(VECTORS + 0x200, asm.add(5, 5, 1), asm.b(0))
    assert guest.run(10) == ExitIntr()
    assert guest.x(5) == 1


def test_jump_to_no_memory_from_el0() -> None:
    guest = Guest(asm.br(1))
    guest.place(VECTORS + 0x400, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.pstate = 0
    guest.set_x(1, NOWHERE)
    guest.run(50)
    assert guest.pc == VECTORS + 0x400
    assert guest.reg("ESR_EL1") >> 26 == 0x20


def test_stepping_to_no_memory_stops_at_the_vector() -> None:
    guest = Guest(asm.br(1))
    guest.place(VECTORS + 0x200, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_x(1, NOWHERE)
    guest.debug(STEP)
    assert guest.run() == ExitDebug(0xCB000022)
    assert guest.pc == NOWHERE
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert (exit_.ec, guest.pc) == (0x32, VECTORS + 0x200)


def test_page_tables_where_there_is_no_memory_are_an_abort_of_the_guest() -> None:
    guest = Guest(*asm.mov(2, 1), asm.msr("SCTLR_EL1", 2), asm.ISB, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_reg("TTBR0_EL1", NOWHERE & ~0xFFF)
    guest.set_reg("TCR_EL1", 25)
    assert isinstance(guest.run(), ExitInternalError)
    assert guest.reg("ESR_EL1") >> 26 in (0x21, 0x25)


def test_cache_maintenance_outside_memory_is_done() -> None:
    guest = Guest(asm.dc_ivac(1), asm.b(0))
    guest.set_x(1, NOWHERE)
    assert guest.run(20) == ExitIntr()
    assert guest.pc == RAM + 4


def test_address_beyond_the_machine_is_an_external_abort() -> None:
    """Above the machine's 40 bits, within the processor's 44: an external abort to the guest."""
    guest = Guest(asm.ldr(0, 1))
    guest.place(VECTORS + 0x200, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.set_x(1, 1 << 41)
    guest.run(10)
    assert guest.pc == VECTORS + 0x200
    assert guest.reg("ESR_EL1") == 0x96000010
    assert guest.reg("FAR_EL1") == 1 << 41


# -- waiting --------------------------------------------------------------------------------------


def test_wfi_with_nothing_to_wait_for_is_idle() -> None:
    guest = Guest(asm.WFI, asm.add(0, 0, 1), asm.b(-8))
    for n in range(3):
        assert guest.run() == ExitIntr(idle=True)
        assert (guest.pc, guest.x(0)) == (RAM + 4, n), "the wait is over when it runs again"


def test_wfe_does_not_wait() -> None:
    guest = Guest(asm.WFE, asm.add(0, 0, 1), asm.b(0))
    assert guest.run(20) == ExitIntr()
    assert guest.x(0) == 1


def test_wfi_warps_virtual_time_to_the_next_timer_event() -> None:
    """Ten seconds of the guest's time pass without ten seconds of the host's."""
    ticks = 625_000_000
    guest = Guest(
        asm.mrs(2, "CNTVCT_EL0"),
        *asm.mov(4, ticks),
        asm.msr("CNTV_TVAL_EL0", 4),
        *asm.mov(4, 1),
        asm.msr("CNTV_CTL_EL0", 4),
        asm.WFI,
        asm.mrs(3, "CNTVCT_EL0"),
        asm.mrs(5, "CNTV_CTL_EL0"),
        asm.b(0),
    )
    assert guest.run(100) == ExitIntr()
    assert ticks <= guest.x(3) - guest.x(2) < ticks + 100
    assert guest.x(5) == 5, "ENABLE and ISTATUS"


def test_wfi_with_a_timer_met_does_not_wait() -> None:
    guest = Guest(
        asm.msr("CNTV_CVAL_EL0", 31), *asm.mov(4, 1), asm.msr("CNTV_CTL_EL0", 4), asm.WFI, asm.b(0)
    )
    assert guest.run(100) == ExitIntr()


def test_wfi_with_its_timer_masked_is_idle() -> None:
    guest = Guest(*asm.mov(4, 3), asm.msr("CNTV_CTL_EL0", 4), asm.WFI, asm.b(0))
    assert guest.run(100) == ExitIntr(idle=True)


@pytest.mark.parametrize(("line", "vector"), [(0, 0x280), (1, 0x300)], ids=["IRQ", "FIQ"])
def test_interrupt_line_of_the_vcpu(line: int, vector: int) -> None:
    """KVM_IRQ_LINE, type CPU: taken when unmasked, and ends a WFI even while masked."""
    guest = Guest(asm.WFI, asm.NOP, asm.daifclr(3), asm.b(0))
    guest.place(VECTORS + vector, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    assert guest.run() == ExitIntr(idle=True)
    guest.pc = RAM
    guest.vm.irq_line(line, 1)
    guest.run(100)
    assert guest.pc == VECTORS + vector
    guest.vm.irq_line(line, 0)
    for bad in (2, 1 << 16):
        with pytest.raises(KvmError) as error:
            guest.vm.irq_line(bad, 1)
        assert error.value.errno == errno.EINVAL


def test_serror_waits_until_unmasked() -> None:
    """On a processor without FEAT_RAS; for one with it see test_extensions.py."""
    guest = Guest(asm.NOP, asm.daifclr(4), asm.b(0), cpu="cortex-a57")
    guest.place(VECTORS + 0x380, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.vcpu.set_vcpu_events(VcpuEvents(serror_pending=True))
    assert guest.vcpu.get_vcpu_events() == VcpuEvents(serror_pending=True)
    # As in the kernel, it cannot be taken back.
    guest.vcpu.set_vcpu_events(VcpuEvents())
    assert guest.vcpu.get_vcpu_events() == VcpuEvents(serror_pending=True)
    guest.run(100)
    assert guest.pc == VECTORS + 0x380
    assert guest.vcpu.get_vcpu_events() == VcpuEvents()
    with pytest.raises(KvmError, match="RAS"):
        guest.vcpu.set_vcpu_events(VcpuEvents(serror_pending=True, serror_has_esr=True))


def test_stepping_over_wfi_stops_after_it() -> None:
    guest = Guest(asm.WFI, asm.add(0, 0, 1))
    guest.debug(STEP)
    assert guest.run() == ExitIntr(idle=True)
    assert guest.pc == RAM + 4
    assert guest.x(0) == 0


# -- time, with several vCPUs ---------------------------------------------------------------------


def in_turn(guest: Guest, until: int) -> list[ExitIntr]:
    """Run the vCPUs in turn, as a debugger does; the exits, up to so many."""
    exits: list[ExitIntr] = []
    while len(exits) < until:
        for vcpu in guest.vcpus:
            vcpu.max_instructions = vcpu.instructions + 50
            exit_ = vcpu.run()
            assert isinstance(exit_, ExitIntr)
            exits.append(exit_)
    return exits


def test_counters_of_several_vcpus_are_one_clock() -> None:
    """It never goes back from one turn to the next, whatever the lengths of the turns."""
    guest = Guest(asm.mrs(2, "CNTVCT_EL0"), asm.b(-4), vcpus=3)
    for vcpu in guest.vcpus:
        guest.vcpu = vcpu
        guest.pc = RAM
    seen = []
    for n in range(30):
        guest.vcpu = guest.vcpus[n % 3]
        guest.run(2 + 100 * (n % 4))
        seen.append(guest.x(2))
        seen.append(guest.reg("CNTVCT_EL0"))
    assert seen == sorted(seen)
    assert seen[-1] > 0


SET_TIMER = asm.flat(
    asm.msr("CNTV_TVAL_EL0", 4), *asm.mov(5, 1), asm.msr("CNTV_CTL_EL0", 5)
)  # then from RAM + 12 on:
WAIT = [asm.WFI, asm.mrs(6, "CNTV_CTL_EL0"), 0x3617FFC6]  # tbz w6, #2, the WFI


def test_wfi_of_one_lets_the_others_run_without_a_jump_of_time() -> None:
    guest = Guest(*SET_TIMER, *WAIT, asm.b(0), vcpus=2)
    guest.place(RAM + 0x100, asm.add(0, 0, 1), asm.b(-4))
    guest.set_x(4, 625_000)
    guest.vcpus[1].set_one_reg(PC, RAM + 0x100)
    exits = in_turn(guest, 40)
    assert exits[0] == ExitIntr(idle=True)
    assert guest.reg("CNTVCT_EL0") < 10_000
    assert guest.pc < RAM + 24, "it still waits"


def test_wfi_of_all_warps_to_the_earliest_timer() -> None:
    guest = Guest(*SET_TIMER, *WAIT, asm.mrs(7, "CNTVCT_EL0"), asm.b(0), vcpus=3)
    late, early, none = guest.vcpus
    for vcpu, ticks in ((late, 9_000_000), (early, 4_000_000), (none, 0)):
        guest.vcpu = vcpu
        guest.pc = RAM
        guest.set_x(4, ticks)
    none.set_one_reg(PC, RAM + 0x100)
    guest.place(RAM + 0x100, asm.WFI, asm.b(-4))
    for _ in range(20):
        in_turn(guest, 1)
        guest.vcpu = early
        if guest.x(7):
            break
    assert 4_000_000 <= guest.x(7) < 4_010_000
    guest.vcpu = late
    assert guest.x(7) == 0
    power_off(early)
    for _ in range(20):
        in_turn(guest, 1)
        if guest.x(7):
            break
        power_off(early)
    assert 9_000_000 <= guest.x(7) < 9_010_000


def test_wfi_of_all_with_no_timer_is_idle_for_all() -> None:
    guest = Guest(asm.WFI, asm.b(-4), vcpus=2)
    guest.vcpus[1].set_one_reg(PC, RAM)
    assert in_turn(guest, 6) == [ExitIntr(idle=True)] * 6
