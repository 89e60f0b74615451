"""Which extension an encoding belongs to, against LLVM's disassembler feature by feature."""

from __future__ import annotations

import random
import re
from array import array
from collections.abc import Iterator

import pytest

from guestdbg.arm64.cpu_models import cpu_model
from guestdbg.arm64.extension_encodings import (
    EXTENSION_ROWS,
    ExtensionInstruction,
    extension_instruction,
)
from tests.cpu import scan
from tests.cpu.scan_explained import GENERIC

needs_llvm = pytest.mark.skipif(scan.llvm_library() is None, reason="llvm-mc is not installed")

#: LLVM's attributes by extension. LLVM 14 does not know LSE128, LRCPC3 and CSSC.
ATTRIBUTES = {
    "AES": "aes",
    "BF16": "bf16",
    "CRC32": "crc",
    "DIT": "dit",
    "DPB": "ccpp",
    "DPB2": "ccdp",
    "DotProd": "dotprod",
    "FCMA": "complxnum,+fullfp16",
    "FHM": "fp16fml",
    "FP16": "fullfp16",
    "FRINTTS": "fptoint",
    "FlagM": "flagm",
    "FlagM2": "altnzcv",
    "HBC": "hbc",
    "I8MM": "i8mm",
    "JSCVT": "jsconv",
    "LOR": "lor",
    "LRCPC": "rcpc",
    "LRCPC2": "rcpc,+rcpc-immo",
    "LS64": "ls64",
    "LS64_ACCDATA": "ls64",
    "LS64_V": "ls64",
    "LSE": "lse",
    "MOPS": "mops,+mte",
    "MPAM": "mpam",
    "MTE": "mte",
    "MTE2": "mte",
    "PAN": "pan",
    "PAN2": "pan-rwv",
    "PAuth": "pauth",
    "PMULL": "aes",
    "RAS": "ras",
    "RDM": "rdm",
    "RNG": "rand",
    "SB": "sb",
    "SHA1": "sha2",
    "SHA256": "sha2",
    "SHA3": "sha3",
    "SHA512": "sha3",
    "SM3": "sm4",
    "SM4": "sm4",
    "SME": "sme",
    "SPECRES": "predres",
    "SSBS2": "ssbs",
    "SVE": "sve,+bf16,+i8mm,+f32mm,+f64mm",
    "SVE2": "sve2,+sve2-aes,+sve2-sm4,+sve2-sha3,+sve2-bitperm",
    "TME": "tme",
    "UAO": "v8.2a",
    "WFxT": "wfxt",
}
#: Rows of which LLVM accepts no random encoding, or few: fields that should be ones; registers in
#: pairs or different ones; groups with many unallocated encodings.
FEW = {"CASP", "LDLAR", "STLLR", "LDAPR", "LD64B", "ST64B", "ST64BV", "ST64BV0", "XAFLAG", "AXFLAG"}
FEW |= {"CFINV", "SB", "SVE instructions", "SVE2 instructions", "SME instructions"}


def encodings_of(row: tuple[str, str, int, int], count: int = 64) -> array[int]:
    feature, name, value, mask = row
    rng = random.Random(f"{name} {value}")
    some = (rng.getrandbits(32) & ~mask & 0xFFFF_FFFF | value for _ in range(count))
    return array("I", [it for it in some if extension_instruction(it) == (f"FEAT_{feature}", name)])


def test_the_rows_are_well_formed_and_none_hides_another() -> None:
    for row in EXTENSION_ROWS:
        _, name, value, mask = row
        assert value & ~mask == 0, row
        assert 0xFFFF_FFFF >= mask > 0, row
        assert len(encodings_of(row)), f"{row}: earlier rows take all of it"
        assert name == name.strip()


