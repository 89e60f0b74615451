"""Who may access which system register, and what happens otherwise: against a model of the
manual's accessibility rules, written as rules over names where the processor has one table."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu import sysreg

from .system_support import (
    DONE,
    EL0T,
    EL1H,
    EL1T,
    IL,
    UNDEFINED,
    One,
    Outcome,
    enc,
    mrs,
    msr,
    syndrome,
)

# ---- the model ------------------------------------------------------------------------------


def names(text: str) -> set[str]:
    return set(text.split())


VM_CONTROLS = names(
    "SCTLR_EL1 TTBR0_EL1 TTBR1_EL1 TCR_EL1 ESR_EL1 FAR_EL1 AFSR0_EL1 AFSR1_EL1 MAIR_EL1 AMAIR_EL1"
    " CONTEXTIDR_EL1"
)
EL1_ONLY_RW = VM_CONTROLS | names(
    "ACTLR_EL1 CPACR_EL1 SPSR_EL1 ELR_EL1 SP_EL0 SPSEL PAR_EL1 VBAR_EL1 TPIDR_EL1 CSSELR_EL1"
    " CNTKCTL_EL1 OSDTRRX_EL1 OSDTRTX_EL1 MDCCINT_EL1 MDSCR_EL1 OSECCR_EL1 OSDLR_EL1 DBGPRCR_EL1"
    " DBGCLAIMSET_EL1 DBGCLAIMCLR_EL1"
)
EL1_ONLY_RO = names(
    "MIDR_EL1 MPIDR_EL1 REVIDR_EL1 CCSIDR_EL1 CLIDR_EL1 AIDR_EL1 CURRENTEL ISR_EL1 MDRAR_EL1"
    " OSLSR_EL1 DBGAUTHSTATUS_EL1"
)
EL0_RW = names(
    "NZCV DAIF FPCR FPSR TPIDR_EL0 CNTP_TVAL_EL0 CNTP_CTL_EL0 CNTP_CVAL_EL0 CNTV_TVAL_EL0"
    " CNTV_CTL_EL0 CNTV_CVAL_EL0 DBGDTR_EL0 DBGDTRRX_EL0 DBGDTRTX_EL0"
)
EL0_RO = names("CTR_EL0 DCZID_EL0 CNTFRQ_EL0 CNTPCT_EL0 CNTVCT_EL0 MDCCSR_EL0")
PMU_RO = {"PMCEID0_EL0", "PMCEID1_EL0"}
# Allocated after Armv8.0, or by an extension that is not implemented.
PMU_LATER = re.compile(r"PM(MIR|S\w+|B\w+|SLATFR)_EL1")


@dataclass
class Controls:
    hcr: int = 0
    mdcr: int = 0
    cptr: int = 0
    cnthctl: int = 3
    cpacr: int = 0
    sctlr: int = 0
    cntkctl: int = 0
    mdscr: int = 0
    pstate: int = EL1H


def is_identification(name: str) -> bool:
    r = SYSREGS[name]
    return (r.op0, r.op1, r.crn) == (3, 0, 0) and 1 <= r.crm <= 7


def is_pmu(name: str) -> bool:
    r = SYSREGS[name]
    return name.startswith("PM") and (r.crn in (9, 14)) and not PMU_LATER.fullmatch(name)


def numbered(name: str) -> tuple[str, int] | None:
    found = re.fullmatch(r"DBG([BW])[VC]R(\d+)_EL1", name)
    return (found[1], int(found[2])) if found else None


# One branch for each rule of the registers' pages, to be read beside them.
def trap(controls: Controls, el: int, read: bool, name: str) -> str:  # noqa: C901
    """'ok', 'undefined', 'el1', 'el2', 'fp1' or 'fp2', as the register's page has it."""

    def hcr(bit: int) -> str:
        return "el2" if controls.hcr >> bit & 1 else "ok"

    def mdcr(*bits: int) -> str:
        return "el2" if any(controls.mdcr >> bit & 1 for bit in bits) else "ok"

    write = not read
    if name == "OSLAR_EL1":
        if el == 0 or read:
            return "undefined"
        return mdcr(10, 8)
    if is_identification(name):
        return "undefined" if el == 0 or write else hcr(18)
    if is_pmu(name):
        if el == 0 and (name.endswith("_EL1") or (name == "PMUSERENR_EL0" and write)):
            return "undefined"
        if (name in PMU_RO and write) or (name == "PMSWINC_EL0" and read):
            return "undefined"
        if mdcr(6) == "el2" or (name == "PMCR_EL0" and mdcr(5) == "el2"):
            return "el2"
        return "undefined"
    number = numbered(name)
    if number:
        kind, n = number
        if el == 0 or n >= (6 if kind == "B" else 4):
            return "undefined"
        return mdcr(9, 8)
    if name in EL1_ONLY_RW or name in EL1_ONLY_RO:
        if el == 0 or (write and name in EL1_ONLY_RO):
            return "undefined"
    elif name == "TPIDRRO_EL0":
        return "undefined" if el == 0 and write else "ok"
    elif name in EL0_RO:
        if write:
            return "undefined"
    elif name not in EL0_RW:
        return "undefined"

    if name in VM_CONTROLS:
        return hcr(30) if read else hcr(26)
    if name == "ACTLR_EL1":
        return hcr(21)
    if name in ("REVIDR_EL1", "AIDR_EL1"):
        return hcr(16)
    if name in ("CCSIDR_EL1", "CLIDR_EL1", "CSSELR_EL1"):
        return hcr(17)
    if name == "CTR_EL0":
        return "el1" if el == 0 and not controls.sctlr >> 15 & 1 else hcr(17)
    if name == "CPACR_EL1":
        return "el2" if controls.cptr >> 31 & 1 else "ok"
    if name in ("FPCR", "FPSR"):
        fpen = controls.cpacr >> 20 & 3
        if fpen in (0, 2) or (fpen == 1 and el == 0):
            return "fp1"
        return "fp2" if controls.cptr >> 10 & 1 else "ok"
    if name == "DAIF":
        return "el1" if el == 0 and not controls.sctlr >> 9 & 1 else "ok"
    if name == "SP_EL0":
        return "ok" if controls.pstate & 1 else "undefined"
    kernel = controls.cntkctl
    if name == "CNTFRQ_EL0":
        return "el1" if el == 0 and not kernel & 3 else "ok"
    if name == "CNTPCT_EL0":
        if el == 0 and not kernel & 1:
            return "el1"
        return "ok" if controls.cnthctl & 1 else "el2"
    if name == "CNTVCT_EL0":
        return "el1" if el == 0 and not kernel & 2 else "ok"
    if name.startswith("CNTP_"):
        if el == 0 and not kernel >> 9 & 1:
            return "el1"
        return "ok" if controls.cnthctl & 2 else "el2"
    if name.startswith("CNTV_"):
        return "el1" if el == 0 and not kernel >> 8 & 1 else "ok"
    if name == "MDCCSR_EL0" or name.startswith("DBGDTR"):
        if el == 0 and controls.mdscr >> 12 & 1:
            return "el1"
        return mdcr(9, 8)
    if name in ("OSLSR_EL1", "OSDLR_EL1", "DBGPRCR_EL1"):
        return mdcr(10, 8)
    if name == "MDRAR_EL1":
        return mdcr(11, 8)
    if name.startswith(("DBG", "OS", "MD")):
        return mdcr(9, 8)
    return "ok"


