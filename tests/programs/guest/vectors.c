/*
 * Loops that compilers make vector instructions of, over every type of element: a checksum of the
 * results of each. With HALF also __fp16, whose arithmetic needs Armv8.2-A.
 */
#include "guest.h"

#include <math.h>

/* Not a multiple of any vector's length, so that the remainders are executed as well. */
#define N 157

static uint64_t seed = 61;

static void show(const char *what, const char *type, const void *data, size_t size)
{
	printf("%s %s %016llx FPSR %llx\n", what, type, (ull)mix_bytes(0, data, size), (ull)read_fpsr());
}

#define NOINLINE __attribute__((noinline))

/* A function for each loop, so that the compiler knows nothing about the operands. */
#define LOOP(type, name, expression)                                                                        \
	static NOINLINE void name##_##type(type *restrict d, const type *restrict a,                         \
					   const type *restrict b, type s)                                   \
	{                                                                                                    \
		(void)a, (void)b, (void)s;                                                                   \
		for (int i = 0; i < N; i++)                                                                  \
			d[i] = (type)(expression);                                                           \
	}

#define REDUCE(type, name, result, first, expression)                                                       \
	static NOINLINE result name##_##type(const type *restrict a, const type *restrict b)                 \
	{                                                                                                    \
		result r = first;                                                                            \
                                                                                                             \
		(void)b;                                                                                     \
		for (int i = 0; i < N; i++)                                                                  \
			r = (result)(expression);                                                            \
		return r;                                                                                    \
	}

#define CONVERT(from, to)                                                                                   \
	static NOINLINE void from##_to_##to(to *restrict d, const from *restrict a)                          \
	{                                                                                                    \
		for (int i = 0; i < N; i++)                                                                  \
			d[i] = (to)a[i];                                                                     \
	}

/* What all types have. */
#define COMMON(type)                                                                                        \
	LOOP(type, add, a[i] + b[i])                                                                         \
	LOOP(type, subtract, a[i] - b[i])                                                                    \
	LOOP(type, multiply, a[i] * b[i])                                                                    \
	LOOP(type, multiply_add, a[i] * b[i] + d[i])                                                         \
	LOOP(type, multiply_subtract, d[i] - a[i] * b[i])                                                    \
	LOOP(type, by_scalar, a[i] * s + b[i])                                                               \
	LOOP(type, negate, -a[i])                                                                            \
	LOOP(type, smaller, a[i] < b[i] ? a[i] : b[i])                                                       \
	LOOP(type, larger, a[i] > b[i] ? a[i] : b[i])                                                        \
	LOOP(type, distance, a[i] > b[i] ? a[i] - b[i] : b[i] - a[i])                                        \
	LOOP(type, absolute, a[i] < 0 ? -a[i] : a[i])                                                        \
	LOOP(type, equal, a[i] == b[i] ? d[i] : s)                                                           \
	LOOP(type, not_less, a[i] >= b[i] ? s : b[i])                                                        \
	LOOP(type, clamp, a[i] > s ? s : a[i] < -s ? -s : a[i])                                              \
	LOOP(type, fill, s)                                                                                  \
	LOOP(type, reverse, a[N - 1 - i])                                                                    \
	LOOP(type, every_other, a[i * 2 % N] + b[i])                                                         \
	REDUCE(type, total, type, 0, r + a[i])                                                               \
	REDUCE(type, dot, type, 0, r + a[i] * b[i])                                                          \
	REDUCE(type, least, type, a[0], a[i] < r ? a[i] : r)                                                 \
	REDUCE(type, most, type, a[0], a[i] > r ? a[i] : r)                                                  \
	static NOINLINE void interleave_##type(type *restrict d, const type *restrict a)                     \
	{                                                                                                    \
		for (int i = 0; i < N / 2; i++) {                                                            \
			d[2 * i] = a[i];                                                                     \
			d[2 * i + 1] = a[i + N / 2];                                                         \
		}                                                                                            \
	}                                                                                                    \
	static NOINLINE void threes_##type(type *restrict d, const type *restrict a)                         \
	{                                                                                                    \
		for (int i = 0; i < N / 3; i++) {                                                            \
			type x = a[3 * i], y = a[3 * i + 1], z = a[3 * i + 2];                               \
                                                                                                             \
			d[3 * i] = (type)(x + y);                                                            \
			d[3 * i + 1] = (type)(y - z);                                                        \
			d[3 * i + 2] = z > x ? z : x;                                                        \
		}                                                                                            \
	}                                                                                                    \
	static NOINLINE void fours_##type(type *restrict d, const type *restrict a)                          \
	{                                                                                                    \
		for (int i = 0; i < N / 4; i++)                                                              \
			d[i] = (type)(a[4 * i] + a[4 * i + 1] - a[4 * i + 2] + a[4 * i + 3]);                \
	}

