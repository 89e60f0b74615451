"""What system registers hold: RES0 bits, reset values, identification, and the debug registers' own
behaviour (OS Lock, claim tags, the debug communications channel)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import PhysicalMemory, Processor

from .system_support import DONE, EL1H, EL1T, One, enc, mrs, msr

ALL = (1 << 64) - 1
WORD = (1 << 32) - 1


def field(high: int, low: int) -> int:
    return (1 << high + 1) - (1 << low)


# The bits that are not RES0 in Armv8.0, from each register's field list.
WRITABLE = {
    # E0E and EE are RES0 without big-endian data; 6 and the RES1 bits are kept as written.
    "SCTLR_EL1": field(12, 0) | field(16, 14) | field(20, 18) | field(23, 22) | 1 << 26 | 3 << 28,
    "ACTLR_EL1": ALL,
    "CPACR_EL1": field(21, 20),
    "TTBR0_EL1": ALL - 1,
    "TTBR1_EL1": ALL - 1,
    "TCR_EL1": field(5, 0) | field(34, 7) | field(38, 36),
    "ESR_EL1": WORD,
    "AFSR0_EL1": WORD,
    "AFSR1_EL1": WORD,
    "FAR_EL1": ALL,
    "PAR_EL1": ALL,
    "MAIR_EL1": ALL,
    "AMAIR_EL1": ALL,
    "VBAR_EL1": ALL - 0x7FF,
    "CONTEXTIDR_EL1": WORD,
    "TPIDR_EL0": ALL,
    "TPIDRRO_EL0": ALL,
    "TPIDR_EL1": ALL,
    "ELR_EL1": ALL,
    "SPSR_EL1": WORD,
    "SP_EL0": ALL,
    "CSSELR_EL1": field(3, 0),
    "CNTKCTL_EL1": field(9, 0),
    "CNTP_CVAL_EL0": ALL,
    "CNTV_CVAL_EL0": ALL,
    "NZCV": field(31, 28),
    "DAIF": field(9, 6),
    "FPCR": field(26, 22),
    "FPSR": 1 << 27 | 1 << 7 | field(4, 0),
    "OSDTRRX_EL1": WORD,
    "OSDTRTX_EL1": WORD,
    "MDCCINT_EL1": field(30, 29),
    "OSDLR_EL1": 1,
    "DBGPRCR_EL1": 1,
    # SS, TDCC, KDE, MDE, and the upper half; the rest is RO while the OS Lock is unlocked
    "MDSCR_EL1": 1 | field(13, 12) | 1 << 15 | field(63, 32),
}
for n in range(16):
    WRITABLE[f"DBGBVR{n}_EL1"] = ALL
    WRITABLE[f"DBGBCR{n}_EL1"] = field(23, 13) | field(8, 5) | field(2, 0)
    WRITABLE[f"DBGWVR{n}_EL1"] = ALL - 3
    WRITABLE[f"DBGWCR{n}_EL1"] = field(28, 24) | field(20, 0)

# What a write may change besides: they read another register's state, or time.
MOVING = {"CNTPCT_EL0", "CNTVCT_EL0", "CNTP_TVAL_EL0", "CNTV_TVAL_EL0"}
FOLLOWS = {
    "CSSELR_EL1": {"CCSIDR_EL1"},
    "OSDTRRX_EL1": {"DBGDTRRX_EL0", "DBGDTR_EL0"},
    "OSDTRTX_EL1": {"DBGDTR_EL0"},
}


def everything(one: One) -> dict[int, int]:
    moving = {enc(n) for n in MOVING}
    return {e: one.p.get_sysreg(e) for e in one.p.sysregs() if e not in moving}


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(WRITABLE)), st.integers(0, ALL))
def test_msr_then_mrs_gives_the_writable_bits(name: str, value: int) -> None:
    """Written by the guest and read back: RES0 bits are zero, and no other register moved."""
    one = everywhere
    one.p.reset()
    one.p.cptr_el2 = 0
    one.p.pstate = EL1H
    one.set("CPACR_EL1", 3 << 20)
    if name == "SCTLR_EL1":
        value &= ~1  # translation stays off
    before = everything(one)
    one.p.set_x(7, value)
    assert one.execute(msr(name, 7)) == DONE
    after = everything(one)
    assert one.execute(mrs(8, name)) == DONE
    want = value & WRITABLE[name]
    assert one.p.get_x(8) == want
    assert after[enc(name)] == want
    changed = {e for e in after if after[e] != before[e]}
    allowed = {enc(n) for n in FOLLOWS.get(name, ())} | {enc(name)}
    assert changed <= allowed, [hex(e) for e in changed - allowed]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(set(WRITABLE) - {"SP_EL0", "NZCV", "DAIF"})), st.integers(0, ALL))
def test_set_sysreg_gives_what_the_guest_reads(name: str, value: int) -> None:
    one = everywhere
    one.p.reset()
    one.set("CPACR_EL1", 3 << 20)
    if name == "SCTLR_EL1":
        value &= ~1
    if name == "CPACR_EL1":
        value |= 3 << 20
    one.set(name, value)
    held = one.get(name)
    if name != "MDSCR_EL1":  # EL2 sets all of it, as a world switch does
        assert held == value & WRITABLE[name]
    if name == "DBGPRCR_EL1":
        return
    assert one.execute(mrs(8, name), el=1) == DONE
    assert one.p.get_x(8) == held


everywhere = One(breakpoints=16, watchpoints=16)


def test_reset_values() -> None:
    """What KVM starts a vCPU with; everything else that can be written is zero."""
    p = Processor(PhysicalMemory())
    values = {e: p.get_sysreg(e) for e in p.sysregs()}
    assert values[enc("SCTLR_EL1")] == 0x00C50078
    assert values[enc("DAIF")] == 0x3C0
    assert values[enc("SPSEL")] == 1
    assert values[enc("CURRENTEL")] == 1 << 2
    assert values[enc("OSLSR_EL1")] == 0x8
    for name in sorted(set(WRITABLE) - {"SCTLR_EL1", "DAIF", "SP_EL0"}):
        if enc(name) in values:
            assert values[enc(name)] == 0, name


def test_reset_forgets_what_the_guest_wrote() -> None:
    one = One()
    for name in sorted(WRITABLE):
        if enc(name) in one.p.sysregs() and name not in ("SCTLR_EL1", "NZCV", "DAIF"):
            one.set(name, ALL)
    one.set("OSLAR_EL1", 1)
    one.set("MDSCR_EL1", ALL)
    one.p.reset()
    fresh = Processor(PhysicalMemory())
    moving = {enc(n) for n in MOVING}
    for e in fresh.sysregs():
        if e >> 11 != 0x1C and e not in moving:  # op1 4 is EL2's: the owner's
            assert one.p.get_sysreg(e) == fresh.get_sysreg(e), hex(e)


@pytest.mark.parametrize(
    ("breakpoints", "watchpoints", "context_aware"), [(6, 4, 2), (16, 16, 16), (2, 2, 1), (4, 8, 3)]
)
def test_id_aa64dfr0_tells_the_numbers(
    breakpoints: int, watchpoints: int, context_aware: int
) -> None:
    p = Processor(
        PhysicalMemory(),
        breakpoints=breakpoints,
        watchpoints=watchpoints,
        context_aware=context_aware,
    )
    value = p.get_sysreg(enc("ID_AA64DFR0_EL1"))
    assert value == (
        6 | (breakpoints - 1) << 12 | (watchpoints - 1) << 20 | (context_aware - 1) << 28
    )
    if (breakpoints, watchpoints, context_aware) == (6, 4, 2):
        assert value == 0x10305006  # what KVM showed on a Cortex-A57
    for n in range(16):
        assert (enc(f"DBGBVR{n}_EL1") in p.sysregs()) == (n < breakpoints)
        assert (enc(f"DBGWCR{n}_EL1") in p.sysregs()) == (n < watchpoints)


def test_identification_is_configured_by_set_sysreg() -> None:
    one = One()
    for name in ("MIDR_EL1", "ID_AA64MMFR1_EL1", "CTR_EL0", "CLIDR_EL1", "REVIDR_EL1"):
        one.set(name, 0x1234_5678)
        assert one.execute(mrs(0, name), el=1) == DONE
        assert one.p.get_x(0) == 0x1234_5678


def test_vpidr_and_vmpidr_stand_in_for_midr_and_mpidr() -> None:
    one = One()
    one.set("MPIDR_EL1", 0x8000_0001)
    for real, virtual in (("MIDR_EL1", "VPIDR_EL2"), ("MPIDR_EL1", "VMPIDR_EL2")):
        one.execute(mrs(0, real), el=1)
        assert one.p.get_x(0) == (0x411FD070 if real == "MIDR_EL1" else 0x8000_0001)
        one.set(virtual, 0x8765_4321)
        one.execute(mrs(0, real), el=1)
        assert one.p.get_x(0) == 0x8765_4321


@pytest.mark.parametrize(
    ("select", "size_id"), [(0, 0x701FE00A), (1, 0x201FE012), (2, 0x70FFE07A), (4, 0)]
)
def test_ccsidr_is_of_the_selected_cache(select: int, size_id: int) -> None:
    one = One()
    one.p.set_x(0, select)
    one.execute(msr("CSSELR_EL1", 0), el=1)
    one.execute(mrs(1, "CCSIDR_EL1"))
    assert one.p.get_x(1) == size_id


def test_dczid_tells_whether_dc_zva_is_prohibited() -> None:
    one = One()
    for el, dze, tdz, prohibited in [
        (1, 0, 0, 0), (1, 0, 1, 1), (0, 0, 0, 1), (0, 1, 0, 0), (0, 1, 1, 1),
    ]:  # fmt: skip
        one.set("SCTLR_EL1", dze << 14)
        one.p.hcr_el2 = 1 << 31 | tdz << 28
        assert one.execute(mrs(1, "DCZID_EL0"), el=el) == DONE
        assert one.p.get_x(1) == 4 | prohibited << 4


def test_stack_pointers_are_banked() -> None:
    one = One()
    one.p.sp_el0, one.p.sp_el1 = 0x1000, 0x2000
    assert one.execute(mrs(0, "SP_EL0"), el=1) == DONE
    assert one.p.get_x(0) == 0x1000
    one.p.set_x(0, 0x3000)
    one.execute(msr("SP_EL0", 0))
    assert (one.p.sp_el0, one.p.sp_el1) == (0x3000, 0x2000)
    assert (one.get("SP_EL0"), one.get("SP_EL1")) == (0x3000, 0x2000)
    one.p.pstate = EL1T
    assert (one.get("SP_EL0"), one.get("SP_EL1")) == (0x3000, 0x2000)
    one.set("SP_EL0", 0x4000)
    one.set("SP_EL1", 0x5000)
    assert (one.p.sp_el0, one.p.sp_el1) == (0x4000, 0x5000)


def test_writes_to_xzr_and_reads_from_it() -> None:
    one = One()
    one.set("TPIDR_EL1", 5)
    assert one.execute(mrs(31, "TPIDR_EL1"), el=1) == DONE
    one.execute(msr("TPIDR_EL1", 31))
    assert one.get("TPIDR_EL1") == 0


@pytest.mark.parametrize(
    ("hcr", "irq", "fiq", "isr"),
    [
        (0, False, False, 0),
        (0, True, True, 0xC0),
        (1 << 7, False, False, 0),  # VI without IMO
        (1 << 4 | 1 << 7, False, False, 0x80),
        (1 << 4, True, False, 0),  # the physical line is EL2's
        (1 << 3 | 1 << 6, False, False, 0x40),
        (1 << 5 | 1 << 8, False, False, 0x100),
    ],
)
def test_isr_shows_what_is_pending(hcr: int, irq: bool, fiq: bool, isr: int) -> None:
    one = One()
    one.p.hcr_el2 = 1 << 31 | hcr
    one.p.irq, one.p.fiq = irq, fiq
    assert one.execute(mrs(0, "ISR_EL1"), el=1) == DONE
    assert one.p.get_x(0) == isr


# ---- the debug registers' own behaviour -----------------------------------------------------

SAVED = 1 << 6 | 1 << 14 | 1 << 21 | 3 << 22 | 1 << 26 | 1 << 27 | 1 << 29 | 1 << 30


def test_os_lock() -> None:
    one = One()
    for value, locked in ((1, 1), (2, 0), (ALL, 1), (0, 0)):
        one.p.set_x(0, value)
        assert one.execute(msr("OSLAR_EL1", 0), el=1) == DONE
        one.execute(mrs(1, "OSLSR_EL1"))
        assert one.p.get_x(1) == 8 | locked << 1
    one.set("OSLSR_EL1", 0x2)  # as KVM_SET_ONE_REG does
    assert one.get("OSLSR_EL1") == 0xA


@given(st.integers(0, ALL), st.integers(0, ALL), st.booleans())
@settings(deadline=None)
def test_mdscr_is_wholly_writable_only_while_locked(old: int, new: int, locked: bool) -> None:
    one = everywhere
    one.p.reset()
    # MDE and SS would bring exceptions into it
    old, new = old & ~0x8001, new & ~0x8001
    one.set("MDSCR_EL1", old)
    one.set("OSLSR_EL1", locked << 1)
    always = 0x3000 | field(63, 32)
    mask = always | (SAVED if locked else 0)
    one.p.set_x(0, new)
    assert one.execute(msr("MDSCR_EL1", 0), el=1) == DONE
    assert one.get("MDSCR_EL1") == (old & (always | SAVED) & ~mask) | (new & mask)


def test_claim_tags() -> None:
    one = One()
    for register, value, claimed in (
        ("DBGCLAIMSET_EL1", 0x1F0, 0xF0),
        ("DBGCLAIMSET_EL1", 0x03, 0xF3),
        ("DBGCLAIMCLR_EL1", 0x31, 0xC2),
    ):
        one.p.set_x(0, value)
        one.execute(msr(register, 0), el=1)
        one.execute(mrs(1, "DBGCLAIMCLR_EL1"))
        assert one.p.get_x(1) == claimed
        one.execute(mrs(1, "DBGCLAIMSET_EL1"))
        assert one.p.get_x(1) == 0xFF


def test_the_debug_communications_channel() -> None:
    """Without an external debugger what is sent stays; what one would have sent is read once."""
    one = One()
    one.execute(mrs(0, "MDCCSR_EL0"), el=1)
    assert one.p.get_x(0) == 0
    one.p.set_x(0, 0x1_2345_6789)
    assert one.execute(msr("DBGDTRTX_EL0", 0), el=0) == DONE
    one.execute(mrs(1, "MDCCSR_EL0"))
    assert one.p.get_x(1) == 1 << 29
    assert one.get("OSDTRTX_EL1") == 0x2345_6789
    one.set("OSDTRRX_EL1", 0xAABB)
    one.set("MDSCR_EL1", 1 << 30)
    one.execute(mrs(1, "MDCCSR_EL0"))
    assert one.p.get_x(1) == 1 << 30
    assert one.get("DBGDTRRX_EL0") == 0xAABB  # to look at it takes nothing
    one.execute(mrs(1, "DBGDTRRX_EL0"))
    assert one.p.get_x(1) == 0xAABB
    assert one.get("MDSCR_EL1") == 0
    one.p.set_x(0, 0x1111_2222_3333_4444)
    one.execute(msr("DBGDTR_EL0", 0))
    assert (one.get("OSDTRRX_EL1"), one.get("OSDTRTX_EL1")) == (0x1111_2222, 0x3333_4444)
    one.execute(mrs(1, "DBGDTR_EL0"))
    assert one.p.get_x(1) == 0x3333_4444_1111_2222


def test_oseccr_is_there_only_while_locked() -> None:
    one = One()
    one.p.set_x(0, 0x55)
    one.execute(msr("OSECCR_EL1", 0), el=1)
    assert one.get("OSECCR_EL1") == 0
    one.set("OSLSR_EL1", 2)
    one.execute(msr("OSECCR_EL1", 0))
    one.execute(mrs(1, "OSECCR_EL1"))
    assert one.p.get_x(1) == 0x55
    one.set("OSLSR_EL1", 0)
    one.execute(mrs(1, "OSECCR_EL1"))
    assert one.p.get_x(1) == 0


def test_halting_debug_is_not_enabled() -> None:
    one = One()
    one.execute(mrs(1, "DBGAUTHSTATUS_EL1"), el=1)
    assert one.p.get_x(1) == 0x0A


def test_unknown_registers_are_a_key_error() -> None:
    one = One()
    for name in ("PMCR_EL0", "ICC_PMR_EL1", "DBGBVR6_EL1", "DBGWVR4_EL1", "SCTLR_EL2"):
        with pytest.raises(KeyError):
            one.get(name)
        with pytest.raises(KeyError):
            one.set(name, 0)
    with pytest.raises(KeyError):
        one.get("OSLAR_EL1")  # write-only
    for encoding in (0, 0x7FFF, 0x10000, 0xFFFFFFFF):
        with pytest.raises(KeyError):
            one.p.get_sysreg(encoding)
        with pytest.raises(KeyError):
            one.p.set_sysreg(encoding, 0)
