/*
 * picolibc's mathematical functions, in double and single: the bits of the results for special
 * arguments, a checksum for 400 random ones, and the exceptions in FPSR after each function.
 */
#include "guest.h"

#include <math.h>

#define RANDOM_ARGUMENTS 400

static const uint64_t special[] = {
	0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x800fffffffffffff,
	0x0010000000000000, 0x3e50000000000000, 0x3fe0000000000000, 0xbfe0000000000000,
	0x3fe921fb54442d18, 0x3feffffffffff000, 0x3ff0000000000000, 0xbff0000000000000,
	0x3ff0000000000001, 0x4000000000000000, 0x4005bf0a8b145769, 0x400921fb54442d18,
	0xc008000000000000, 0x4024000000000000, 0x4059200000000000, 0x40f86a0000000000,
	0x4085e00000000000, 0xc0874910d52d3053, 0x4480f0cf064dd592, 0x7e37e43c8800759c,
	0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000001,
	0x7ff0000000000001, 0xfff8000000000000,
};
#define SPECIALS (sizeof(special) / sizeof(special[0]))

static uint64_t state = 21;

/* Between 2**-20 and 2**12 in magnitude, with a few of any size. */
static double argument(void)
{
	uint64_t fraction = (uint64_t)next_random(&state) << 20 | next_random(&state) >> 12;
	uint32_t where = next_random(&state);
	uint64_t exponent = where % 16 ? 1003 + (where >> 8) % 32 : (where >> 8) % 2046;

	return double_of_bits((uint64_t)(where >> 31) << 63 | exponent << 52 | (fraction & 0xfffffffffffff));
}

static void one_double(const char *name, double (*function)(double))
{
	uint64_t sum = 0;

	write_fpsr(0);
	printf("%s:", name);
	for (size_t i = 0; i < SPECIALS; i++)
		printf(" %llx", (ull)bits_of_double(function(double_of_bits(special[i]))));
	for (int i = 0; i < RANDOM_ARGUMENTS; i++)
		sum = mix(sum, bits_of_double(function(argument())));
	printf(" sum %016llx FPSR %llx\n", (ull)sum, (ull)read_fpsr());
}

static void one_float(const char *name, float (*function)(float))
{
	uint64_t sum = 0;

	write_fpsr(0);
	printf("%s:", name);
	for (size_t i = 0; i < SPECIALS; i++)
		printf(" %x", (unsigned)bits_of_float(function((float)double_of_bits(special[i]))));
	for (int i = 0; i < RANDOM_ARGUMENTS; i++)
		sum = mix(sum, bits_of_float(function((float)argument())));
	printf(" sum %016llx FPSR %llx\n", (ull)sum, (ull)read_fpsr());
}

static void two_double(const char *name, double (*function)(double, double))
{
	uint64_t sum = 0, corners = 0;

	write_fpsr(0);
	for (size_t i = 0; i < SPECIALS; i++)
		for (size_t j = 0; j < SPECIALS; j++)
			corners = mix(corners, bits_of_double(function(double_of_bits(special[i]),
								       double_of_bits(special[j]))));
	for (int i = 0; i < RANDOM_ARGUMENTS; i++) {
		double x = argument();

		sum = mix(sum, bits_of_double(function(x, argument())));
	}
	printf("%s: special %016llx sum %016llx FPSR %llx\n", name, (ull)corners, (ull)sum, (ull)read_fpsr());
}

static void two_float(const char *name, float (*function)(float, float))
{
	uint64_t sum = 0, corners = 0;

	write_fpsr(0);
	for (size_t i = 0; i < SPECIALS; i++)
		for (size_t j = 0; j < SPECIALS; j++)
			corners = mix(corners, bits_of_float(function((float)double_of_bits(special[i]),
								      (float)double_of_bits(special[j]))));
	for (int i = 0; i < RANDOM_ARGUMENTS; i++) {
		float x = (float)argument();

		sum = mix(sum, bits_of_float(function(x, (float)argument())));
	}
	printf("%s: special %016llx sum %016llx FPSR %llx\n", name, (ull)corners, (ull)sum, (ull)read_fpsr());
}

/* Functions with other types, by wrappers that have the usual one. */
#define WRAPPERS(type, suffix)                                                                               \
	static type frexp_of##suffix(type x)                                                                 \
	{                                                                                                    \
		int exponent = 0;                                                                            \
		type fraction = frexp##suffix(x, &exponent);                                                 \
                                                                                                             \
		return isfinite(x) ? fraction + (type)exponent : fraction;                                   \
	}                                                                                                    \
	static type ldexp_of##suffix(type x) { return ldexp##suffix(x, -1040); }                             \
	static type modf_of##suffix(type x)                                                                  \
	{                                                                                                    \
		type whole;                                                                                  \
		type fraction = modf##suffix(x, &whole);                                                     \
                                                                                                             \
		return fraction * whole;                                                                     \
	}                                                                                                    \
	static type remquo_of##suffix(type x, type y)                                                        \
	{                                                                                                    \
		int quotient = 0;                                                                            \
		type rest = remquo##suffix(x, y, &quotient);                                                 \
                                                                                                             \
		return isfinite(rest) ? rest + (type)(quotient & 7) : rest;                                  \
	}                                                                                                    \
	static type lrint_of##suffix(type x) { return (type)lrint##suffix(x); }                              \
	static type llround_of##suffix(type x) { return (type)llround##suffix(x); }                          \
	static type ilogb_of##suffix(type x) { return (type)ilogb##suffix(x); }                              \
	static type fma_of##suffix(type x, type y) { return fma##suffix(x, y, x * (type)0.3); }              \
	static type classes##suffix(type x)                                                                  \
	{                                                                                                    \
		return (type)(fpclassify(x) * 2 + !!signbit(x));                                             \
	}
WRAPPERS(double, )
WRAPPERS(float, f)

#define ONE(name) one_double(#name, name), one_float(#name "f", name##f)
#define TWO(name) two_double(#name, name), two_float(#name "f", name##f)

int main(void)
{
	ONE(sin), ONE(cos), ONE(tan), ONE(asin), ONE(acos), ONE(atan);
	ONE(sinh), ONE(cosh), ONE(tanh), ONE(asinh), ONE(acosh), ONE(atanh);
	ONE(exp), ONE(exp2), ONE(expm1), ONE(log), ONE(log2), ONE(log10), ONE(log1p), ONE(logb);
	ONE(sqrt), ONE(cbrt), ONE(erf), ONE(erfc), ONE(lgamma), ONE(tgamma);
	ONE(ceil), ONE(floor), ONE(trunc), ONE(round), ONE(rint), ONE(nearbyint), ONE(fabs);
	ONE(frexp_of), ONE(ldexp_of), ONE(modf_of), ONE(lrint_of), ONE(llround_of), ONE(ilogb_of);
	ONE(classes);
	TWO(pow), TWO(atan2), TWO(hypot), TWO(fmod), TWO(remainder), TWO(remquo_of), TWO(fma_of);
	TWO(fmin), TWO(fmax), TWO(fdim), TWO(copysign), TWO(nextafter);
	return 0;
}
