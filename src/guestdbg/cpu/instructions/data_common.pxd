# cython: language_level=3
"""What the data processing modules share: arithmetic that sets NZCV, second operands.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.operands cimport aux, imm, sar32, sar64, shl32, shl64, shr32, shr64, xm

# ---- NZCV -------------------------------------------------------------------------------------
# The arguments are values, so operands are read before a flag is written.

cdef inline uint64_t add_nzcv64(Cpu* c, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = a + b
    c.nf = r
    c.zf = r
    c.cf = r < a
    c.vf = (a ^ r) & (b ^ r)
    return r

cdef inline uint64_t add_nzcv32(Cpu* c, uint32_t a, uint32_t b) noexcept nogil:
    cdef uint32_t r = a + b
    c.nf = <uint64_t>r << 32
    c.zf = r
    c.cf = r < a
    c.vf = <uint64_t>((a ^ r) & (b ^ r)) << 32
    return r

cdef inline uint64_t sub_nzcv64(Cpu* c, uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t r = a - b
    c.nf = r
    c.zf = r
    c.cf = a >= b
    c.vf = (a ^ b) & (a ^ r)
    return r

cdef inline uint64_t sub_nzcv32(Cpu* c, uint32_t a, uint32_t b) noexcept nogil:
    cdef uint32_t r = a - b
    c.nf = <uint64_t>r << 32
    c.zf = r
    c.cf = a >= b
    c.vf = <uint64_t>((a ^ b) & (a ^ r)) << 32
    return r

cdef inline uint64_t adc_nzcv64(Cpu* c, uint64_t a, uint64_t b) noexcept nogil:
    """a + b + C. SBCS is a + NOT(b) + C."""
    cdef uint64_t s = a + b
    cdef uint64_t r = s + c.cf
    c.nf = r
    c.zf = r
    c.cf = (s < a) | (r < s)
    c.vf = (a ^ r) & (b ^ r)
    return r

cdef inline uint64_t adc_nzcv32(Cpu* c, uint32_t a, uint32_t b) noexcept nogil:
    cdef uint64_t s = <uint64_t>a + b + c.cf
    cdef uint32_t r = <uint32_t>s
    c.nf = <uint64_t>r << 32
    c.zf = r
    c.cf = s >> 32
    c.vf = <uint64_t>((a ^ r) & (b ^ r)) << 32
    return r

cdef inline uint64_t logic_nzcv64(Cpu* c, uint64_t r) noexcept nogil:
    c.nf = r
    c.zf = r
    c.cf = 0
    c.vf = 0
    return r

cdef inline uint64_t logic_nzcv32(Cpu* c, uint32_t r) noexcept nogil:
    c.nf = <uint64_t>r << 32
    c.zf = r
    c.cf = 0
    c.vf = 0
    return r

# ---- the second operand -----------------------------------------------------------------------
# *_of take the value of the register, the others read the register.

cdef inline uint64_t lsl64_of(uint64_t v, const Insn* i) noexcept nogil:
    return shl64(v, i)

cdef inline uint32_t lsl32_of(uint64_t v, const Insn* i) noexcept nogil:
    return shl32(v, i)

cdef inline uint64_t lsr64_of(uint64_t v, const Insn* i) noexcept nogil:
    return shr64(v, i)

cdef inline uint32_t lsr32_of(uint64_t v, const Insn* i) noexcept nogil:
    return shr32(v, i)

cdef inline uint64_t asr64_of(uint64_t v, const Insn* i) noexcept nogil:
    return sar64(v, i)

cdef inline uint32_t asr32_of(uint64_t v, const Insn* i) noexcept nogil:
    return sar32(v, i)

cdef inline uint64_t ror64_of(uint64_t v, const Insn* i) noexcept nogil:
    return shr64(v, i) | (v << (-aux(i) & 63))

cdef inline uint32_t ror32_of(uint64_t v, const Insn* i) noexcept nogil:
    return shr32(v, i) | (<uint32_t>v << (-aux(i) & 31))

cdef inline uint64_t zext_of(uint64_t v, const Insn* i) noexcept nogil:
    """UXTB to UXTX with a shift: left by aux, then right by imm."""
    return shl64(v, i) >> imm(i)

cdef inline uint64_t sext_of(uint64_t v, const Insn* i) noexcept nogil:
    return <uint64_t>(<int64_t>shl64(v, i) >> imm(i))

cdef inline uint64_t lsl64(const Cpu* c, const Insn* i) noexcept nogil:
    return lsl64_of(xm(c, i), i)

cdef inline uint32_t lsl32(const Cpu* c, const Insn* i) noexcept nogil:
    return lsl32_of(xm(c, i), i)

cdef inline uint64_t lsr64(const Cpu* c, const Insn* i) noexcept nogil:
    return lsr64_of(xm(c, i), i)

cdef inline uint32_t lsr32(const Cpu* c, const Insn* i) noexcept nogil:
    return lsr32_of(xm(c, i), i)

cdef inline uint64_t asr64(const Cpu* c, const Insn* i) noexcept nogil:
    return asr64_of(xm(c, i), i)

cdef inline uint32_t asr32(const Cpu* c, const Insn* i) noexcept nogil:
    return asr32_of(xm(c, i), i)

cdef inline uint64_t ror64(const Cpu* c, const Insn* i) noexcept nogil:
    return ror64_of(xm(c, i), i)

cdef inline uint32_t ror32(const Cpu* c, const Insn* i) noexcept nogil:
    return ror32_of(xm(c, i), i)

cdef inline uint64_t zext(const Cpu* c, const Insn* i) noexcept nogil:
    return zext_of(xm(c, i), i)

cdef inline uint64_t sext(const Cpu* c, const Insn* i) noexcept nogil:
    return sext_of(xm(c, i), i)