def outcome(kind: str, word: int) -> Outcome:
    fp = 0x07 << 26 | IL | 0x1E << 20
    return {
        "ok": DONE,
        "undefined": UNDEFINED,
        "el1": Outcome("el1", syndrome(word)),
        "el2": Outcome("el2", syndrome(word)),
        "fp1": Outcome("el1", fp),
        "fp2": Outcome("el2", fp),
    }[kind]


# ---- the processor under it -----------------------------------------------------------------

# Every bit that traps an access by the model, and every way the others stand.
HCR = (16, 17, 18, 21, 26, 30)
MDCR = (5, 6, 8, 9, 10, 11)


def bits_of(positions: tuple[int, ...]) -> st.SearchStrategy[int]:
    return st.sets(st.sampled_from(positions)).map(lambda s: sum(1 << b for b in s))


CONTROLS = st.builds(
    Controls,
    hcr=bits_of(HCR),
    mdcr=bits_of(MDCR),
    cptr=bits_of((10, 31)),
    cnthctl=st.integers(0, 3),
    cpacr=st.integers(0, 3).map(lambda v: v << 20),
    sctlr=bits_of((9, 15)),
    cntkctl=bits_of((0, 1, 8, 9)),
    mdscr=bits_of((12,)),
    pstate=st.sampled_from([EL0T, EL1T, EL1H]),
)


