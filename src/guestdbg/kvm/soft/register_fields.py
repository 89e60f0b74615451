"""Fields of EL2's registers, PSTATE and the syndromes, as numbers (asm/kvm_arm.h, asm/esr.h).

``guestdbg.arm64.registers`` describes the same fields in words. Here they are constants, because
every entry and exit uses them. The tests compare the two. Exception classes are in
``guestdbg.arm64.exception_class``.
"""

from typing import Final

# MDCR_EL2: which debug accesses and exceptions go to EL2 (Arm ARM D24.3.17).
MDCR_TPMCR: Final = 1 << 5
MDCR_TPM: Final = 1 << 6
MDCR_TDE: Final = 1 << 8
MDCR_TDA: Final = 1 << 9
MDCR_TDOSA: Final = 1 << 10
MDCR_TDRA: Final = 1 << 11

# MDSCR_EL1 (D24.3.20).
MDSCR_SS: Final = 1 << 0
MDSCR_TDCC: Final = 1 << 12
MDSCR_KDE: Final = 1 << 13
MDSCR_MDE: Final = 1 << 15
#: The bits that the hardware keeps of a write: those that it implements, and the upper 32, which
#: belong to extensions that it does not have. (While its OS Lock is locked it keeps more, to save
#: and restore EDSCR; but KVM never locks the hardware's OS Lock.)
MDSCR_KEPT: Final = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE | 0xFFFF_FFFF << 32

# MDCCINT_EL1 (D24.3.18): RX, TX.
MDCCINT_KEPT: Final = 3 << 29

# OSLSR_EL1 (D24.3.24): the lock, and "OS Lock implemented".
OSLSR_OSLK: Final = 1 << 1
OSLSR_OSLM: Final = 1 << 3

# HCR_EL2 (D23.2.48).
HCR_VM: Final = 1 << 0
HCR_SWIO: Final = 1 << 1
HCR_PTW: Final = 1 << 2
HCR_FMO: Final = 1 << 3
HCR_IMO: Final = 1 << 4
HCR_AMO: Final = 1 << 5
HCR_VF: Final = 1 << 6
HCR_VI: Final = 1 << 7
HCR_VSE: Final = 1 << 8
HCR_FB: Final = 1 << 9
HCR_BSU_IS: Final = 1 << 10
HCR_TWI: Final = 1 << 13
HCR_TID3: Final = 1 << 18
HCR_TSC: Final = 1 << 19
HCR_TIDCP: Final = 1 << 20
HCR_TACR: Final = 1 << 21
HCR_TSW: Final = 1 << 22
HCR_TVM: Final = 1 << 26
HCR_RW: Final = 1 << 31
HCR_TERR: Final = 1 << 36
HCR_TEA: Final = 1 << 37
HCR_APK: Final = 1 << 40
HCR_API: Final = 1 << 41

# CNTHCTL_EL2 without VHE (D23.12.8).
CNTHCTL_EL1PCTEN: Final = 1 << 0
CNTHCTL_EL1PCEN: Final = 1 << 1

# SCTLR_EL1 (D23.2.113): MMU on, data and unified caches on.
SCTLR_M: Final = 1 << 0
SCTLR_C: Final = 1 << 2

# PSTATE as SPSR has it (C5.2.20).
PSTATE_M: Final = 0x1F
PSTATE_EL0T: Final = 0x0
PSTATE_EL1T: Final = 0x4
PSTATE_EL1H: Final = 0x5
PSTATE_DAIF: Final = 0x3C0
PSTATE_SS: Final = 1 << 21

# ESR_ELx (D23.2.40).
ESR_IL: Final = 1 << 25

# ISS of aborts.
ISS_FSC: Final = 0x3F
ISS_FSC_TYPE: Final = 0x3C
ISS_WNR: Final = 1 << 6
ISS_S1PTW: Final = 1 << 7
ISS_CM: Final = 1 << 8
ISS_SF: Final = 1 << 15
ISS_SSE: Final = 1 << 21
ISS_ISV: Final = 1 << 24
#: All of the syndrome but the class and IL.
ESR_ISS: Final = 0x1FF_FFFF
FSC_TRANSLATION: Final = 0x04
FSC_ACCESS: Final = 0x08
FSC_PERMISSION: Final = 0x0C
FSC_EXTABT: Final = 0x10

U64: Final = (1 << 64) - 1
U32: Final = (1 << 32) - 1