#define INTEGER(type, unsigned_type, wide, narrow)                                                          \
	COMMON(type)                                                                                         \
	LOOP(type, and, a[i] & b[i])                                                                         \
	LOOP(type, or_not, a[i] | ~b[i])                                                                     \
	LOOP(type, select, (a[i] & s) | (b[i] & ~s))                                                         \
	LOOP(type, left, a[i] << 3)                                                                          \
	LOOP(type, right, a[i] >> 2)                                                                         \
	LOOP(type, left_by, (unsigned_type)a[i] << (b[i] & 7))                                               \
	LOOP(type, right_by, a[i] >> (b[i] & 7))                                                             \
	LOOP(type, rotate, (unsigned_type)a[i] >> 5 | (unsigned_type)a[i] << (sizeof(type) * 8 - 5))         \
	LOOP(type, average, ((wide)a[i] + b[i] + 1) >> 1)                                                    \
	LOOP(type, halving, ((wide)a[i] - b[i]) >> 1)                                                        \
	LOOP(type, high_part, ((wide)a[i] * b[i]) >> (sizeof(type) * 8 - 1))                                 \
	LOOP(type, bit_count, __builtin_popcountll((unsigned_type)a[i]))                                     \
	LOOP(type, any_bit, a[i] & b[i] ? 1 : 0)                                                             \
	LOOP(type, parts, (narrow)a[i] + (narrow)(b[i] >> 3))                                                \
	REDUCE(type, wide_total, wide, 0, r + a[i])                                                          \
	REDUCE(type, wide_dot, wide, 0, r + (wide)a[i] * b[i])                                               \
	REDUCE(type, xor, type, 0, r ^ a[i])                                                                 \
	REDUCE(type, sad, wide, 0, r + (a[i] > b[i] ? (wide)a[i] - b[i] : (wide)b[i] - a[i]))

#define FLOATING(type)                                                                                      \
	COMMON(type)                                                                                         \
	LOOP(type, divide, a[i] / b[i])                                                                      \
	LOOP(type, root, sqrt(fabs(a[i])))                                                                   \
	LOOP(type, floors, floor(a[i]))                                                                      \
	LOOP(type, ceilings, ceil(a[i]))                                                                     \
	LOOP(type, truncated, trunc(a[i]))                                                                   \
	LOOP(type, rounded, round(a[i]))                                                                     \
	LOOP(type, in_mode, nearbyint(a[i]))                                                                 \
	LOOP(type, magnitude, fabs(a[i]) - fabs(b[i]))                                                       \
	LOOP(type, minimum, __builtin_fmin(a[i], b[i]))                                                      \
	LOOP(type, polynomial, ((a[i] * s + b[i]) * a[i] - s) * a[i] + (type)0.5)

INTEGER(int8_t, uint8_t, int16_t, int8_t)
INTEGER(uint8_t, uint8_t, uint16_t, uint8_t)
INTEGER(int16_t, uint16_t, int32_t, int8_t)
INTEGER(uint16_t, uint16_t, uint32_t, uint8_t)
INTEGER(int32_t, uint32_t, int64_t, int16_t)
INTEGER(uint32_t, uint32_t, uint64_t, uint16_t)
INTEGER(int64_t, uint64_t, int64_t, int32_t)
INTEGER(uint64_t, uint64_t, uint64_t, uint32_t)
FLOATING(float)
FLOATING(double)

CONVERT(int8_t, int64_t) CONVERT(uint8_t, uint32_t) CONVERT(uint8_t, float) CONVERT(int16_t, float)
CONVERT(int16_t, int64_t) CONVERT(uint16_t, double) CONVERT(int32_t, int8_t) CONVERT(int32_t, float)
CONVERT(int32_t, double) CONVERT(uint32_t, float) CONVERT(uint32_t, uint16_t) CONVERT(int64_t, int16_t)
CONVERT(int64_t, double) CONVERT(int64_t, float) CONVERT(uint64_t, double) CONVERT(uint64_t, uint8_t)
CONVERT(float, double) CONVERT(float, int32_t) CONVERT(float, uint32_t) CONVERT(float, int16_t)
CONVERT(float, int64_t) CONVERT(double, float) CONVERT(double, int32_t) CONVERT(double, int64_t)
CONVERT(double, uint64_t) CONVERT(double, uint8_t)

