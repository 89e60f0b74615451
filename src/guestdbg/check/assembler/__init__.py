"""A small A64 assembler: one function an instruction, and labels.

    from guestdbg.check import assembler as asm

    code = asm.assemble(
        0x40000000,
        asm.mov(1, 0x40010000),
        asm.label("again"),
        asm.str_(0, 1),
        asm.b("again"),
    )
    code.words, code["again"]

A function returns the instruction as a 32-bit word; ``mov`` returns a list of words. A branch to a
label returns a ``Fixup``, which becomes a word when the label's address is known. Registers are
numbers; 31 is XZR or SP, depending on the instruction. Source of the encodings: DDI 0487, C4 (A64
instruction set encoding).

fields             operands that do not fit are refused
program            labels, fixups, ``assemble``
branch             branches
data               instructions that compute
memory             loads and stores
atomics_and_caches atomics, vector structures, operations on cache lines
system             exceptions, hints, barriers, system registers
"""

from guestdbg.check.assembler.atomics_and_caches import (
    atomic,
    cas,
    casp,
    dc,
    dc_ivac,
    dc_zva,
    structure,
)
from guestdbg.check.assembler.branch import (
    CONDITIONS,
    b,
    b_cond,
    bl,
    blr,
    br,
    cbnz,
    cbz,
    ret,
    tbnz,
    tbz,
)
from guestdbg.check.assembler.data import (
    add,
    add_reg,
    adr,
    and_reg,
    cmp,
    csel,
    eor_reg,
    fadd,
    fmov_from_x,
    fmov_to_x,
    lslv,
    madd,
    mov,
    movk,
    movz,
    orr_reg,
    sub,
    subs,
    subs_reg,
    udiv,
)
from guestdbg.check.assembler.fields import AssemblerError
from guestdbg.check.assembler.memory import (
    access,
    load_exclusive,
    load_literal,
    load_pair_exclusive,
    ordered_load,
    ordered_store,
    pair,
    prefetch,
    store_exclusive,
    store_pair_exclusive,
)
from guestdbg.check.assembler.program import Code, Fixup, Item, Label, assemble, flat, label
from guestdbg.check.assembler.system import (
    CLREX,
    DMB,
    DSB,
    ERET,
    ISB,
    NOP,
    RET,
    SEVL,
    WFE,
    WFI,
    YIELD,
    brk,
    daifclr,
    daifset,
    hint,
    hlt,
    hvc,
    mrs,
    msr,
    smc,
    svc,
    udf,
)


def str_(rt: int, rn: int, offset: int = 0) -> int:
    """STR Xt, [Xn, #offset]."""
    return access("str", rt, rn, offset)


def ldr(rt: int, rn: int, offset: int = 0) -> int:
    """LDR Xt, [Xn, #offset]."""
    return access("ldr", rt, rn, offset)


def stp(rt: int, rt2: int, rn: int, offset: int = 0) -> int:
    """STP Xt, Xt2, [Xn, #offset]."""
    return pair("stp", rt, rt2, rn, offset)


def ldp(rt: int, rt2: int, rn: int, offset: int = 0) -> int:
    """LDP Xt, Xt2, [Xn, #offset]."""
    return pair("ldp", rt, rt2, rn, offset)


__all__ = [
    "CLREX",
    "CONDITIONS",
    "DMB",
    "DSB",
    "ERET",
    "ISB",
    "NOP",
    "RET",
    "SEVL",
    "WFE",
    "WFI",
    "YIELD",
    "AssemblerError",
    "Code",
    "Fixup",
    "Item",
    "Label",
    "access",
    "add",
    "add_reg",
    "adr",
    "and_reg",
    "assemble",
    "atomic",
    "b",
    "b_cond",
    "bl",
    "blr",
    "br",
    "brk",
    "cas",
    "casp",
    "cbnz",
    "cbz",
    "cmp",
    "csel",
    "daifclr",
    "daifset",
    "dc",
    "dc_ivac",
    "dc_zva",
    "eor_reg",
    "fadd",
    "flat",
    "fmov_from_x",
    "fmov_to_x",
    "hint",
    "hlt",
    "hvc",
    "label",
    "ldp",
    "ldr",
    "load_exclusive",
    "load_literal",
    "load_pair_exclusive",
    "lslv",
    "madd",
    "mov",
    "movk",
    "movz",
    "mrs",
    "msr",
    "ordered_load",
    "ordered_store",
    "orr_reg",
    "pair",
    "prefetch",
    "ret",
    "smc",
    "store_exclusive",
    "store_pair_exclusive",
    "stp",
    "str_",
    "structure",
    "sub",
    "subs",
    "subs_reg",
    "svc",
    "tbnz",
    "tbz",
    "udf",
    "udiv",
]
