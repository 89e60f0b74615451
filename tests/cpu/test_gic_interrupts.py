"""Guest code that takes virtual interrupts from list registers, acknowledges and ends them; when
they are taken; maintenance interrupts, traps to EL2, snapshots; accesses to the GICV frame."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_HLT,
    EXIT_LIMIT,
    EXIT_MAINTENANCE,
    PhysicalMemory,
    Processor,
)

from .system_support import (
    B_SELF,
    CODE,
    DATA,
    DONE,
    EL0T,
    EL1H,
    ERET,
    NOP,
    RAM,
    UNDEFINED,
    VECTORS,
    One,
    Outcome,
    enc,
    hint,
    mrs,
    msr,
    msr_imm,
    syndrome,
)

GICV = 0x0801_0000
HCR = 1 << 31 | 1 << 3 | 1 << 4  # RW, FMO, IMO
HLT = 0xD4400000 | 7 << 5
UNMASK, MASK = msr_imm(3, 7, 0xF), msr_imm(3, 6, 0xF)
IRQ, FIQ = VECTORS + 0x280, VECTORS + 0x300
EN, UIE, LRENPIE, NPIE = 1, 2, 4, 8
EOI = 1 << 41
TC, TALL0, TALL1, TDIR = 1 << 10, 1 << 11, 1 << 12, 1 << 14


def lr(intid: int, *, state: int = 1, group: int = 1, priority: int = 0xA0, more: int = 0) -> int:
    return state << 62 | group << 60 | priority << 48 | more | intid


def str_(rt: int, rn: int, offset: int) -> int:
    return 0xB9000000 | offset // 4 << 10 | rn << 5 | rt


def ldr_(rt: int, rn: int, offset: int) -> int:
    return 0xB9400000 | offset // 4 << 10 | rn << 5 | rt


class Guest(One):
    """One with a GIC, all of whose interrupts are enabled and unmasked at the interface."""

    def __init__(self, version: int = 3, list_registers: int = 4, watchpoints: int = 4) -> None:
        super().__init__(watchpoints=watchpoints)
        p = self.p
        p.set_gic(version, list_registers)
        if version == 2:
            p.set_gicv(GICV)
        p.hcr_el2 = HCR
        p.set_hlt_exit(7)
        self.set("ICH_HCR_EL2", EN)
        self.set("ICH_VMCR_EL2", 0xF8 << 24 | 0xB)
        p.set_x(9, GICV)

    def code(self, words: list[int], at: int = CODE) -> None:
        self.store32(at, words)
        self.memory.code_changed(at, 4 * len(words))

    def start(self, words: list[int], pstate: int = EL1H) -> None:
        self.code(words)
        self.p.pstate = pstate
        self.p.pc = CODE


def test_an_interrupt_is_taken_acknowledged_and_ended() -> None:
    guest = Guest()
    guest.code(
        [
            mrs(0, "ICC_IAR1_EL1"),
            mrs(1, "ICC_RPR_EL1"),
            msr("ICC_EOIR1_EL1", 0),
            mrs(2, "ICC_RPR_EL1"),
            mrs(3, "ICC_IAR1_EL1"),
            ERET,
        ],
        IRQ,
    )
    guest.start([NOP, UNMASK, NOP, HLT])
    guest.p.load_list_registers([lr(42)])
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
    assert [guest.p.get_x(n) for n in range(4)] == [42, 0xA0, 0xFF, 1023]
    assert guest.get("ELR_EL1") == CODE + 8
    assert guest.p.save_list_registers() == (lr(42, state=0), 0, 0, 0)
    assert not guest.p.virtual_irq


def test_groups_are_irq_and_fiq() -> None:
    """Group 0 of a GICv3 is signalled as FIQ, Group 1 as IRQ: each needs HCR_EL2's FMO or IMO."""
    for group, vector, routed in ((0, FIQ, 1 << 3), (1, IRQ, 1 << 4)):
        for hcr in (HCR, HCR & ~(1 << 3), HCR & ~(1 << 4)):
            guest = Guest()
            guest.p.hcr_el2 = hcr
            guest.p.load_list_registers([lr(42, group=group)])
            assert (guest.p.virtual_irq, guest.p.virtual_fiq) == (group == 1, group == 0)
            guest.start([UNMASK, B_SELF])
            assert guest.p.run(guest.p.instructions + 5) == EXIT_LIMIT
            assert guest.p.pc == (vector if hcr & routed else CODE + 4)


