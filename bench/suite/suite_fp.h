/*
 * What the programs with floating point and vectors share. The fused operations are explicit, and the
 * compiler adds none (-ffp-contract=off): every compiler's program computes the same bits, and so does
 * tests/benchmarks/suite_reference.py.
 */
#ifndef SUITE_FP_H
#define SUITE_FP_H

#include "suite.h"

#define fused(a, b, c) __builtin_fma(a, b, c)
#define fused_float(a, b, c) __builtin_fmaf(a, b, c)

/* With the MMU off an access must be aligned to its size, also that of a vector. */
#define ALIGNED _Alignas(16)
#define vector_aligned(pointer) __builtin_assume_aligned(pointer, 16)

static inline uint64_t bits_of_double(double value)
{
	union {
		double value;
		uint64_t bits;
	} u = { value };

	return u.bits;
}

static inline uint32_t bits_of_float(float value)
{
	union {
		float value;
		uint32_t bits;
	} u = { value };

	return u.bits;
}

#endif
