# cython: language_level=3
"""What the scalar floating-point instructions share: operands, results, decoding.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Fill, Insn, Op
from guestdbg.cpu.fp.formats cimport DOUBLE, HALF, SINGLE
from guestdbg.cpu.fp.host cimport host_value, HostValue, store_host_value
from guestdbg.cpu.instructions.simd.simd_common cimport va, vd, vm, vn, write_vd

# ---- operands and results ---------------------------------------------------------------------

cdef inline uint64_t low_element(int fmt, uint64_t v) noexcept nogil:
    return v if fmt == DOUBLE else <uint32_t>v if fmt == SINGLE else <uint16_t>v

cdef inline uint64_t fn(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    return low_element(fmt, vn(c, i)[0])

cdef inline uint64_t fm(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    return low_element(fmt, vm(c, i)[0])

cdef inline uint64_t fa(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    return low_element(fmt, va(c, i)[0])

cdef inline HostValue hn(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    """The same for the host's arithmetic."""
    return host_value(fmt, vn(c, i))

cdef inline HostValue hm(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    return host_value(fmt, vm(c, i))

cdef inline HostValue ha(const Cpu* c, const Insn* i, int fmt) noexcept nogil:
    return host_value(fmt, va(c, i))

cdef inline void write_host(Cpu* c, const Insn* i, int fmt, HostValue value) noexcept nogil:
    store_host_value(<uint64_t*>vd(c, i), fmt, value)

cdef inline void write_scalar(Cpu* c, const Insn* i, uint64_t value) noexcept nogil:
    """value: the element, with zeros above it. The rest of the V register becomes zero."""
    write_vd(c, i, value, 0)

# ---- decode -----------------------------------------------------------------------------------

cdef inline int ptype(uint32_t raw) noexcept nogil:
    """The format that bits 23..22 say: 0 single, 1 double, 3 half. The rows exclude 2."""
    cdef uint32_t field = bits(raw, 23, 22)
    return SINGLE if field == 0 else DOUBLE if field == 1 else HALF

cdef inline uint64_t element_mask(int fmt) noexcept nogil:
    return low_element(fmt, ~<uint64_t>0)

cdef inline int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef inline int rows(str name, str pattern, Fill fill, Fill fill_half, Op h, Op s, Op d) except -1:
    """The three formats. name and pattern: {} is their letter, and ptype."""
    row(name.format("H"), pattern.format("11"), fill_half, h)
    row(name.format("S"), pattern.format("00"), fill, s)
    return row(name.format("D"), pattern.format("01"), fill, d)