def try_access(one: One, controls: Controls, name: str, read: bool, rt: int) -> None:
    one.p.hcr_el2 = 1 << 31
    one.p.mdcr_el2 = one.p.cptr_el2 = 0
    one.p.reset()
    one.set("VBAR_EL1", 0x4000_8000)
    one.set("CPACR_EL1", controls.cpacr)
    one.set("SCTLR_EL1", controls.sctlr)
    one.set("CNTKCTL_EL1", controls.cntkctl)
    one.set("MDSCR_EL1", controls.mdscr)
    one.p.hcr_el2 = 1 << 31 | controls.hcr
    one.p.mdcr_el2 = controls.mdcr
    one.p.cptr_el2 = controls.cptr
    one.p.cnthctl_el2 = controls.cnthctl
    one.p.pstate = controls.pstate
    # Written values must not change what the next instruction needs (translation stays off).
    if rt != 31:
        one.p.set_x(rt, 0)
    word = mrs(rt, name) if read else msr(name, rt)
    el = 1 if controls.pstate & 4 else 0
    want = outcome(trap(controls, el, read, name), word)
    if name == "VBAR_EL1" and want == DONE and not read:
        one.p.set_x(rt % 31, 0x4000_8000)
    got = one.execute(word)
    assert got == want, (name, "read" if read else "write", el, controls)


NAMES = sorted(n for n, r in SYSREGS.items() if r.op0 >= 2)
tested = One()


@settings(max_examples=800, deadline=None)
@given(CONTROLS, st.sampled_from(NAMES), st.booleans(), st.integers(0, 31))
def test_access_with_any_controls(controls: Controls, name: str, read: bool, rt: int) -> None:
    try_access(tested, controls, name, read, rt)


@pytest.mark.parametrize("read", [True, False], ids=["read", "write"])
@pytest.mark.parametrize("pstate", [EL0T, EL1H], ids=["EL0", "EL1"])
def test_each_control_alone(pstate: int, read: bool) -> None:
    """Every register, with every trap bit set alone and with none, both ways."""
    permissive = {
        "cnthctl": 3,
        "cpacr": 3 << 20,
        "sctlr": 1 << 9 | 1 << 15,
        "cntkctl": 0x303,
        "pstate": pstate,
    }
    cases = [Controls(**permissive)]
    cases += [Controls(**permissive, hcr=1 << b) for b in HCR]
    cases += [Controls(**permissive, mdcr=1 << b) for b in MDCR]
    cases += [Controls(**permissive, cptr=1 << b) for b in (10, 31)]
    cases += [Controls(**permissive, mdscr=1 << 12)]
    for key, values in {
        "cnthctl": (0, 1, 2),
        "cpacr": (0, 1 << 20, 2 << 20),
        "sctlr": (0, 1 << 9, 1 << 15),
        "cntkctl": (0, 1, 2, 3, 1 << 8, 1 << 9),
    }.items():
        cases += [Controls(**{**permissive, key: v}) for v in values]
    here = {name.upper() for name, _, _ in sysreg.table()} & set(SYSREGS) | {"DBGDTRTX_EL0"}
    # Of the numbered ones the first and the last, implemented or not.
    numbers = re.compile(r"(DBG[BW][VC]R(1|2|4|[7-9]|1[0-4])|PMEV\w+?R([2-9]|1\d|2\d))_EL[01]")
    for name in sorted(name for name in here if not numbers.fullmatch(name)):
        for controls in cases:
            try_access(tested, controls, name, read, 5)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0x8000, 0xFFFF), st.booleans(), st.sampled_from([EL0T, EL1H]))
