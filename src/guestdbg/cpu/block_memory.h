/*
 * Memory for decoded blocks, and after it memory for their machine code: one mapping, because machine code reaches
 * the blocks and itself with distances below 2 GiB.
 *
 * The host allocates pages as they are touched. From the third MiB on those of the blocks are large pages, if it
 * has them: a guest with that much code misses the host's TLB often, and small guests take no more memory.
 */
#ifndef GUESTDBG_BLOCK_MEMORY_H
#define GUESTDBG_BLOCK_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* From the start of the blocks to that of the machine code: a page between them can never be touched. */
static inline size_t guestdbg_code_offset(size_t blocks)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return ((blocks + page - 1) & ~(page - 1)) + page;
}

static inline size_t guestdbg_block_memory_size(size_t blocks, size_t code)
{
    return guestdbg_code_offset(blocks) + code;
}

/* NULL: the host has no memory. `blocks` and `code` are sizes. */
static inline uint8_t *guestdbg_block_memory(size_t blocks, size_t code)
{
    const size_t large = 2 << 20;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = guestdbg_block_memory_size(blocks, code), before;
    uint8_t *p = mmap(NULL, size + large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & (large - 1);
    if (before)
        munmap(p, before);
    p += before;
    munmap(p + ((size + page - 1) & ~(page - 1)), large - before);
    mprotect(p + guestdbg_code_offset(blocks) - page, page, PROT_NONE);
#if defined(MADV_HUGEPAGE)
    if (blocks > large)
        (void)madvise(p + large, blocks - large, MADV_HUGEPAGE);
#endif
    return p;
}

static inline void guestdbg_free_block_memory(uint8_t *p, size_t blocks, size_t code)
{
    munmap(p, guestdbg_block_memory_size(blocks, code));
}

#endif
