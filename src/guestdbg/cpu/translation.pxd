# cython: language_level=3
"""Blocks that are executed often become machine code: see translation.pyx."""
from libc.stdint cimport uint8_t, uint64_t

from guestdbg.cpu.core cimport Block

cdef bint tier_was_refused() noexcept nogil
"""Whether, since the last call, a processor got no memory for machine code, or lost it: why_not()."""

cdef uint64_t tier_code_size() noexcept nogil
cdef void* tier_new(uint8_t* code) noexcept nogil
"""Room for machine code near the arena of decoded blocks. NULL: blocks are interpreted."""

cdef void tier_free(void* tier) noexcept nogil

cdef void tier_watch(void* tier, Block* b) noexcept nogil
"""Count the entries of a block that has been decoded, to translate it when they are many."""

cdef void tier_dropped(void* tier, Block* b) noexcept nogil
"""The block is stale: jumps to its machine code go to the function of its first instruction."""

cdef void tier_rewritten(void* tier, uint64_t pa) noexcept nogil
"""Blocks of this page that had machine code were dropped: next time they have to be entered more often."""

cdef void tier_dropping(void* tier, bint all_of_them) noexcept nogil
"""Before and after tier_dropped() is called for all blocks: it is faster then."""

cdef void tier_emptied(void* tier) noexcept nogil
"""The arena of decoded blocks is emptied, so the machine code is too. No code of it is running."""

cdef bint tier_full(void* tier) noexcept nogil
"""There may be no room for another block's machine code: the arena should be emptied."""

cdef bint tier_lost(const void* tier) noexcept nogil
"""The host does not permit machine code any more. After tier_dropped(), all blocks have to be dropped, with each
of their instructions; after that, the interpreter executes everything."""

cdef void tier_statistics(void* tier, uint64_t* out) noexcept nogil
"""Blocks, instructions in them, those without a stencil, dropped blocks, how often emptied, bytes."""

cdef bytes tier_machine_code(void* tier, uint64_t* address)
"""All that there is, and where it is."""