def test_a_gicv2s_group_0_is_an_irq_unless_fiqen() -> None:
    for fiqen, vector in ((0, IRQ), (8, FIQ)):
        guest = Guest(2)
        guest.set("ICH_VMCR_EL2", 0xF8 << 24 | 3 | fiqen)
        guest.p.load_list_registers([lr(42, group=0)])
        guest.start([UNMASK, B_SELF])
        guest.p.run(guest.p.instructions + 2)
        assert guest.p.pc == vector


def test_preemption_nests_by_group_priority() -> None:
    """Handlers that unmask: an interrupt preempts where its group priority is higher."""
    guest = Guest()
    # The handler pushes INTID and return state on a stack in X10, and unmasks.
    guest.code(
        [
            mrs(0, "ICC_IAR1_EL1"),
            mrs(1, "ELR_EL1"),
            mrs(2, "SPSR_EL1"),
            0xF81F0D40,  # str x0, [x10, #-16]!
            0xA9BF0941,  # stp x1, x2, [x10, #-16]!
            UNMASK,
            NOP,
            MASK,
            0xA8C10941,  # ldp x1, x2, [x10], #16
            0xF8410540,  # ldr x0, [x10], #16
            msr("ELR_EL1", 1),
            msr("SPSR_EL1", 2),
            0xB8004560,  # str w0, [x11], #4
            msr("ICC_EOIR1_EL1", 0),
            ERET,
        ],
        IRQ,
    )
    for bpr, order in (
        (3, [3, 2, 1]),  # each priority preempts: the last to come ends first
        (7, [3, 1, 2]),  # [7:7]: 0x40 and 0x20 are the same group, 0x90 another
    ):
        guest.p.set_x(10, DATA + 0x1000)
        guest.p.set_x(11, DATA)
        guest.set("ICC_BPR1_EL1", bpr)
        lrs = {1: 0x90, 2: 0x40, 3: 0x20}
        guest.start([UNMASK, NOP, HLT])
        # They become pending one by one, each in its predecessor's handler.
        guest.p.load_list_registers([lr(1, priority=lrs[1])])
        arrivals = {1: 2, 2: 3}
        reason = EXIT_LIMIT
        seen: set[int] = set()
        while reason == EXIT_LIMIT:
            reason = guest.p.run(guest.p.instructions + 1)
            for n, following in arrivals.items():
                now = list(guest.p.save_list_registers())
                if now[n - 1] >> 62 == 2 and n not in seen and guest.p.pc == IRQ + 4:
                    seen.add(n)
                    now[following - 1] = lr(following, priority=lrs[following])
                    guest.p.load_list_registers(now)
        assert reason == EXIT_HLT
        ended = list(struct.unpack_from("<3I", guest.ram, DATA - RAM))
        if bpr == 7:
            # 2 preempts 1; 3 waits for 2, and then comes before 1 goes on.
            assert ended == [2, 3, 1]
        else:
            assert ended == order
        assert guest.get("ICC_RPR_EL1") == 0xFF


