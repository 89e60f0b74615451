"""Which extension an instruction belongs to, and how code is built without it.

Source: DDI 0487, chapters C2 (features) and C4 (encodings); the option names are those of GCC and
Clang for AArch64. The disassembler is capstone: the module is imported when it is first needed.
"""

from __future__ import annotations

import contextlib
import functools

import capstone
from capstone import arm64

__all__ = ["describe"]

_GENERAL = "-mgeneral-regs-only"
_BASE = "-march=armv8-a"

#: Extensions by capstone's groups, the most specific first: name, and what to build with.
_BY_GROUP: tuple[tuple[int, str, str], ...] = (
    (arm64.ARM64_GRP_PAC, "pointer authentication (FEAT_PAuth)", "-mbranch-protection=none"),
    (arm64.ARM64_GRP_CRYPTO, "cryptographic instructions (FEAT_AES, FEAT_SHA)", _BASE),
    (arm64.ARM64_GRP_CRC, "CRC32 instructions (FEAT_CRC32)", "-march=armv8-a+nocrc"),
    (arm64.ARM64_GRP_NEON, "Advanced SIMD", _GENERAL),
    (arm64.ARM64_GRP_FPARMV8, "floating point", _GENERAL),
)

_LSE = ("ld", "st", "cas", "swp")
_MTE = (
    *("irg", "gmi", "subp", "subps", "addg", "subg", "stg", "stzg", "st2g", "stz2g", "stgp"),
    *("ldg", "ldgm", "stgm", "stzgm"),
)
#: By mnemonic, where capstone has no group.
_BY_MNEMONIC: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_MTE, ("memory tagging (FEAT_MTE)", "-march=armv8-a+nomemtag")),
    **dict.fromkeys(
        ("ldapr", "ldaprb", "ldaprh", "ldapur", "stlur", "ldapurb", "ldapurh", "ldapursb",
         "ldapursh", "ldapursw", "stlurb", "stlurh"),
        ("load-acquire RCpc (FEAT_LRCPC)", _BASE),
    ),
    **dict.fromkeys(
        ("cfinv", "rmif", "setf8", "setf16", "axflag", "xaflag"),
        ("flag manipulation (FEAT_FlagM)", _BASE),
    ),
}  # fmt: skip

#: System registers of extensions: op0, op1, CRn, CRm as in bits 20 to 8 of MSR and MRS.
_SYSREG_SHIFT, _SYSREG_MASK = 8, 0x1FFF
_MSR_MRS_MASK, _MSR_MRS = 0xFFD0_0000, 0xD510_0000
_BY_SYSREG: dict[int, tuple[str, str]] = {
    # S3_0_C2_C1..C3: APIAKeyLo_EL1 to APGAKeyHi_EL1.
    **{
        0x1 << 12 | 1 << 11 | 0 << 8 | 2 << 4 | crm: (
            "pointer authentication (FEAT_PAuth)",
            "-mbranch-protection=none",
        )
        for crm in (1, 2, 3)
    },
    1 << 12 | 1 << 11 | 0 << 8 | 1 << 4 | 2: (
        "the Scalable Vector or Matrix Extension (FEAT_SVE, FEAT_SME)",
        _BASE,
    ),
    1 << 12 | 1 << 11 | 3 << 8 | 2 << 4 | 4: ("random numbers (FEAT_RNG)", _BASE),
}


@functools.cache
def _disassembler() -> capstone.Cs:
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    disassembler.detail = True
    return disassembler


def describe(encoding: int, pc: int) -> tuple[str, str, str | None] | None:
    """An encoding as (assembly, extension, what to build with).

    None for an encoding that is no instruction, and for HLT, DCPS and the like, which are UNDEFINED
    to a guest under every KVM.
    """
    code = encoding.to_bytes(4, "little")
    with contextlib.suppress(capstone.CsError):
        for instruction in _disassembler().disasm(code, pc, 1):
            found = _extension(encoding, instruction)
            if found is None:
                return None
            return f"{instruction.mnemonic} {instruction.op_str}".rstrip(), *found
    return None


def _extension(encoding: int, instruction: capstone.CsInsn) -> tuple[str, str | None] | None:
    mnemonic = instruction.mnemonic
    if encoding & _MSR_MRS_MASK == _MSR_MRS:
        key = encoding >> _SYSREG_SHIFT & _SYSREG_MASK
        return _BY_SYSREG.get(key, ("a system register", None))
    if encoding >> 24 in (0xD4, 0xD5, 0xD6):  # exceptions, system, branches
        groups = instruction.groups
        return _BY_GROUP[0][1:] if arm64.ARM64_GRP_PAC in groups else None
    known = _BY_MNEMONIC.get(mnemonic)
    if known is not None:
        return known
    if encoding >> 25 & 0xF == 0b0010:  # the encodings of SVE
        return "the Scalable Vector Extension (FEAT_SVE)", _BASE
    if encoding >> 31 and encoding >> 25 & 0xF == 0:
        return "the Scalable Matrix Extension (FEAT_SME)", _BASE
    for group, extension, option in _BY_GROUP:
        if group in instruction.groups:
            return extension, option
    if encoding >> 25 & 0x7 == 0b111:  # data processing of the SIMD and floating-point registers
        return "Advanced SIMD and floating point", _GENERAL
    if encoding >> 25 & 0x5 == 0b100 and mnemonic.startswith(_LSE):
        return "atomic instructions (FEAT_LSE)", "-march=armv8-a -mno-outline-atomics"
    return "an extension of the Armv8.0 architecture", _BASE
