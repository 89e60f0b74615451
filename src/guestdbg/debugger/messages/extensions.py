"""Which extension an instruction belongs to, and how code is built without it.

The extension is from `guestdbg.arm64.extension_encodings`; the option names are those of GCC and
Clang for AArch64. The disassembler is capstone: the module is imported when it is first needed.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, NamedTuple

import capstone

from guestdbg.arm64.extension_encodings import extension_instruction
from guestdbg.arm64.features import FEATURES

if TYPE_CHECKING:
    from guestdbg.arm64.extension_encodings import ExtensionInstruction

__all__ = ["Description", "describe"]

_GENERAL = "-mgeneral-regs-only"
_BASE = "-march=armv8-a"

#: Extensions that no processor model has.
_WORDS = {
    "FEAT_BF16": "BFloat16",
    "FEAT_CSSC": "common short sequences",
    "FEAT_CSV2_2": "software context numbers",
    "FEAT_FPMR": "8-bit floating point",
    "FEAT_FRINTTS": "FRINT32 and FRINT64",
    "FEAT_FlagM2": "AXFLAG and XAFLAG",
    "FEAT_GCS": "guarded control stacks",
    "FEAT_HBC": "hinted conditional branches",
    "FEAT_I8MM": "8-bit integer matrix products",
    "FEAT_LRCPC2": "load-acquire RCpc with offsets",
    "FEAT_LRCPC3": "load-acquire RCpc of pairs and SIMD registers",
    "FEAT_LS64": "64-byte accesses",
    "FEAT_LS64_ACCDATA": "64-byte accesses",
    "FEAT_LS64_V": "64-byte accesses",
    "FEAT_LSE128": "128-bit atomic instructions",
    "FEAT_MOPS": "memory copy and set",
    "FEAT_MPAM": "memory partitioning",
    "FEAT_MTE": "memory tagging",
    "FEAT_MTE2": "memory tagging",
    "FEAT_RNG": "random numbers",
    "FEAT_SM3": "SM3 instructions",
    "FEAT_SM4": "SM4 instructions",
    "FEAT_SME": "the Scalable Matrix Extension",
    "FEAT_SPECRES": "prediction restriction",
    "FEAT_SPECRES2": "prediction restriction",
    "FEAT_SVE": "the Scalable Vector Extension",
    "FEAT_SVE2": "the Scalable Vector Extension 2",
    "FEAT_TME": "transactional memory",
    "FEAT_WFxT": "WFE and WFI with a time limit",
}

#: What to build with, if it is not _BASE.
_BUILD_WITH = {
    "FEAT_CRC32": "-march=armv8-a+nocrc",
    "FEAT_LSE": "-march=armv8-a -mno-outline-atomics",
    "FEAT_MTE": "-march=armv8-a+nomemtag",
    "FEAT_MTE2": "-march=armv8-a+nomemtag",
    "FEAT_PAuth": "-mbranch-protection=none",
}

_MSR_MRS_MASK, _MSR_MRS = 0xFFD0_0000, 0xD510_0000


class Description(NamedTuple):
    """An encoding that the processor does not implement.

    Attributes:
        text: as assembly.
        extension: what it belongs to, in words.
        build_with: the compiler option with which code does not use it; None: there is none.
        instruction: the extension and the instruction; None: it belongs to none.
    """

    text: str
    extension: str
    build_with: str | None
    instruction: ExtensionInstruction | None


@functools.cache
def _disassembler() -> capstone.Cs:
    return capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)


def describe(encoding: int, pc: int) -> Description | None:
    """What an encoding is.

    None for an encoding that is no instruction, and for HLT, DCPS and the like, which are UNDEFINED
    to a guest under every KVM.
    """
    found = extension_instruction(encoding)
    text = _assembly(encoding, pc)
    if found is not None:
        if not text and found.is_group:
            return None  # the group has encodings that are no instruction
        feature = FEATURES.get(found.feature)
        words = feature.what if feature is not None else _WORDS[found.feature]
        build_with = _BUILD_WITH.get(found.feature, _BASE)
        text = text or found.name.split(",")[0].lower()
        return Description(text, f"{words} ({found.feature})", build_with, found)
    if not text:
        return None
    if encoding & _MSR_MRS_MASK == _MSR_MRS:
        return Description(text, "a system register", None, None)
    if encoding >> 24 in (0xD4, 0xD5, 0xD6):  # exceptions, system, branches
        return None
    if encoding >> 25 & 0x7 == 0b111:  # data processing of the SIMD and floating-point registers
        return Description(text, "Advanced SIMD and floating point", _GENERAL, None)
    return Description(text, "an extension of the Armv8.0 architecture", _BASE, None)


def _assembly(encoding: int, pc: int) -> str:
    """As assembly; empty if the disassembler does not know it."""
    code = encoding.to_bytes(4, "little")
    with contextlib.suppress(capstone.CsError):
        for instruction in _disassembler().disasm(code, pc, 1):
            return f"{instruction.mnemonic} {instruction.op_str}".rstrip()
    return ""
