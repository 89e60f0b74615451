/*
 * Every arithmetic instruction of FORMAT (64, 32 or 16 bits) on pairs of special values, in each rounding
 * mode, with and without flushing of denormal numbers and with the default NaN: a checksum of the results
 * and of FPSR after each for every instruction and mode.
 */
#include "guest.h"

#if FORMAT == 64
#define R "d"
typedef uint64_t word;
#define FRACTION 52
#define BIAS 1023
#elif FORMAT == 32
#define R "s"
typedef uint32_t word;
#define FRACTION 23
#define BIAS 127
#else
#define R "h"
typedef uint16_t word;
#define FRACTION 10
#define BIAS 15
#endif

#define SIGN ((word)((word)1 << (FORMAT - 1)))
#define ONE ((word)((word)BIAS << FRACTION))
#define INFINITE ((word)((word)(2 * BIAS + 1) << FRACTION))
#define POWER(n) ((word)((word)(BIAS + (n)) << FRACTION))

static const word values[] = {
	0, 1, 2, (1 << 9) - 1, ((word)1 << FRACTION) - 1, (word)1 << FRACTION, ((word)1 << FRACTION) + 1,
	POWER(-BIAS / 2), POWER(-FRACTION - 1), POWER(-FRACTION), POWER(-1), POWER(-1) + 1, ONE - 1, ONE,
	ONE + 1, ONE + ((word)1 << (FRACTION - 1)), POWER(1), POWER(1) + ((word)1 << (FRACTION - 2)), POWER(2),
	POWER(FRACTION - 1) + 1, POWER(FRACTION), POWER(FRACTION) + 1, POWER(BIAS / 2), POWER(BIAS),
	INFINITE - 1, INFINITE, INFINITE + 1, INFINITE + ((word)1 << (FRACTION - 1)),
	INFINITE + ((word)1 << (FRACTION - 1)) + 5,
	/* nothing special: pi, and others with all kinds of bits to round */
	(word)(0x400921fb54442d18 >> (64 - FORMAT)), ONE + (word)(0x5555555555555555 >> (65 - FRACTION)),
	POWER(3) + (word)(0x123456789abcdef1 >> (65 - FRACTION)),
};
#define COUNT (sizeof(values) / sizeof(values[0]))

/* FPCR: DN, FZ, RMode. And FZ16 with FZ, which is for half precision. */
static const uint64_t modes[] = {
	0 << 22, 1 << 22, 2 << 22, 3 << 22, 1 << 25, 1 << 24 | 1 << 19, 1 << 25 | 3 << 22,
	1 << 24 | 1 << 19 | 1 << 22, 1 << 25 | 1 << 24 | 1 << 19 | 2 << 22,
};

static uint64_t sum;

static word value(unsigned n)
{
	return n < COUNT ? values[n] : values[n - COUNT] | SIGN;
}

/* In the instruction: v0 is the result, v1 to v3 are operands, x0 an integer. */
#define RUN(text, a, b, d, integer)                                                                         \
	do {                                                                                                 \
		uint64_t low_, high_, x_ = (integer);                                                        \
                                                                                                             \
		write_fpsr(0);                                                                               \
		__asm__ volatile("mov x0, %2\n\t"                                                            \
				 "fmov d1, %3\n\tfmov d2, %4\n\tfmov d3, %5\n\tmovi v0.2d, #0\n\t"           \
				 "ins v1.d[1], %3\n\tins v2.d[1], %4\n\tins v3.d[1], %5\n\t" text           \
				 "\n\tmov %2, x0\n\tfmov %0, d0\n\tmov %1, v0.d[1]\n\t"                      \
				 : "=r"(low_), "=r"(high_), "+r"(x_)                                         \
				 : "r"((uint64_t)(a)), "r"((uint64_t)(b)), "r"((uint64_t)(d))                \
				 : "x0", "v0", "v1", "v2", "v3", "cc", "memory");                            \
		sum = mix(mix(mix(mix(sum, low_), high_), x_), read_fpsr());                                 \
	} while (0)

#define REPORT(text, mode)                                                                                  \
	do {                                                                                                 \
		write_fpcr(0);                                                                               \
		printf("%-32s %07llx %016llx\n", text, (ull)(mode), (ull)sum);                               \
		sum = 0;                                                                                     \
	} while (0)

#define UNARY(text)                                                                                         \
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {                                      \
		write_fpcr(modes[m]);                                                                        \
		for (unsigned n = 0; n < 2 * COUNT; n++)                                                     \
			RUN(text, value(n), 0, 0, 0);                                                        \
		REPORT(text, modes[m]);                                                                      \
	}

#define BINARY(text)                                                                                        \
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {                                      \
		write_fpcr(modes[m]);                                                                        \
		for (unsigned n = 0; n < 2 * COUNT; n++)                                                     \
			for (unsigned k = m % 2; k < 2 * COUNT; k += 2)                                      \
				RUN(text, value(n), value(k), 0, 0);                                         \
		REPORT(text, modes[m]);                                                                      \
	}

/* Of all triples, those that a generator picks. */
#define TERNARY(text)                                                                                       \
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {                                      \
		uint64_t state = m;                                                                          \
                                                                                                             \
		write_fpcr(modes[m]);                                                                        \
		for (unsigned n = 0; n < 2000; n++) {                                                        \
			word a = value(next_random(&state) % (2 * COUNT));                                   \
			word b = value(next_random(&state) % (2 * COUNT));                                   \
			word d = value(next_random(&state) % (2 * COUNT));                                   \
                                                                                                             \
			RUN(text, a, b, d, 0);                                                               \
		}                                                                                            \
		REPORT(text, modes[m]);                                                                      \
	}

