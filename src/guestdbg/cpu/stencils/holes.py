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

ABS32 = 1
ABS64 = 2
PC32 = 3
ABS8 = 4
