/*
 * Where the operands of an instruction come from: what operands.pxd and branch_common.pxd use.
 *
 * Normally from the decoded instruction, `i`. With GUESTDBG_STENCIL the same functions are compiled for
 * tools/stencils: there each operand is a hole, a symbol that nothing defines. The relocations for it say where
 * in the machine code the operand belongs, and translation.pyx puts it there. (Inline assembler, because
 * a compiler that sees the symbol takes its address for that of an object of its own, which it would move
 * accesses of Cpu.x past.)
 */
#ifndef GUESTDBG_OPERANDS_H
#define GUESTDBG_OPERANDS_H

#ifndef GUESTDBG_STENCIL

#define GUESTDBG_IS_STENCIL 0
#define GUESTDBG_RD(i) ((i)->rd)
#define GUESTDBG_RN(i) ((i)->rn)
#define GUESTDBG_RM(i) ((i)->rm)
#define GUESTDBG_RA(i) ((i)->ra)
#define GUESTDBG_IMM(i) ((i)->imm)
#define GUESTDBG_AUX(i) ((i)->aux)
#define GUESTDBG_RAW(i) ((i)->raw)
#define GUESTDBG_XD(c, i) ((c)->x[(i)->rd])
#define GUESTDBG_XN(c, i) ((c)->x[(i)->rn])
#define GUESTDBG_XM(c, i) ((c)->x[(i)->rm])
#define GUESTDBG_XA(c, i) ((c)->x[(i)->ra])
#define GUESTDBG_SET_XD(c, i, value) ((c)->x[(i)->rd] = (value))
#define GUESTDBG_SET_XN(c, i, value) ((c)->x[(i)->rn] = (value))
#define GUESTDBG_SET_XM(c, i, value) ((c)->x[(i)->rm] = (value))
#define GUESTDBG_VD(c, i) ((uint64_t *)&(c)->v[2 * (uint64_t)(i)->rd])
#define GUESTDBG_VN(c, i) ((uint64_t *)&(c)->v[2 * (uint64_t)(i)->rn])
#define GUESTDBG_VM(c, i) ((uint64_t *)&(c)->v[2 * (uint64_t)(i)->rm])
#define GUESTDBG_VA(c, i) ((uint64_t *)&(c)->v[2 * (uint64_t)(i)->ra])
#define GUESTDBG_PLUS_IMM(base, i) ((base) + (i)->imm)
#define GUESTDBG_PLUS_AUX(base, i) ((base) + (uint64_t)(int64_t)(int32_t)(i)->aux)
#define GUESTDBG_PLUS_LOW(base, i) ((base) + (uint64_t)(int64_t)(int16_t)(i)->aux)
#define GUESTDBG_PLUS_HIGH(base, i) ((base) + (uint64_t)(int64_t)((int32_t)(i)->aux >> 16))
#define GUESTDBG_SHL64(value, i) ((uint64_t)(value) << (i)->aux)
#define GUESTDBG_SHR64(value, i) ((uint64_t)(value) >> (i)->aux)
#define GUESTDBG_SAR64(value, i) ((uint64_t)((int64_t)(value) >> (i)->aux))
#define GUESTDBG_SHL32(value, i) ((uint32_t)(value) << (i)->aux)
#define GUESTDBG_SHR32(value, i) ((uint32_t)(value) >> (i)->aux)
#define GUESTDBG_SAR32(value, i) ((uint32_t)((int32_t)(uint32_t)(value) >> (i)->aux))
#define GUESTDBG_SPEND(c, i) (((c)->budget -= (i)->aux) < 0)
#define GUESTDBG_TAKEN(c) ((void)0)
#define GUESTDBG_NOT_TAKEN(c) ((void)0)

#else

#define GUESTDBG_IS_STENCIL 1
/* The last statement of a branch: on through its first link, or its second. */
#define GUESTDBG_TAKEN(c) do { return guestdbg_hole_taken(c); } while (0)
#define GUESTDBG_NOT_TAKEN(c) do { return guestdbg_hole_not_taken(c); } while (0)
#if defined(__x86_64__)
#include "operands_x86_64.h"
#elif defined(__aarch64__)
#include "operands_aarch64.h"
#else
#error "operands.h: there are no stencils for this host"
#endif
#define GUESTDBG_IMM(i) GUESTDBG_HOLE64("imm")
#define GUESTDBG_AUX(i) GUESTDBG_HOLE32("aux")
#define GUESTDBG_RAW(i) GUESTDBG_HOLE32("raw")
#define GUESTDBG_XD(c, i) GUESTDBG_LOAD(c, "xd")
#define GUESTDBG_XN(c, i) GUESTDBG_LOAD(c, "xn")
#define GUESTDBG_XM(c, i) GUESTDBG_LOAD(c, "xm")
#define GUESTDBG_XA(c, i) GUESTDBG_LOAD(c, "xa")
#define GUESTDBG_SET_XD(c, i, value) GUESTDBG_STORE(c, "xd", value)
#define GUESTDBG_SET_XN(c, i, value) GUESTDBG_STORE(c, "xn", value)
#define GUESTDBG_SET_XM(c, i, value) GUESTDBG_STORE(c, "xm", value)
#define GUESTDBG_VD(c, i) GUESTDBG_VECTOR(c, "vd")
#define GUESTDBG_VN(c, i) GUESTDBG_VECTOR(c, "vn")
#define GUESTDBG_VM(c, i) GUESTDBG_VECTOR(c, "vm")
#define GUESTDBG_VA(c, i) GUESTDBG_VECTOR(c, "va")

#endif

#endif