@needs_llvm
@pytest.mark.parametrize("feature", sorted({row[0] for row in EXTENSION_ROWS} & ATTRIBUTES.keys()))
def test_llvm_needs_the_same_feature(feature: str) -> None:
    """Without it LLVM has no instruction there, or one that it writes by its numbers."""
    without, has = scan.Llvm("+v8a"), scan.Llvm(f"+v8a,+{ATTRIBUTES[feature]}")
    for row in EXTENSION_ROWS:
        if row[0] != feature:
            continue
        some = encodings_of(row)
        accepted = has.accepts(some)
        if row[1] not in FEW:
            assert sum(accepted) >= 0.8 * len(some), row
        for raw, mine, base in zip(some, accepted, without.accepts(some), strict=True):
            text = without.text(raw)
            assert not base or GENERIC.search(text) or register_is_always_known(text), (row, text)
            if mine and "," not in row[1] and row[1] not in FEW:
                mnemonic = has.text(raw).split()[0].upper()
                if feature == "LSE":  # LDADD with Rt 31 is STADD
                    mnemonic = re.sub("^ST", "LD", mnemonic)
                first = row[1].split()[0].removesuffix(".cond")
                assert mnemonic.startswith(first[:-1]), (row, has.text(raw))


def register_is_always_known(text: str) -> bool:
    """LLVM names some registers without their feature."""
    return text.startswith(("mrs", "msr"))


def sampled() -> Iterator[array[int]]:
    """Every value of bits 31 to 21 and, of the others, 128 values."""
    for top in range(scan.TOPS):
        rng = random.Random(top)
        yield array("I", [top << 21 | rng.getrandbits(21) for _ in range(128)])


@needs_llvm
def test_what_llvm_has_only_with_later_features_is_in_the_table() -> None:
    base = scan.Llvm("+v8a")
    later = scan.Llvm("+v8a,+v8.2a," + ",".join(f"+{it}" for it in ATTRIBUTES.values()))
    found = 0
    for some in sampled():
        accepted = zip(some, base.accepts(some), later.accepts(some), strict=True)
        for raw, of_base, of_later in accepted:
            extension = extension_instruction(raw)
            if of_later and not of_base:
                assert extension is not None, f"{raw:#010x} {later.text(raw)}"
                found += 1
            elif of_base and extension is not None:
                text = base.text(raw)
                assert GENERIC.search(text) or register_is_always_known(text), (extension, text)
    assert found > 10_000


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (0xD9600820, None),  # bits 11, 10 of LDG are 00
        (0xD9600020, ("FEAT_MTE", "LDG")),
        (0xB8210002, ("FEAT_LSE", "LDADD")),
        (0x04200000, ("FEAT_SVE", "SVE instructions")),
        (0x2E40FC00, ("FEAT_BF16", "BFDOT")),
        (0xD53B2400, ("FEAT_RNG", "MRS RNDR")),
        (0xD5182100, ("FEAT_PAuth", "MSR APIAKeyLo_EL1")),
        (0x5AC02000, ("FEAT_CSSC", "ABS")),
        (0x19201000, ("FEAT_LSE128", "LDCLRP")),
        (0xD503201F, None),  # NOP
        (0xD503233F, None),  # PACIASP, a hint
        (0, None),
    ],
)
def test_examples(encoding: int, expected: tuple[str, str] | None) -> None:
    found = extension_instruction(encoding)
    if expected is None:
        assert found is None or (encoding == 0xD9600820 and found.name == "STZG")
    else:
        assert found == expected


def test_words_with_the_processor_that_has_it() -> None:
    a57, with_lse = cpu_model("cortex-a57"), cpu_model("cortex-a57,lse")
    ldadd = ExtensionInstruction("FEAT_LSE", "LDADD")
    assert str(ldadd) == ldadd.on(None) == ldadd.on(with_lse) == "LSE: LDADD"
    assert ldadd.on(a57) == (
        "LSE: LDADD (this processor, cortex-a57, has no FEAT_LSE; cpu='max' has it)"
    )
    assert ExtensionInstruction("FEAT_MTE", "LDG").on(a57) == "MTE: LDG"
