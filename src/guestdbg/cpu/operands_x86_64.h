/*
 * The operands of stencils on x86-64 (operands.h): immediates and displacements of 32 bits, or 64 bits for imm.
 */
#ifndef GUESTDBG_OPERANDS_X86_64_H
#define GUESTDBG_OPERANDS_X86_64_H

/* The displacement of a register from the Cpu, and numbers of 32 and 64 bits. */
#define GUESTDBG_HOLE32(name) (__extension__({ unsigned int hole_value; \
    __asm__("movl $guestdbg_hole_" name ", %0" : "=r"(hole_value)); hole_value; }))
#define GUESTDBG_HOLE64(name) (__extension__({ unsigned long hole_value; \
    __asm__("movabsq $guestdbg_hole_" name ", %0" : "=r"(hole_value)); hole_value; }))
#define GUESTDBG_LOAD(c, name) (__extension__({ unsigned long hole_value; \
    __asm__("movq guestdbg_hole_" name "(%1), %0" : "=r"(hole_value) : "r"(c), "m"((c)->x)); hole_value; }))
#define GUESTDBG_STORE(c, name, value) (__extension__({ \
    __asm__("movq %1, guestdbg_hole_" name "(%2)" : "+m"((c)->x) : "r"((unsigned long)(value)), "r"(c)); }))
#define GUESTDBG_VECTOR(c, name) (__extension__({ uint64_t *hole_value; \
    __asm__("leaq guestdbg_hole_" name "(%1), %0" : "=r"(hole_value) : "r"(c)); hole_value; }))
#define GUESTDBG_RD(i) ((uint8_t)GUESTDBG_HOLE32("rd"))
#define GUESTDBG_RN(i) ((uint8_t)GUESTDBG_HOLE32("rn"))
#define GUESTDBG_RM(i) ((uint8_t)GUESTDBG_HOLE32("rm"))
#define GUESTDBG_RA(i) ((uint8_t)GUESTDBG_HOLE32("ra"))
#define GUESTDBG_PLUS(base, name) (__extension__({ unsigned long hole_value; \
    __asm__("leaq guestdbg_hole_" name "(%1), %0" : "=r"(hole_value) : "r"((unsigned long)(base))); hole_value; }))
#define GUESTDBG_SHIFT(instruction, type, value) (__extension__({ type hole_value; \
    __asm__(instruction " $guestdbg_hole_aux, %0" : "=r"(hole_value) : "0"((type)(value)) : "cc"); hole_value; }))
#define GUESTDBG_PLUS_IMM(base, i) GUESTDBG_PLUS(base, "imm")
#define GUESTDBG_PLUS_AUX(base, i) GUESTDBG_PLUS(base, "aux")
#define GUESTDBG_PLUS_LOW(base, i) GUESTDBG_PLUS(base, "aux_low")
#define GUESTDBG_PLUS_HIGH(base, i) GUESTDBG_PLUS(base, "aux_high")
#define GUESTDBG_SHL64(value, i) GUESTDBG_SHIFT("shlq", uint64_t, value)
#define GUESTDBG_SHR64(value, i) GUESTDBG_SHIFT("shrq", uint64_t, value)
#define GUESTDBG_SAR64(value, i) GUESTDBG_SHIFT("sarq", uint64_t, value)
#define GUESTDBG_SHL32(value, i) GUESTDBG_SHIFT("shll", uint32_t, value)
#define GUESTDBG_SHR32(value, i) GUESTDBG_SHIFT("shrl", uint32_t, value)
#define GUESTDBG_SAR32(value, i) GUESTDBG_SHIFT("sarl", uint32_t, value)
#define GUESTDBG_SPEND(c, i) (__extension__({ int hole_value; \
    __asm__("subq $guestdbg_hole_aux, %0" : "+m"((c)->budget), "=@ccs"(hole_value)); hole_value; }))

#endif