CHANGES = {
    "ICC_PMR_EL1": (0xF8, {"ICC_PMR_EL1": 0}),
    "ICC_IGRPEN1_EL1": (1, {"ICC_IGRPEN1_EL1": 0}),
    "ICC_EOIR1_EL1": (41, {"ICH_AP1R0_EL2": 1 << (0x40 >> 3)}),
    "ICC_AP1R0_EL1": (0, {"ICH_AP1R0_EL2": 1 << (0x40 >> 3)}),
    "ICC_BPR1_EL1": (3, {"ICH_AP1R0_EL2": 1 << (0xB0 >> 3), "ICC_BPR1_EL1": 7}),
    "ICC_CTLR_EL1": (1, {"ICH_AP1R0_EL2": 1 << (0xB0 >> 3), "ICC_BPR1_EL1": 7}),
}
OFFSETS = {
    "ICC_PMR_EL1": 4,
    "ICC_EOIR1_EL1": 0x24,
    "ICC_AP1R0_EL1": 0xD0,
    "ICC_BPR1_EL1": 0x1C,
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("limit", [None, 1])
def test_it_is_taken_right_after_what_makes_it_pending(
    name: str, version: int, limit: int | None
) -> None:
    """In the middle of a block, and whether the run is in pieces or not."""
    if version == 2 and name not in OFFSETS:
        return
    value, before = CHANGES[name]
    guest = Guest(version)
    guest.p.load_list_registers([lr(41, state=2, priority=0x40), lr(42)])
    access = msr(name, 1) if version == 3 else str_(1, 9, OFFSETS[name])
    # "add x3, x3, #1" counts what is executed.
    guest.start([UNMASK, NOP, 0x91000463, access, 0x91000463, 0x91000463, HLT])
    guest.code([HLT], IRQ)
    for register, was in before.items():
        if version == 2 and register.startswith("ICC"):
            shift, width = {"ICC_PMR_EL1": (24, 8), "ICC_BPR1_EL1": (18, 3)}[register]
            vmcr = guest.get("ICH_VMCR_EL2") & ~((1 << width) - 1 << shift)
            guest.set("ICH_VMCR_EL2", vmcr | was << shift)
        else:
            guest.set(register, was)
    assert not guest.p.virtual_irq
    guest.p.set_x(1, value)
    guest.p.set_x(3, 0)
    reason = EXIT_LIMIT
    while reason == EXIT_LIMIT:
        reason = guest.p.run(guest.p.instructions + (limit or 100))
    assert reason == EXIT_HLT
    assert (guest.p.pc, guest.get("ELR_EL1"), guest.p.get_x(3)) == (IRQ, CODE + 16, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0xA0, 0x60, 0x20]), st.booleans()), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), max_size=30),
    st.sampled_from([2, 3]),
)
def test_where_a_run_is_interrupted_does_not_show(
    pending: list[tuple[int, bool]], pieces: list[int], version: int
) -> None:
    """Registers, list registers and instruction counts are the same in one run and in pieces."""

    def run(lengths: list[int]) -> tuple[object, ...]:
        guest = Guest(version)
        iar, eoir = (
            (mrs(0, "ICC_IAR1_EL1"), msr("ICC_EOIR1_EL1", 0))
            if version == 3
            else (ldr_(0, 9, 0x20), str_(0, 9, 0x24))
        )
        guest.code([NOP, iar, 0x8B000063, NOP, eoir, NOP, 0x91000484, ERET], IRQ)  # x3 += x0
        guest.start([UNMASK, *[0x910004A5] * 12, HLT])  # add x5, x5, #1
        guest.p.load_list_registers(
            [lr(n + 32, priority=p, group=1, more=EOI * e) for n, (p, e) in enumerate(pending)]
        )
        exits = []
        for length in itertools.chain(lengths, itertools.repeat(1000)):
            reason = guest.p.run(guest.p.instructions + length)
            if reason == EXIT_MAINTENANCE:
                exits.append((guest.p.pc, guest.p.instructions, guest.get("ICH_EISR_EL2")))
                guest.p.load_list_registers(
                    [v if v >> 62 else 0 for v in guest.p.save_list_registers()]
                )
            elif reason == EXIT_HLT:
                break
            else:
                assert reason == EXIT_LIMIT
        registers = [guest.p.get_x(n) for n in (0, 3, 4, 5)]
        return exits, registers, guest.p.save_list_registers(), guest.p.instructions

    whole = run([])
    assert run(pieces) == whole
    assert whole[1][2] == len(pending)  # type: ignore[index]


# ---- maintenance interrupts -----------------------------------------------------------------