#define TRY(type, name) name##_##type(d, a, b, s), show(#name, #type, d, sizeof(d))
#define SUM(type, name)                                                                                     \
	do {                                                                                                 \
		__typeof__(name##_##type(a, b)) r = name##_##type(a, b);                                     \
                                                                                                             \
		show(#name, #type, &r, sizeof(r));                                                           \
	} while (0)

#define TRY_COMMON(type)                                                                                    \
	TRY(type, fill), TRY(type, add), TRY(type, subtract), TRY(type, multiply);                           \
	TRY(type, multiply_add), TRY(type, multiply_subtract), TRY(type, by_scalar), TRY(type, negate);      \
	TRY(type, smaller), TRY(type, larger), TRY(type, distance), TRY(type, absolute);                     \
	TRY(type, equal), TRY(type, not_less), TRY(type, clamp), TRY(type, reverse), TRY(type, every_other); \
	interleave_##type(d, a), show("interleave", #type, d, sizeof(d));                                    \
	threes_##type(d, a), show("threes", #type, d, sizeof(d));                                            \
	fours_##type(d, a), show("fours", #type, d, sizeof(d));                                              \
	SUM(type, total);                                                                                    \
	SUM(type, dot);                                                                                      \
	SUM(type, least);                                                                                    \
	SUM(type, most)

#define TRY_INTEGER(type)                                                                                   \
	do {                                                                                                 \
		static type a[N], b[N], d[N];                                                                \
		type s = 77;                                                                                 \
                                                                                                             \
		for (int i = 0; i < N; i++) {                                                                \
			a[i] = (type)((uint64_t)next_random(&seed) << 32 | next_random(&seed));              \
			b[i] = i % 8 ? (type)((uint64_t)next_random(&seed) << 32 | next_random(&seed)) : a[i]; \
		}                                                                                            \
		TRY_COMMON(type);                                                                            \
		TRY(type, and), TRY(type, or_not), TRY(type, select), TRY(type, left), TRY(type, right);     \
		TRY(type, left_by), TRY(type, right_by), TRY(type, rotate), TRY(type, average);              \
		TRY(type, halving), TRY(type, high_part), TRY(type, bit_count), TRY(type, any_bit);          \
		TRY(type, parts);                                                                            \
		SUM(type, wide_total);                                                                       \
		SUM(type, wide_dot);                                                                         \
		SUM(type, xor);                                                                              \
		SUM(type, sad);                                                                              \
	} while (0)

#define TRY_FLOATING(type)                                                                                  \
	do {                                                                                                 \
		static type a[N], b[N], d[N];                                                                \
		type s = (type)1.375;                                                                        \
                                                                                                             \
		for (int i = 0; i < N; i++) {                                                                \
			a[i] = (type)((int32_t)next_random(&seed) / 100000000.0);                            \
			b[i] = i % 8 ? (type)((int32_t)next_random(&seed) / 300000000.0) : a[i];             \
		}                                                                                            \
		b[3] = 0, b[9] = (type)-0.0, a[5] = (type)INFINITY, a[17] = (type)NAN, b[30] = (type)1e-40;  \
		write_fpsr(0);                                                                               \
		TRY_COMMON(type);                                                                            \
		TRY(type, divide), TRY(type, root), TRY(type, floors), TRY(type, ceilings);                  \
		TRY(type, truncated), TRY(type, rounded), TRY(type, in_mode), TRY(type, magnitude);          \
		TRY(type, minimum), TRY(type, polynomial);                                                   \
	} while (0)

/* Integers of any value, or numbers that fit all types, so that a conversion of one is defined in C. */
#define TRY_CONVERSION(from, to)                                                                            \
	do {                                                                                                 \
		static from a[N];                                                                            \
		static to d[N];                                                                              \
                                                                                                             \
		for (int i = 0; i < N; i++)                                                                  \
			a[i] = (from)0.5 == 0                                                                \
				       ? (from)((uint64_t)next_random(&seed) << 32 | next_random(&seed))     \
				       : (from)(next_random(&seed) / 17179869184.0 * 500);                   \
		write_fpsr(0);                                                                               \
		from##_to_##to(d, a);                                                                        \
		show(#from " to", #to, d, sizeof(d));                                                        \
	} while (0)

#ifdef HALF
typedef __fp16 half;
/* In C, __fp16 is a storage type: _Float16 computes in half precision. */
#undef LOOP
#define LOOP(type, name, expression)                                                                        \
	static NOINLINE void name##_half(_Float16 *restrict d, const _Float16 *restrict a,                   \
					 const _Float16 *restrict b, _Float16 s)                             \
	{                                                                                                    \
		(void)a, (void)b, (void)s;                                                                   \
		for (int i = 0; i < N; i++)                                                                  \
			d[i] = (_Float16)(expression);                                                       \
	}
LOOP(half, add, a[i] + b[i])
LOOP(half, subtract, a[i] - b[i])
LOOP(half, multiply, a[i] * b[i])
LOOP(half, divide, a[i] / b[i])
LOOP(half, multiply_add, a[i] * b[i] + d[i])
LOOP(half, by_scalar, a[i] * s - b[i])
LOOP(half, negate, -a[i])
LOOP(half, smaller, a[i] < b[i] ? a[i] : b[i])
LOOP(half, not_less, a[i] >= b[i] ? s : b[i])

static NOINLINE float half_dot(const _Float16 *a, const _Float16 *b)
{
	float sum = 0;

	for (int i = 0; i < N; i++)
		sum += (float)a[i] * (float)b[i];
	return sum;
}

static void halves(void)
{
	static _Float16 a[N], b[N], d[N];
	static int16_t whole[N];
	_Float16 s = (_Float16)1.375;
	float dot;

	for (int i = 0; i < N; i++) {
		a[i] = (_Float16)((int32_t)next_random(&seed) / 100000000.0);
		b[i] = i % 8 ? (_Float16)((int32_t)next_random(&seed) / 300000000.0) : a[i];
	}
	write_fpsr(0);
	TRY(half, add), TRY(half, subtract), TRY(half, multiply), TRY(half, divide);
	TRY(half, multiply_add), TRY(half, by_scalar), TRY(half, negate), TRY(half, smaller);
	TRY(half, not_less);
	for (int i = 0; i < N; i++)
		whole[i] = (int16_t)a[i];
	show("to int16_t", "half", whole, sizeof(whole));
	for (int i = 0; i < N; i++)
		d[i] = (_Float16)whole[i];
	show("from int16_t", "half", d, sizeof(d));
	dot = half_dot(a, b);
	show("dot in float", "half", &dot, sizeof(dot));
}
#else
static void halves(void)
{
}
#endif

int main(void)
{
	TRY_INTEGER(int8_t);
	TRY_INTEGER(uint8_t);
	TRY_INTEGER(int16_t);
	TRY_INTEGER(uint16_t);
	TRY_INTEGER(int32_t);
	TRY_INTEGER(uint32_t);
	TRY_INTEGER(int64_t);
	TRY_INTEGER(uint64_t);
	TRY_FLOATING(float);
	TRY_FLOATING(double);
	TRY_CONVERSION(int8_t, int64_t);
	TRY_CONVERSION(uint8_t, uint32_t);
	TRY_CONVERSION(uint8_t, float);
	TRY_CONVERSION(int16_t, float);
	TRY_CONVERSION(int16_t, int64_t);
	TRY_CONVERSION(uint16_t, double);
	TRY_CONVERSION(int32_t, int8_t);
	TRY_CONVERSION(int32_t, float);
	TRY_CONVERSION(int32_t, double);
	TRY_CONVERSION(uint32_t, float);
	TRY_CONVERSION(uint32_t, uint16_t);
	TRY_CONVERSION(int64_t, int16_t);
	TRY_CONVERSION(int64_t, double);
	TRY_CONVERSION(int64_t, float);
	TRY_CONVERSION(uint64_t, double);
	TRY_CONVERSION(uint64_t, uint8_t);
	TRY_CONVERSION(float, double);
	TRY_CONVERSION(float, int32_t);
	TRY_CONVERSION(float, uint32_t);
	TRY_CONVERSION(float, int16_t);
	TRY_CONVERSION(float, int64_t);
	TRY_CONVERSION(double, float);
	TRY_CONVERSION(double, int32_t);
	TRY_CONVERSION(double, int64_t);
	TRY_CONVERSION(double, uint64_t);
	TRY_CONVERSION(double, uint8_t);
	halves();
	return 0;
}
