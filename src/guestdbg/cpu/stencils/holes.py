"""Numbers that stencils and translation.pyx share: what a patch puts in, and how."""

#: Operands of the instruction, in the order of translation.pyx's `Hole`. The symbols of operands.h
#: are these names after "guestdbg_hole_".
HOLES = (
    "none",
    "next",
    "taken",
    "not_taken",
    "hot",
    "cold",
    "data",
    "i",
    "rd",
    "rn",
    "rm",
    "ra",
    "imm",
    "aux",
    "raw",
    "xd",
    "xn",
    "xm",
    "xa",
    "vd",
    "vn",
    "vm",
    "va",
    "aux_low",
    "aux_high",
)
NUMBER = {name: number for number, name in enumerate(HOLES)}
#: Where a stencil may go on to: what comes after it in the block.
ONWARD = (NUMBER["next"], NUMBER["taken"], NUMBER["not_taken"])
#: Targets from here on are functions of other modules.
FIRST_EXTERNAL = 32
MOST_EXTERNALS = 256 - FIRST_EXTERNAL

# Kinds of patches on x86-64: a number, or the distance from the patch.
ABS32 = 1
ABS64 = 2
PC32 = 3
ABS8 = 4
# On aarch64: the distance of a branch in instructions, or in pages; the rest of an address, for an
# addition and for accesses of each size; and 16 bits of a number. A number that ends with MOVW_LAST
# has no more bits.
JUMP26 = 5
BRANCH19 = 6
BRANCH14 = 7
PAGE21 = 8
LOW12 = 9
LOAD8 = 10
LOAD16 = 11
LOAD32 = 12
LOAD64 = 13
LOAD128 = 14
MOVW0 = 15
MOVW1 = 16
MOVW2 = 17
MOVW3 = 18
MOVW_LAST0 = 19
MOVW_LAST1 = 20