def test_a_maintenance_interrupt_comes_right_after_its_cause() -> None:
    guest = Guest()
    guest.p.load_list_registers([lr(42, state=2, more=EOI), lr(43, state=2)])
    guest.set("ICH_AP1R0_EL2", 1 << (0xA0 >> 3))
    guest.start([NOP, msr("ICC_EOIR1_EL1", 0), NOP, HLT])
    guest.p.set_x(0, 42)
    assert guest.p.run(guest.p.instructions + 100) == EXIT_MAINTENANCE
    assert guest.p.pc == CODE + 8
    assert (guest.get("ICH_MISR_EL2"), guest.get("ICH_EISR_EL2")) == (1, 1)
    # Until EL2 removes the cause, nothing else is executed.
    assert guest.p.run(guest.p.instructions + 100) == EXIT_MAINTENANCE
    assert guest.p.pc == CODE + 8
    guest.p.load_list_registers([0, lr(43, state=2)])
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT


def test_underflow_no_pending_and_eoi_of_an_absent_interrupt() -> None:
    guest = Guest()
    handler = [mrs(0, "ICC_IAR1_EL1"), NOP, msr("ICC_EOIR1_EL1", 0), ERET]
    guest.code(handler, IRQ)
    guest.start([UNMASK, NOP, HLT])
    guest.set("ICH_HCR_EL2", EN | UIE | NPIE | LRENPIE)
    guest.p.load_list_registers([lr(42), lr(43, state=2)])
    # The acknowledge leaves nothing pending.
    assert guest.p.run(guest.p.instructions + 100) == EXIT_MAINTENANCE
    assert (guest.p.pc, guest.get("ICH_MISR_EL2")) == (IRQ + 4, 8)
    guest.set("ICH_HCR_EL2", EN | UIE | LRENPIE)
    # The end leaves one list register.
    assert guest.p.run(guest.p.instructions + 100) == EXIT_MAINTENANCE
    assert (guest.p.pc, guest.get("ICH_MISR_EL2")) == (IRQ + 12, 2)
    guest.set("ICH_HCR_EL2", EN | LRENPIE)
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
    # An interrupt that has left the list registers while it was active.
    guest.set("ICH_AP1R0_EL2", 1)
    guest.start([msr("ICC_EOIR1_EL1", 1), HLT])
    guest.p.set_x(1, 99)
    assert guest.p.run(guest.p.instructions + 100) == EXIT_MAINTENANCE
    assert (guest.p.pc, guest.get("ICH_MISR_EL2")) == (CODE + 4, 4)
    assert guest.get("ICH_HCR_EL2") == EN | LRENPIE | 1 << 27


def test_a_disabled_interface_signals_nothing() -> None:
    guest = Guest()
    guest.set("ICH_HCR_EL2", UIE | NPIE)
    guest.p.load_list_registers([lr(42)])
    assert guest.get("ICH_MISR_EL2") == 2
    assert not guest.p.virtual_irq
    guest.start([UNMASK, mrs(0, "ICC_IAR1_EL1"), HLT])
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
    assert guest.p.get_x(0) == 1023


def test_a_hardware_interrupts_list_register_asks_for_no_maintenance() -> None:
    """HW: the physical interrupt pINTID is deactivated with the virtual one. That is the owner's
    part: the list register is inactive, which it sees."""
    guest = Guest()
    hw = 1 << 61 | 27 << 32
    guest.p.load_list_registers([lr(27, more=hw | 1 << 41)])
    guest.start([mrs(0, "ICC_IAR1_EL1"), msr("ICC_EOIR1_EL1", 0), HLT])
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
    assert guest.p.get_x(0) == 27
    assert guest.p.save_list_registers()[0] == lr(27, state=0, more=hw | 1 << 41)
    assert (guest.get("ICH_EISR_EL2"), guest.get("ICH_ELRSR_EL2")) == (0, 0xF)


# ---- waiting --------------------------------------------------------------------------------


