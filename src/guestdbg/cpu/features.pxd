# cython: language_level=3
"""Which optional instructions the processor has: what its identification registers state (D17.2).

Only inline functions, for decoders: an encoding whose feature is absent is UNDEFINED.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu


cdef inline uint32_t id_field(uint64_t register, int low) noexcept nogil:
    """The unsigned field of four bits whose lowest bit is `low`."""
    return <uint32_t>(register >> low) & 15

# ---- ID_AA64ISAR0_EL1 -------------------------------------------------------------------------

cdef inline bint has_aes(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 4) >= 1
cdef inline bint has_pmull(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 4) >= 2
cdef inline bint has_sha1(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 8) >= 1
cdef inline bint has_sha256(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 12) >= 1
cdef inline bint has_sha512(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 12) >= 2
cdef inline bint has_crc32(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 16) >= 1
cdef inline bint has_lse(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 20) >= 2
cdef inline bint has_rdm(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 28) >= 1
cdef inline bint has_sha3(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 32) >= 1
cdef inline bint has_dotprod(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 44) >= 1
cdef inline bint has_fhm(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 48) >= 1
cdef inline bint has_flagm(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar0, 52) >= 1

# ---- ID_AA64ISAR1_EL1 -------------------------------------------------------------------------

cdef inline bint has_dpb(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 0) >= 1
cdef inline bint has_dpb2(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 0) >= 2
cdef inline bint has_jscvt(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 12) >= 1
cdef inline bint has_fcma(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 16) >= 1
cdef inline bint has_lrcpc(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 20) >= 1
cdef inline bint has_sb(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 36) >= 1

cdef inline bint has_qarma5(const Cpu* c) noexcept nogil:
    """FEAT_PAuth computes pointer authentication codes of addresses by QARMA5 (APA)."""
    return id_field(c.id_aa64isar1, 4) >= 1

cdef inline bint has_pauth(const Cpu* c) noexcept nogil:
    """FEAT_PAuth: APA or API (an implementation defined algorithm)."""
    return has_qarma5(c) or id_field(c.id_aa64isar1, 8) >= 1

cdef inline bint has_pacga(const Cpu* c) noexcept nogil:
    """Generic authentication: GPA (QARMA5) or GPI."""
    return id_field(c.id_aa64isar1, 24) >= 1 or id_field(c.id_aa64isar1, 28) >= 1

# ---- ID_AA64PFR0_EL1 --------------------------------------------------------------------------

cdef inline bint has_fp16(const Cpu* c) noexcept nogil:
    """FEAT_FP16: arithmetic in half precision, of scalars (FP) and vectors (AdvSIMD)."""
    return id_field(c.id_aa64pfr0, 16) == 1

cdef inline bint has_ras(const Cpu* c) noexcept nogil: return id_field(c.id_aa64pfr0, 28) >= 1
cdef inline bint has_dit(const Cpu* c) noexcept nogil: return id_field(c.id_aa64pfr0, 48) >= 1

# ---- ID_AA64PFR1_EL1 --------------------------------------------------------------------------

cdef inline bint has_bti(const Cpu* c) noexcept nogil: return id_field(c.id_aa64pfr1, 0) >= 1
cdef inline bint has_ssbs(const Cpu* c) noexcept nogil: return id_field(c.id_aa64pfr1, 4) >= 1

cdef inline bint has_ssbs2(const Cpu* c) noexcept nogil:
    """FEAT_SSBS2: MRS and MSR of SSBS, besides the bit in PSTATE."""
    return id_field(c.id_aa64pfr1, 4) >= 2

# ---- ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1 -------------------------------------------------------

cdef inline bint has_hpds(const Cpu* c) noexcept nogil: return id_field(c.id_aa64mmfr1, 12) >= 1
cdef inline bint has_pan(const Cpu* c) noexcept nogil: return id_field(c.id_aa64mmfr1, 20) >= 1

cdef inline bint has_pan2(const Cpu* c) noexcept nogil:
    """FEAT_PAN2: AT S1E1RP and S1E1WP."""
    return id_field(c.id_aa64mmfr1, 20) >= 2

cdef inline bint has_ttcnp(const Cpu* c) noexcept nogil: return id_field(c.id_aa64mmfr2, 0) >= 1
cdef inline bint has_uao(const Cpu* c) noexcept nogil: return id_field(c.id_aa64mmfr2, 4) >= 1

cdef inline bint has_ttst(const Cpu* c) noexcept nogil:
    """FEAT_TTST: TCR_EL1.TnSZ up to 48 (47 with the 64 KB granule)."""
    return id_field(c.id_aa64mmfr2, 28) >= 1