def test_unallocated_encodings_are_undefined(encoding: int, read: bool, pstate: int) -> None:
    """Whatever encoding: an encoding without a name is UNDEFINED, and is reported."""
    from guestdbg.arm64.sysregs import BY_ENCODING

    op1, crn, crm = encoding >> 11 & 7, encoding >> 7 & 15, encoding >> 3 & 15
    if encoding in BY_ENCODING:
        return
    if encoding >> 14 == 3 and (op1, crn) == (0, 0) and 1 <= crm <= 7:
        return  # reserved for identification: below
    tested.p.reset()
    tested.set("VBAR_EL1", 0x4000_8000)
    tested.p.hcr_el2 = 1 << 31
    tested.p.mdcr_el2 = 0
    tested.p.undefined()
    tested.p.pstate = pstate
    word = mrs(3, encoding) if read else msr(encoding, 3)
    assert tested.execute(word) == UNDEFINED
    implementation_defined = encoding >> 14 == 3 and crn in (11, 15)
    assert (word in tested.p.undefined()) == (not implementation_defined)


@pytest.mark.parametrize("crn", [11, 15])
@pytest.mark.parametrize("op1", range(8))
def test_the_implementation_defined_space_is_trapped_by_tidcp(op1: int, crn: int) -> None:
    one = One()
    encoding = 3 << 14 | op1 << 11 | crn << 7 | 5 << 3 | 2
    for word in (mrs(9, encoding), msr(encoding, 9)):
        one.p.hcr_el2 = 1 << 31
        assert one.execute(word, el=1) == UNDEFINED
        one.p.hcr_el2 = 1 << 31 | 1 << 20
        assert one.execute(word, el=1) == Outcome("el2", syndrome(word))
        assert one.execute(word, el=0) == UNDEFINED


def test_the_whole_reserved_identification_space_reads_as_zero() -> None:
    one = One()
    named = {enc(n) for n in SYSREGS if is_identification(n)}
    for crm in range(1, 8):
        for op2 in range(8):
            encoding = 3 << 14 | crm << 3 | op2
            one.p.set_x(4, 0xABCD)
            assert one.execute(mrs(4, encoding), el=1) == DONE
            if encoding not in named or crm < 4:
                assert one.p.get_x(4) == 0
            assert one.execute(msr(encoding, 4), el=1) == UNDEFINED


def test_names_and_encodings_agree_with_the_architecture() -> None:
    """The processor's table against guestdbg.arm64's, which was written independently."""
    seen = 0
    for name, encoding, _ in sysreg.table():
        if name == "ID_RESERVED":
            continue
        assert enc(name.upper()) == encoding, name
        seen += 1
    assert seen > 200


def test_names_and_encodings_agree_with_the_assembler(tmp_path: Path) -> None:
    """Every register of the table, as GNU as encodes its name."""
    assembler = shutil.which("aarch64-linux-gnu-as")
    if assembler is None:
        pytest.skip("aarch64-linux-gnu-as is not installed (binutils-aarch64-linux-gnu)")
    readable = [
        (name, encoding)
        for name, encoding, access in sysreg.table()
        if name != "ID_RESERVED" and (access & 5 or access == 0)
    ]
    source, binary = tmp_path / "a.s", tmp_path / "a.o"
    source.write_text("".join(f"mrs x0, {name.lower()}\n" for name, _ in readable))
    subprocess.run([assembler, "-march=armv8.5-a", "-o", binary, source], check=True)
    image = binary.read_bytes()
    words = b"".join(mrs(0, encoding).to_bytes(4, "little") for _, encoding in readable)
    assert words in image