def test_wfi_and_isr_see_a_masked_interrupt() -> None:
    guest = Guest()
    guest.p.hcr_el2 = HCR | 1 << 13  # TWI
    assert guest.execute(hint(3), el=1).where == "el2"
    for group, bit in ((1, 1 << 7), (0, 1 << 6)):
        guest.p.load_list_registers([lr(42, group=group)])
        assert guest.execute(hint(3), el=1) == DONE
        assert guest.execute(mrs(0, "ISR_EL1"), el=1) == DONE
        assert guest.p.get_x(0) == bit
        guest.p.hcr_el2 &= ~0x18  # neither routed
        assert guest.execute(mrs(0, "ISR_EL1"), el=1) == DONE
        assert guest.p.get_x(0) == 0
        guest.p.hcr_el2 |= 0x18


# ---- who may access what --------------------------------------------------------------------

GROUP0 = ["IAR0", "EOIR0", "HPPIR0", "BPR0", "AP0R0", "IGRPEN0"]
GROUP1 = ["IAR1", "EOIR1", "HPPIR1", "BPR1", "AP1R0", "IGRPEN1"]
COMMON = ["PMR", "RPR", "CTLR", "DIR"]
SGI = ["SGI0R", "SGI1R", "ASGI1R"]
READ_ONLY = ["IAR0", "IAR1", "HPPIR0", "HPPIR1", "RPR"]
WRITE_ONLY = ["EOIR0", "EOIR1", "DIR", *SGI]
ICH = [
    "ICH_HCR_EL2", "ICH_VTR_EL2", "ICH_VMCR_EL2", "ICH_MISR_EL2", "ICH_EISR_EL2", "ICH_ELRSR_EL2",
    "ICH_AP0R0_EL2", "ICH_AP1R0_EL2", "ICH_LR0_EL2", "ICH_LR3_EL2",
]  # fmt: skip


def accesses(name: str) -> list[tuple[bool, int]]:
    return [(True, mrs(5, name)), (False, msr(name, 5))]


def test_traps_of_the_cpu_interface() -> None:
    guest = Guest()
    for controls in (0, TC, TALL0, TALL1, TDIR, TC | TALL1, TALL0 | TDIR):
        guest.set("ICH_HCR_EL2", EN | controls)
        for short in [*GROUP0, *GROUP1, *COMMON, *SGI, "SRE"]:
            for read, word in accesses(f"ICC_{short}_EL1"):
                expected = DONE
                if short in (WRITE_ONLY if read else READ_ONLY):
                    expected = UNDEFINED
                elif (
                    short in SGI
                    or (short in GROUP0 and controls & TALL0)
                    or (short in GROUP1 and controls & TALL1)
                    or (short in COMMON and controls & TC)
                    or (short == "DIR" and controls & TDIR)
                ):
                    expected = Outcome("el2", syndrome(word))
                assert guest.execute(word, el=1) == expected, (short, read, hex(controls))
                assert guest.execute(word, el=0) == UNDEFINED, (short, read)


def test_a_trapped_read_acknowledges_nothing() -> None:
    guest = Guest()
    guest.p.load_list_registers([lr(42)])
    guest.set("ICH_HCR_EL2", EN | TALL1)
    assert guest.execute(mrs(0, "ICC_IAR1_EL1"), el=1).where == "el2"
    assert guest.p.save_list_registers()[0] == lr(42)
    # EL2 that looks at all registers acknowledges nothing either.
    assert {e: guest.p.get_sysreg(e) for e in guest.p.sysregs()}[enc("ICC_IAR1_EL1")] == 42
    assert guest.p.save_list_registers()[0] == lr(42)


def test_the_hypervisors_registers_are_not_the_guests() -> None:
    for version in (2, 3):
        guest = Guest(version)
        for name in ICH:
            for _, word in accesses(name):
                for el in (0, 1):
                    assert guest.execute(word, el=el) == UNDEFINED, name


