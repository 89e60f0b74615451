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
cdef inline bint has_jscvt(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 12) >= 1
cdef inline bint has_fcma(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 16) >= 1
cdef inline bint has_lrcpc(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 20) >= 1
cdef inline bint has_sb(const Cpu* c) noexcept nogil: return id_field(c.id_aa64isar1, 36) >= 1

# ---- ID_AA64PFR0_EL1 --------------------------------------------------------------------------

cdef inline bint has_fp16(const Cpu* c) noexcept nogil:
    """FEAT_FP16: arithmetic in half precision, of scalars (FP) and vectors (AdvSIMD)."""
    return id_field(c.id_aa64pfr0, 16) == 1
