/*
 * Machine code of aarch64, for translation.pyx (stencil_host.h). Distances and numbers are fields of 32-bit words.
 */
#ifndef GUESTDBG_STENCIL_HOST_AARCH64_H
#define GUESTDBG_STENCIL_HOST_AARCH64_H

enum { GUESTDBG_JUMP = 4, GUESTDBG_VENEER = 16, GUESTDBG_ENTRY = 32, GUESTDBG_DIVERSION = 4 };

static inline int guestdbg_takes(int kind, uint64_t value)
{
    return kind != GUESTDBG_MOVW_LAST1 || value == (uint64_t)(int64_t)(int32_t)value;
}

/* Put `bits` bits of `value` at bit `place` of the instruction. */
static inline int guestdbg_put_field(uint8_t *at, uint64_t value, int bits, int place)
{
    uint32_t word, mask = (((uint32_t)1 << bits) - 1) << place;
    memcpy(&word, at, 4);
    word = (word & ~mask) | ((uint32_t)value << place & mask);
    memcpy(at, &word, 4);
    return 1;
}

/* A branch with `bits` bits for the distance in instructions, at bit `place`. */
static inline int guestdbg_put_distance(uint8_t *at, uint64_t to, int bits, int place)
{
    int64_t distance = (int64_t)(to - (uint64_t)at);
    if (distance & 3 || distance >= (int64_t)1 << (bits + 1) || distance < -((int64_t)1 << (bits + 1)))
        return 0;
    return guestdbg_put_field(at, (uint64_t)(distance >> 2), bits, place);
}

static inline int guestdbg_apply(uint8_t *at, int kind, uint64_t value)
{
    int64_t pages;
    int scale;
    switch (kind) {
    case GUESTDBG_JUMP26:
        return guestdbg_put_distance(at, value, 26, 0);
    case GUESTDBG_BRANCH19:
        return guestdbg_put_distance(at, value, 19, 5);
    case GUESTDBG_BRANCH14:
        return guestdbg_put_distance(at, value, 14, 5);
    case GUESTDBG_PAGE21:
        pages = (int64_t)((value & ~(uint64_t)4095) - ((uint64_t)at & ~(uint64_t)4095)) >> 12;
        if (pages >= 1 << 20 || pages < -(1 << 20))
            return 0;
        return guestdbg_put_field(at, (uint64_t)pages & 3, 2, 29)
            && guestdbg_put_field(at, (uint64_t)(pages >> 2), 19, 5);
    case GUESTDBG_LOW12:
        return guestdbg_put_field(at, value & 4095, 12, 10);
    case GUESTDBG_LOAD8: case GUESTDBG_LOAD16: case GUESTDBG_LOAD32: case GUESTDBG_LOAD64: case GUESTDBG_LOAD128:
        scale = kind - GUESTDBG_LOAD8;
        if (value & (((uint64_t)1 << scale) - 1))
            return 0;
        return guestdbg_put_field(at, (value & 4095) >> scale, 12, 10);
    case GUESTDBG_MOVW_LAST0:
        if (value >> 16)
            return 0;
        /* fall through */
    case GUESTDBG_MOVW0:
        return guestdbg_put_field(at, value, 16, 5);
    case GUESTDBG_MOVW1: case GUESTDBG_MOVW_LAST1:
        return guestdbg_put_field(at, value >> 16, 16, 5);
    case GUESTDBG_MOVW2:
        return guestdbg_put_field(at, value >> 32, 16, 5);
    case GUESTDBG_MOVW3:
        return guestdbg_put_field(at, value >> 48, 16, 5);
    }
    return 0;
}

static inline void guestdbg_write_jump(uint8_t *at, const uint8_t *to)
{
    uint32_t word = 0x14000000;
    memcpy(at, &word, 4);
    guestdbg_put_distance(at, (uint64_t)to, 26, 0);
}

static inline void guestdbg_write_veneer(uint8_t *at, uint64_t to)
{
    static const uint32_t jump[] = {0x58000050, 0xD61F0200};    /* ldr x16, .+8; br x16; the address */
    memcpy(at, jump, 8);
    memcpy(at + 8, &to, 8);
}

static inline void guestdbg_fill(uint8_t *at, size_t size)
{
    static const uint32_t nop = 0xD503201F;
    size_t n;
    for (n = 0; n + 4 <= size; n += 4)
        memcpy(at + n, &nop, 4);
}

/* One write of an aligned word. */
static inline void guestdbg_divert(uint8_t *block, const uint8_t *entry)
{
    uint32_t word = 0x14000000 | ((uint32_t)((entry - block) >> 2) & 0x03FFFFFF);
    __atomic_store_n((uint32_t *)block, word, __ATOMIC_RELAXED);
}

static inline void guestdbg_written(uint8_t *at, size_t size)
{
    __builtin___clear_cache((char *)at, (char *)at + size);
}

#endif