def test_registers_exist_with_their_gic() -> None:
    icc, ich = enc("ICC_PMR_EL1"), enc("ICH_VMCR_EL2")
    for version, known in ((0, []), (2, [ich]), (3, [icc, ich]), (0, [])):
        guest = Guest(3)
        guest.p.set_gic(version)
        assert [e for e in (icc, ich) if e in guest.p.sysregs()] == known
        outcome = guest.execute(mrs(0, "ICC_PMR_EL1"), el=1)
        assert outcome == (DONE if icc in known else UNDEFINED)
        outcome = guest.execute(mrs(0, "ICC_SRE_EL1"), el=1)
        assert outcome == (DONE if icc in known else UNDEFINED)
    for count in (1, 4, 16):
        p = Guest(3, count).p
        assert p.get_sysreg(enc("ICH_VTR_EL2")) == 0x90380000 | count - 1
        for n in range(16):
            assert (enc(f"ICH_LR{n}_EL2") in p.sysregs()) == (n < count)
        assert p.list_registers == len(p.save_list_registers()) == count
    for name in ("ICH_AP0R1_EL2", "ICH_AP1R3_EL2", "ICC_AP1R1_EL1"):  # 5 bits of preemption
        with pytest.raises(KeyError):
            guest.p.get_sysreg(enc(name))


def test_bad_arguments() -> None:
    p = Processor(PhysicalMemory())
    for arguments, message in (
        ((1,), "GIC version 1: must be 0"),
        ((3, 0), "0 list registers: a GIC has 1 to 16"),
        ((3, 17), "17 list registers"),
    ):
        with pytest.raises(ValueError, match=message):
            p.set_gic(*arguments)
    with pytest.raises(ValueError, match=r"set_gic\(2\) comes first"):
        p.set_gicv(GICV)
    p.set_gic(2)
    for base in (0x800, -4096, 1 << 48, (1 << 48) - 4096):
        with pytest.raises(ValueError, match="multiple of 4 KiB below"):
            p.set_gicv(base)
    p.load_list_registers([lr(42)])
    with pytest.raises(ValueError, match="5 values for 4 list registers"):
        p.load_list_registers([0] * 5)
    with pytest.raises(OverflowError):
        p.load_list_registers([1, 1 << 64])
    assert p.save_list_registers() == (lr(42), 0, 0, 0)
    p.set_gic(0)
    assert (p.gic_version, p.list_registers, p.save_list_registers()) == (0, 0, ())
    p.load_list_registers([])


# ---- snapshots ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_a_snapshot_has_the_interface(version: int) -> None:
    guest = Guest(version)
    iar, eoir = (
        (mrs(0, "ICC_IAR1_EL1"), msr("ICC_EOIR1_EL1", 0))
        if version == 3
        else (ldr_(0, 9, 0x20), str_(0, 9, 0x24))
    )
    guest.code([iar, NOP, eoir, ERET], IRQ)
    guest.start([UNMASK, NOP, NOP, HLT])
    guest.p.load_list_registers([lr(42), lr(43, priority=0x80)])
    guest.p.run(guest.p.instructions + 2)
    assert guest.p.save_list_registers()[1] >> 62 == 2
    state = guest.p.save_state()

    def finish() -> bytes:
        assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
        return bytes(guest.p.save_state())

    first = finish()
    guest.p.load_list_registers([lr(44)])
    guest.set("ICH_HCR_EL2", 0xFF | 5 << 27)
    guest.set("ICH_VMCR_EL2", 0)
    guest.p.restore_state(state)
    assert finish() == first


def test_a_state_with_another_gic_is_decoded_anew() -> None:
    guest = Guest()
    state = guest.p.save_state()
    guest.p.set_gic(0)
    assert guest.execute(mrs(0, "ICC_PMR_EL1"), el=1) == UNDEFINED
    guest.p.restore_state(state)
    guest.p.pc = CODE
    guest.p.run(guest.p.instructions + 1)
    assert (guest.p.pc, guest.p.get_x(0)) == (CODE + 4, 0xF8)


# ---- the frame ------------------------------------------------------------------------------

