# cython: language_level=3
"""Run loop, decode table, block cache and the Python face."""

cdef int add(const char* name, const char* pattern, Fill fill, Op op) except -1:
    raise NotImplementedError("the decode table is being built")
cdef void flush_jumps(Cpu* c) noexcept nogil:
    pass
cdef void code_written(Cpu* c, Region* r, uint64_t offset, uint64_t size) noexcept nogil:
    pass
cdef void drop_all_code(Cpu* c) noexcept nogil:
    pass
cdef void drop_blocks_of_page(Cpu* c, uint64_t va) noexcept nogil:
    pass
