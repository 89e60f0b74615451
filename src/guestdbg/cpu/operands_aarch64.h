/*
 * The operands of stencils on aarch64 (operands.h): numbers of 16, 32 and 64 bits, which MOVZ and MOVK make, and
 * displacements of 12 bits from the Cpu, whose registers are among its first 4096 bytes.
 */
#ifndef GUESTDBG_OPERANDS_AARCH64_H
#define GUESTDBG_OPERANDS_AARCH64_H

#define GUESTDBG_HOLE16(name) (__extension__({ unsigned int hole_value; \
    __asm__("movz %w0, #:abs_g0_nc:guestdbg_hole_" name : "=r"(hole_value)); hole_value; }))
/* A sum with an unsigned int would extend it once more: here it is 64 bits wide. */
#define GUESTDBG_WIDE32(name) (__extension__({ unsigned long hole_value; \
    __asm__("movz %w0, #:abs_g1:guestdbg_hole_" name "\n\tmovk %w0, #:abs_g0_nc:guestdbg_hole_" name \
            : "=r"(hole_value)); hole_value; }))
#define GUESTDBG_HOLE32(name) ((unsigned int)GUESTDBG_WIDE32(name))
#define GUESTDBG_HOLE64(name) (__extension__({ unsigned long hole_value; \
    __asm__("movz %0, #:abs_g3:guestdbg_hole_" name "\n\tmovk %0, #:abs_g2_nc:guestdbg_hole_" name \
            "\n\tmovk %0, #:abs_g1_nc:guestdbg_hole_" name "\n\tmovk %0, #:abs_g0_nc:guestdbg_hole_" name \
            : "=r"(hole_value)); hole_value; }))
#define GUESTDBG_LOAD(c, name) (__extension__({ unsigned long hole_value; \
    __asm__("ldr %0, [%1, #:lo12:guestdbg_hole_" name "]" : "=r"(hole_value) : "r"(c), "m"((c)->x)); hole_value; }))
#define GUESTDBG_STORE(c, name, value) (__extension__({ \
    __asm__("str %x1, [%2, #:lo12:guestdbg_hole_" name "]" \
            : "+m"((c)->x) : "rZ"((unsigned long)(value)), "r"(c)); }))
#define GUESTDBG_VECTOR(c, name) (__extension__({ uint64_t *hole_value; \
    __asm__("add %0, %1, #:lo12:guestdbg_hole_" name : "=r"(hole_value) : "r"(c)); hole_value; }))
#define GUESTDBG_RD(i) ((uint8_t)GUESTDBG_HOLE16("rd"))
#define GUESTDBG_RN(i) ((uint8_t)GUESTDBG_HOLE16("rn"))
#define GUESTDBG_RM(i) ((uint8_t)GUESTDBG_HOLE16("rm"))
#define GUESTDBG_RA(i) ((uint8_t)GUESTDBG_HOLE16("ra"))
#define GUESTDBG_PLUS(type, base, hole) ((uint64_t)(base) + (uint64_t)(int64_t)(type)(hole))
#define GUESTDBG_PLUS_IMM(base, i) GUESTDBG_PLUS(int32_t, base, GUESTDBG_HOLE32("imm"))
#define GUESTDBG_PLUS_AUX(base, i) GUESTDBG_PLUS(int32_t, base, GUESTDBG_HOLE32("aux"))
#define GUESTDBG_PLUS_LOW(base, i) GUESTDBG_PLUS(int16_t, base, GUESTDBG_HOLE16("aux_low"))
#define GUESTDBG_PLUS_HIGH(base, i) GUESTDBG_PLUS(int16_t, base, GUESTDBG_HOLE16("aux_high"))
#define GUESTDBG_SHL64(value, i) ((uint64_t)(value) << (GUESTDBG_HOLE16("aux") & 63))
#define GUESTDBG_SHR64(value, i) ((uint64_t)(value) >> (GUESTDBG_HOLE16("aux") & 63))
#define GUESTDBG_SAR64(value, i) ((uint64_t)((int64_t)(value) >> (GUESTDBG_HOLE16("aux") & 63)))
#define GUESTDBG_SHL32(value, i) ((uint32_t)(value) << (GUESTDBG_HOLE16("aux") & 31))
#define GUESTDBG_SHR32(value, i) ((uint32_t)(value) >> (GUESTDBG_HOLE16("aux") & 31))
#define GUESTDBG_SAR32(value, i) ((uint32_t)((int32_t)(uint32_t)(value) >> (GUESTDBG_HOLE16("aux") & 31)))
#define GUESTDBG_SPEND(c, i) (((c)->budget -= (int64_t)GUESTDBG_WIDE32("aux")) < 0)

#endif