UNUSUAL = {
    "ldrb w1, [x2]": 0x39400041,
    "ldrh w1, [x2]": 0x79400041,
    "ldr x1, [x2]": 0xF9400041,
    "ldp w1, w3, [x2]": 0x29400C41,
    "ldp x1, x3, [x2]": 0xA9400C41,
    "ldr q1, [x2]": 0x3DC00041,
}
WRITES = {
    "strb w1, [x2]": 0x39000041,
    "strh w1, [x2]": 0x79000041,
    "str x1, [x2]": 0xF9000041,
    "stp x1, x3, [x2]": 0xA9000C41,
    "str q1, [x2]": 0x3D800041,
}
WORDS = {
    "ldr w1, [x2]": 0xB9400041,
    "ldrsw x1, [x2]": 0xB9800041,
    "ldar w1, [x2]": 0x88DFFC41,
    "ldtr w1, [x2]": 0xB8400841,
    "ldr w1, [x2], #4": 0xB8404441,
    "ldr s1, [x2]": 0xBD400041,
}
REFUSED = {
    "ldxr w1, [x2]": (0x885F7C41, 0x35),
    "ldadd w1, w3, [x2]": (0xB8210043, 0x35),
    "ldp q1, q3, [x2]": (0xAD400C41, 0x10),
    "ld1 {v1.4s, v2.4s}, [x2]": (0x4C40A841, 0x10),
}


def frame_guest() -> Guest:
    guest = Guest(2)
    guest.p.set_sysreg(enc("ID_AA64ISAR0_EL1"), 2 << 20 | 1 << 16)  # with LSE
    guest.set("CPACR_EL1", 3 << 20)
    guest.p.load_list_registers([lr(42 | 3 << 10)])
    guest.p.set_x(2, GICV + 0x20)
    guest.p.set_x(1, 0xFFFF_FFFF_FFFF_FFFF)
    return guest


@pytest.mark.parametrize("text", sorted(WORDS))
def test_every_load_of_a_word_reads_a_register(text: str) -> None:
    guest = frame_guest()
    assert guest.execute(WORDS[text], el=1) == DONE
    got = guest.p.get_v(1) if text.startswith("ldr s") else guest.p.get_x(1)
    assert got == 42 | 3 << 10  # with the source of an SGI
    assert guest.p.save_list_registers()[0] >> 62 == 2


def test_an_access_in_a_block_is_made_once() -> None:
    """With write-back, and an address that the instruction before has just computed."""
    guest = frame_guest()
    guest.p.load_list_registers([lr(42), lr(43)])
    guest.p.set_x(5, 0)
    guest.start(
        [
            0x910004A5,  # add x5, x5, #1
            0x91008122,  # add x2, x9, #0x20
            0xB8404443,  # ldr w3, [x2], #4
            0x910004A5,
            0xB8004443,  # str w3, [x2], #4
            0x910004A5,
            ldr_(4, 9, 0x20),
            HLT,
        ]
    )
    assert guest.p.run(guest.p.instructions + 100) == EXIT_HLT
    assert [guest.p.get_x(n) for n in (2, 3, 4, 5)] == [GICV + 0x28, 42, 43, 3]
    assert [value >> 62 for value in guest.p.save_list_registers()[:2]] == [0, 2]


def test_an_access_across_pages_is_no_access_to_a_register() -> None:
    """Half in memory, half in the frame, in Normal memory: the frame's half is RAZ/WI."""
    guest = frame_guest()
    guest.p.set_gicv(DATA + 0x1000)
    guest.p.hcr_el2 |= 1 << 12  # DC: Normal memory without translation
    before = guest.get("ICH_VMCR_EL2")
    guest.p.set_x(2, DATA + 0xFFC)
    guest.p.set_x(1, 0xFFFF_FFFF_FFFF_FFFF)
    assert guest.execute(0xF9000041, el=1) == DONE  # str x1, [x2]
    assert guest.ram[DATA - RAM + 0xFFC : DATA - RAM + 0x1004] == b"\xff" * 4 + bytes(4)
    assert guest.get("ICH_VMCR_EL2") == before
    assert guest.execute(0xF9400043, el=1) == DONE  # ldr x3, [x2]
    assert guest.p.get_x(3) == 0xFFFF_FFFF


