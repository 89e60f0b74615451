"""The system register table, compared with the GNU assembler, and its consistency."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import sysregs
from guestdbg.arm64.errors import UnknownName

AS = shutil.which("aarch64-linux-gnu-as")
OBJCOPY = shutil.which("aarch64-linux-gnu-objcopy")

#: Names that the assembler of binutils 2.40 does not know (newer than it, or not MRS/MSR names).
NEWER = {
    "ID_AA64PFR2_EL1",
    "ID_AA64FPFR0_EL1",
    "ID_AA64DFR2_EL1",
    "ID_AA64ISAR3_EL1",
    "ID_AA64MMFR3_EL1",
    "ID_AA64MMFR4_EL1",
    "SCTLR2_EL1",
    "TCR2_EL1",
    "PIRE0_EL1",
    "PIR_EL1",
    "FPMR",
    "MDSELR_EL1",
}


@pytest.mark.skipif(not (AS and OBJCOPY), reason="aarch64-linux-gnu binutils are not installed")
def test_encodings_agree_with_the_assembler(tmp_path: Path) -> None:
    regs = [r for r in sysregs.SYSREGS.values() if r.name not in NEWER]
    assert len(regs) > 450
    lines = [".arch armv8.8-a+sve+sme+memtag+ls64+rng+pauth+tme+predres+profile"]
    for r in regs:
        lines.append(f"msr {r.name}, x0" if r.access == "WO" else f"mrs x0, {r.name}")
    source, built, raw = tmp_path / "r.s", tmp_path / "r.o", tmp_path / "r.bin"
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run([str(AS), source, "-o", built], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run([str(OBJCOPY), "-O", "binary", built, raw], check=True)
    code = raw.read_bytes()
    assert len(code) == 4 * len(regs)
    wrong = []
    for i, r in enumerate(regs):
        word = int.from_bytes(code[4 * i : 4 * i + 4], "little")
        # op0 is bit 19 with an implied 1 above it; the other fields follow downwards.
        assembled = (word >> 5 & 0x7FFF) | 0x8000
        if assembled != r.encoding:
            wrong.append((r.name, sysregs.decode16(assembled)))
    assert not wrong


def test_no_two_registers_share_an_encoding_in_one_direction() -> None:
    for access in ("RO", "WO"):
        seen: dict[int, str] = {}
        for r in sysregs.SYSREGS.values():
            if r.access in (access, "RW"):
                assert r.encoding not in seen, f"{r.name} and {seen[r.encoding]}"
                seen[r.encoding] = r.name


@given(st.integers(0, 0xFFFF))
def test_encode16_and_decode16_are_inverse(encoding: int) -> None:
    assert sysregs.encode16(*sysregs.decode16(encoding)) == encoding


@given(st.integers(0, 0xFFFF))
def test_every_encoding_has_a_name_that_leads_back(encoding: int) -> None:
    name = sysregs.name_of(*sysregs.decode16(encoding))
    assert sysregs.by_name(name.lower()).encoding == encoding


def test_direction_chooses_between_the_dtr_registers() -> None:
    encoding = sysregs.encode16(2, 3, 0, 5, 0)
    read = sysregs.by_encoding(encoding)
    written = sysregs.by_encoding(encoding, write=True)
    assert read is not None
    assert written is not None
    assert (read.name, written.name) == ("DBGDTRRX_EL0", "DBGDTRTX_EL0")


def test_fields_are_checked() -> None:
    with pytest.raises(ValueError, match="CRn is 16"):
        sysregs.encode16(3, 0, 16, 0, 0)


def test_unknown_names_give_near_matches() -> None:
    with pytest.raises(UnknownName, match="SCTLR_EL1"):
        sysregs.by_name("sctrl_el1")


def test_lowest_el_follows_op1() -> None:
    assert sysregs.by_name("TPIDR_EL0").lowest_el == 0
    assert sysregs.by_name("MDSCR_EL1").lowest_el == 1
    assert sysregs.by_name("MDCR_EL2").lowest_el == 2
