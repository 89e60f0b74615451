/*
 * Machine code of x86-64, for translation.pyx (stencil_host.h).
 */
#ifndef GUESTDBG_STENCIL_HOST_X86_64_H
#define GUESTDBG_STENCIL_HOST_X86_64_H

enum { GUESTDBG_JUMP = 5, GUESTDBG_VENEER = 16, GUESTDBG_ENTRY = 16, GUESTDBG_DIVERSION = 2 };

static inline int guestdbg_takes(int kind, uint64_t value)
{
    return kind == GUESTDBG_ABS64 || value == (uint64_t)(int64_t)(int32_t)value;
}

static inline int guestdbg_apply(uint8_t *at, int kind, uint64_t value)
{
    uint32_t word;
    if (kind == GUESTDBG_ABS64) {
        memcpy(at, &value, 8);
    } else if (kind == GUESTDBG_ABS8) {
        at[0] = (uint8_t)value;
    } else {
        word = (uint32_t)(kind == GUESTDBG_PC32 ? value - (uint64_t)at : value);
        memcpy(at, &word, 4);
    }
    return 1;
}

static inline void guestdbg_write_jump(uint8_t *at, const uint8_t *to)
{
    int32_t distance = (int32_t)(to - (at + GUESTDBG_JUMP));
    at[0] = 0xE9;
    memcpy(at + 1, &distance, 4);
}

static inline void guestdbg_write_veneer(uint8_t *at, uint64_t to)
{
    static const uint8_t jump[] = {0xFF, 0x25, 0, 0, 0, 0};    /* jmp [rip]; the address */
    memcpy(at, jump, 6);
    memcpy(at + 6, &to, 8);
    memset(at + 14, 0, 2);
}

static inline void guestdbg_fill(uint8_t *at, size_t size)
{
    memset(at, 0x90, size);
}

static inline void guestdbg_divert(uint8_t *block, const uint8_t *entry)
{
    const uint8_t jump[] = {0xEB, (uint8_t)(entry - block - 2)};
    memcpy(block, jump, 2);
}

static inline void guestdbg_written(uint8_t *at, size_t size)
{
    (void)at;    /* the processor sees it by itself */
    (void)size;
}

#endif