@pytest.mark.parametrize("text", sorted(UNUSUAL))
def test_other_sizes_read_as_zero(text: str) -> None:
    guest = frame_guest()
    guest.p.set_v(1, 1)
    assert guest.execute(UNUSUAL[text], el=1) == DONE
    assert guest.p.get_v(1) == 0 if " q" in text else guest.p.get_x(1) == 0
    assert guest.p.save_list_registers()[0] >> 62 == 1


@pytest.mark.parametrize("text", sorted(WRITES))
def test_other_sizes_are_not_written(text: str) -> None:
    guest = frame_guest()
    guest.p.set_x(2, GICV + 4)
    if "x1, x3" in text or " q" in text or " x1" in text:
        guest.p.set_x(2, GICV)
    before = guest.get("ICH_VMCR_EL2")
    assert guest.execute(WRITES[text], el=1) == DONE
    assert guest.get("ICH_VMCR_EL2") == before


@pytest.mark.parametrize("text", sorted(REFUSED))
def test_what_a_device_does_not_support_aborts(text: str) -> None:
    guest = frame_guest()
    word, fsc = REFUSED[text]
    outcome = guest.execute(word, el=1)
    assert outcome.where == "el1"
    assert (outcome.esr >> 26, outcome.esr & 0x3F) == (0x25, fsc)
    assert guest.get("FAR_EL1") == GICV + 0x20
    assert guest.p.save_list_registers()[0] >> 62 == 1


def test_unaligned_accesses() -> None:
    """With translation off the frame is Device memory: Alignment faults. FAR is the address."""
    guest = frame_guest()
    guest.p.set_x(2, GICV + 0x22)
    outcome = guest.execute(0xB9400041, el=1)
    assert (outcome.where, outcome.esr & 0x3F) == ("el1", 0x21)


def test_the_frame_hides_memory_and_holds_no_code() -> None:
    guest = frame_guest()
    guest.p.set_gicv(DATA)
    guest.p.set_x(2, DATA + 4)
    guest.store32(DATA + 4, [0x1234])
    guest.p.set_x(1, 0x70)
    assert guest.execute(0xB9000041, el=1) == DONE
    assert guest.ram[DATA + 4 - RAM : DATA + 8 - RAM] == b"\x34\x12\0\0"
    assert guest.get("ICH_VMCR_EL2") >> 24 == 0x70
    guest.p.pc = DATA
    assert guest.p.run(guest.p.instructions + 1) == EXIT_EL2
    assert guest.p.esr_el2 >> 26 == 0x20
    # And without the frame it is memory again.
    guest.p.set_gicv(None)
    assert guest.execute(0xB9400041, el=1) == DONE
    assert guest.p.get_x(1) == 0x1234


def test_without_a_frame_its_address_is_a_hole() -> None:
    guest = frame_guest()
    guest.p.set_gicv(None)
    assert guest.execute(0xB9400041, el=1).where == "el2"
    assert guest.p.esr_el2 >> 26 == 0x24


def test_a_watchpoint_on_a_register_of_the_frame() -> None:
    guest = frame_guest()
    guest.p.mdcr_el2 = 1 << 8  # TDE
    guest.set("DBGWVR0_EL1", GICV + 0x20)
    guest.set("DBGWCR0_EL1", 0xF << 5 | 3 << 3 | 3 << 1 | 1)
    guest.set("MDSCR_EL1", 1 << 15)
    guest.p.pstate = EL1H & ~0x200
    guest.start([NOP, 0xB9400041, NOP, HLT], EL1H & ~0x200)
    assert guest.p.run(guest.p.instructions + 100) == EXIT_EL2
    assert guest.p.esr_el2 >> 26 == 0x34
    assert (guest.p.pc, guest.p.far_el2) == (CODE + 4, GICV + 0x20)
    assert guest.p.save_list_registers()[0] >> 62 == 1  # before the access


def test_el0_needs_permission() -> None:
    """The frame is an ordinary page for stage 1; here translation is off, and EL0 may access it."""
    guest = frame_guest()
    assert guest.execute(0xB9400041, el=0) == DONE
    assert guest.p.get_x(1) == 42 | 3 << 10
    assert guest.p.pstate & 0x3CF == EL0T
