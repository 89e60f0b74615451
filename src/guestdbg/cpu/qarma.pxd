# cython: language_level=3
from libc.stdint cimport uint64_t

cdef uint64_t qarma5(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low) noexcept nogil
"""ComputePAC() with QARMA5: the block cipher QARMA-64 with the S-box sigma2 and 5 rounds each way. data is
encrypted with key_high (w0) and key_low (k0), modifier is the tweak."""
