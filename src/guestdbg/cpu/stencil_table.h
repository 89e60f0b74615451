/*
 * The table of stencils that a module of instructions exports as `guestdbg_stencils`: written by stencils/table.py,
 * read by translation.pyx.
 */
#ifndef GUESTDBG_STENCIL_TABLE_H
#define GUESTDBG_STENCIL_TABLE_H

#include <stdint.h>

/* Kinds of patches: stencils/holes.py has the same numbers, and says what they are. */
enum {
    GUESTDBG_ABS32 = 1, GUESTDBG_ABS64 = 2, GUESTDBG_PC32 = 3, GUESTDBG_ABS8 = 4,
    GUESTDBG_JUMP26 = 5, GUESTDBG_BRANCH19 = 6, GUESTDBG_BRANCH14 = 7, GUESTDBG_PAGE21 = 8, GUESTDBG_LOW12 = 9,
    GUESTDBG_LOAD8 = 10, GUESTDBG_LOAD16 = 11, GUESTDBG_LOAD32 = 12, GUESTDBG_LOAD64 = 13, GUESTDBG_LOAD128 = 14,
    GUESTDBG_MOVW0 = 15, GUESTDBG_MOVW1 = 16, GUESTDBG_MOVW2 = 17, GUESTDBG_MOVW3 = 18, GUESTDBG_MOVW_LAST0 = 19,
    GUESTDBG_MOVW_LAST1 = 20,
};

struct guestdbg_patch {
    uint16_t offset;   /* into the stencil: the hot part, then the cold part */
    uint8_t kind;
    uint8_t target;    /* a hole, or FIRST_EXTERNAL + an index into externals */
    int32_t addend;
};

struct guestdbg_stencil {
    void *op;          /* the function that it was cut from */
    uint32_t code;     /* offset into the module's code */
    uint32_t patches;  /* the first one */
    uint16_t hot;      /* bytes that are laid end to end */
    uint16_t cold;     /* bytes of rare paths, which follow the block */
    uint16_t count;    /* patches */
    uint16_t last;     /* the hole to which the hot part's end leads: the jump was dropped; 0: it does not end so */
};

struct guestdbg_stencils {
    uint32_t count;
    uint32_t externals;
    uint32_t data_size;
    uint32_t unused;
    const struct guestdbg_stencil *stencils;
    const struct guestdbg_patch *patches;
    const uint8_t *code;
    const uint8_t *data;
    const char *const *names;   /* of externals: "module function" */
};

#endif