static const uint64_t integers[] = {
	0, 1, 2, 3, 100, 2047, 2049, 65503, 65519, 65520, 0x7fffff, 0x1000001, 0x7fffffff, 0x80000000,
	0x80000001, 0xffffffff, 0x100000000, 0x1fffffffffffff, 0x20000000000001, 0x3fffffffffffff,
	0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000401, 0xfffffffffffffbff, 0xffffffffffffffff,
};

#define FROM_INTEGER(text)                                                                                  \
	for (size_t m = 0; m < 4; m++) {                                                                     \
		write_fpcr(modes[m]);                                                                        \
		for (size_t n = 0; n < sizeof(integers) / sizeof(integers[0]); n++)                          \
			RUN(text, 0, 0, 0, integers[n]);                                                     \
		REPORT(text, modes[m]);                                                                      \
	}

#define TO_INTEGER(operation)                                                                               \
	UNARY(operation " w0, " R "1") UNARY(operation " x0, " R "1")                                        \
	UNARY(operation " " R "0, " R "1")

int main(void)
{
	BINARY("fadd " R "0, " R "1, " R "2");
	BINARY("fsub " R "0, " R "1, " R "2");
	BINARY("fmul " R "0, " R "1, " R "2");
	BINARY("fnmul " R "0, " R "1, " R "2");
	BINARY("fdiv " R "0, " R "1, " R "2");
	BINARY("fmulx " R "0, " R "1, " R "2");
	BINARY("fabd " R "0, " R "1, " R "2");
	BINARY("fmin " R "0, " R "1, " R "2");
	BINARY("fmax " R "0, " R "1, " R "2");
	BINARY("fminnm " R "0, " R "1, " R "2");
	BINARY("fmaxnm " R "0, " R "1, " R "2");
	BINARY("frecps " R "0, " R "1, " R "2");
	BINARY("frsqrts " R "0, " R "1, " R "2");
	BINARY("fcmeq " R "0, " R "1, " R "2");
	BINARY("fcmge " R "0, " R "1, " R "2");
	BINARY("fcmgt " R "0, " R "1, " R "2");
	BINARY("facge " R "0, " R "1, " R "2");
	BINARY("facgt " R "0, " R "1, " R "2");
	BINARY("fcmp " R "1, " R "2\n\tmrs x0, NZCV");
	BINARY("fcmpe " R "1, " R "2\n\tmrs x0, NZCV");
	BINARY("cmp x0, x0\n\tfccmp " R "1, " R "2, #5, eq\n\tmrs x0, NZCV");
	BINARY("fcmp " R "1, " R "2\n\tfcsel " R "0, " R "1, " R "2, gt");
	TERNARY("fmadd " R "0, " R "1, " R "2, " R "3");
	TERNARY("fmsub " R "0, " R "1, " R "2, " R "3");
	TERNARY("fnmadd " R "0, " R "1, " R "2, " R "3");
	TERNARY("fnmsub " R "0, " R "1, " R "2, " R "3");
	UNARY("fsqrt " R "0, " R "1");
	UNARY("fabs " R "0, " R "1");
	UNARY("fneg " R "0, " R "1");
	UNARY("frecpe " R "0, " R "1");
	UNARY("frsqrte " R "0, " R "1");
	UNARY("frecpx " R "0, " R "1");
	UNARY("frinta " R "0, " R "1");
	UNARY("frinti " R "0, " R "1");
	UNARY("frintm " R "0, " R "1");
	UNARY("frintn " R "0, " R "1");
	UNARY("frintp " R "0, " R "1");
	UNARY("frintx " R "0, " R "1");
	UNARY("frintz " R "0, " R "1");
	UNARY("fcmp " R "1, #0.0\n\tmrs x0, NZCV");
	TO_INTEGER("fcvtas") TO_INTEGER("fcvtau") TO_INTEGER("fcvtms") TO_INTEGER("fcvtmu");
	TO_INTEGER("fcvtns") TO_INTEGER("fcvtnu") TO_INTEGER("fcvtps") TO_INTEGER("fcvtpu");
	TO_INTEGER("fcvtzs") TO_INTEGER("fcvtzu");
	UNARY("fcvtzs w0, " R "1, #7");
	UNARY("fcvtzu x0, " R "1, #40");
	FROM_INTEGER("scvtf " R "0, w0") FROM_INTEGER("scvtf " R "0, x0");
	FROM_INTEGER("ucvtf " R "0, w0") FROM_INTEGER("ucvtf " R "0, x0");
	FROM_INTEGER("scvtf " R "0, x0, #33") FROM_INTEGER("ucvtf " R "0, w0, #9");
#if FORMAT == 64
	UNARY("fcvt s0, d1");
	UNARY("fcvt h0, d1");
	UNARY("fcvtxn s0, d1");
	UNARY("fcvtn v0.2s, v1.2d");
#elif FORMAT == 32
	UNARY("fcvt d0, s1");
	UNARY("fcvt h0, s1");
	UNARY("fcvtn v0.4h, v1.4s");
	UNARY("fcvtl v0.2d, v1.2s");
#else
	UNARY("fcvt d0, h1");
	UNARY("fcvt s0, h1");
	UNARY("fcvtl v0.4s, v1.4h");
#endif
	return 0;
}
