/*
 * The table of stencils that a module of instructions exports as `guestdbg_stencils`: written by stencils/table.py,
 * read by translation.pyx.
 */
#ifndef GUESTDBG_STENCIL_TABLE_H
#define GUESTDBG_STENCIL_TABLE_H

#include <stdint.h>

/* Where a patch goes and what it is: relocation kinds that are the same for each host, and targets. */
enum { /* stencils/holes.py has the same numbers */
    GUESTDBG_ABS32 = 1, GUESTDBG_ABS64 = 2, GUESTDBG_PC32 = 3, GUESTDBG_ABS8 = 4,
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
