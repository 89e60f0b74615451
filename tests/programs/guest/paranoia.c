/*
 * What a program can find out about the arithmetic, after Kahan's Paranoia: the radix, the digits, guard
 * digits, rounding, the sticky bit, gradual underflow, infinities, NaNs and the exceptions, in REAL. Each
 * line says whether what IEEE 754 requires was found; the exit status is the number of failures.
 */
#include "guest.h"

#include <fenv.h>
#include <math.h>

typedef volatile REAL V;

static int failures;

static void check(const char *what, int good)
{
	printf("%s: %s\n", what, good ? "yes" : "NO");
	failures += !good;
}

static V zero = 0, one = 1, two = 2, three = 3, four = 4, half = (REAL)0.5, nine = 9;

static int raises(int expected)
{
	int found = fetestexcept(FE_ALL_EXCEPT);

	feclearexcept(FE_ALL_EXCEPT);
	return found == expected;
}

static void radix_and_digits(void)
{
	V width = 1, digits = 0, radix, ulp;

	do
		width += width;
	while ((V)((V)(width + one) - width) - one == zero);
	for (V step = 1;; step += step) {
		radix = (V)(width + step) - width;
		if (radix != zero)
			break;
	}
	for (width = 1; (V)((V)(width + one) - width) == one; width *= radix)
		digits += one;
	ulp = one / width;
	printf("radix %g, digits %g, ulp %a\n", (double)radix, (double)digits, (double)ulp);
	check("radix 2", radix == two);
	check("precision", digits == (sizeof(REAL) == 4 ? 24 : 53));
}

static void rounding(REAL ulp)
{
	V u1 = ulp / two, more = one + ulp, less = one - u1, x, y, z;

	check("guard digit of subtraction", one - less == u1);
	check("guard digit of multiplication", (V)(less * two) - one - less == zero - u1 + zero);
	x = one + ulp;
	y = x * x;
	check("(1 + u)**2 is rounded down", y == one + two * ulp);
	check("guard digit of division", one / less > one && nine / three == three);
	x = one + u1;
	check("a tie goes to even: down", x == one);
	x = more + u1;
	check("a tie goes to even: up", x == one + two * ulp);
	y = u1 * (one + ulp);
	x = one + y;
	check("sticky bit of addition", x == more);
	z = one - u1 / two * (one + ulp);
	check("sticky bit of subtraction", z == less);
	x = (one + ulp) * (one - ulp);
	check("multiplication rounds to nearest", x == one);
	check("square root of squares", sqrt(nine) == three && sqrt(four * four) == four);
	x = (REAL)sqrt(two);
	printf("sqrt(2) %a, 1/3 %a, 2/3 %a\n", (double)x, (double)(one / three), (double)(two / three));
	check("a sum of two roundings", half + u1 / two == half + u1 / two && half + u1 != half);
}

static void in_every_mode(REAL ulp)
{
	static const int modes[4] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
	static const char *const names[4] = { "nearest", "up", "down", "zero" };
	V tiny = ulp / 8, big = sizeof(REAL) == 4 ? (REAL)0x1.fffffep127 : (REAL)0x1.fffffffffffffp1023;

	for (int m = 0; m < 4; m++) {
		V up, down, minus, huge, root;
		int there;

		fesetround(modes[m]);
		there = fegetround() == modes[m];
		up = one + tiny;
		down = one - tiny;
		minus = -one - tiny;
		huge = big * two;
		root = (REAL)sqrt(three);
		V third = one / three, negative = -one / three, difference = three - three;
		fesetround(FE_TONEAREST);
		printf("%s: %a %a %a %a %a %a %a\n", names[m], (double)up, (double)down, (double)minus,
		       (double)huge, (double)root, (double)third, (double)negative);
		check("the mode is kept", there);
		check("1 + tiny", (up > one) == (m == 1));
		check("1 - tiny", (down < one) == (m == 2 || m == 3));
		check("-1 - tiny", (minus < -one) == (m == 2));
		check("overflow", isinf((double)huge) == (m < 2));
		check("the sign of 3 - 3", !!signbit(difference) == (m == 2));
	}
	feclearexcept(FE_ALL_EXCEPT);
}

static void underflow(REAL ulp)
{
	V smallest = sizeof(REAL) == 4 ? (REAL)0x1p-126 : (REAL)0x1p-1022, tiniest = smallest * ulp, x, y;

	feclearexcept(FE_ALL_EXCEPT);
	check("the smallest denormal is not 0", tiniest > zero);
	check("half of it is 0", tiniest / two == zero);
	check("that is an underflow", raises(FE_UNDERFLOW | FE_INEXACT));
	x = smallest * (one + ulp);
	y = x - smallest;
	check("x != y has x - y != 0", y == tiniest);
	check("gradual underflow is exact here", raises(0));
	x = smallest / two;
	check("an exact denormal raises nothing", x + x == smallest && raises(0));
	x = smallest / three;
	check("an inexact one underflows", x > zero && raises(FE_UNDERFLOW | FE_INEXACT));
	x = tiniest * (two + half + half / two);
	check("rounding of denormals", x == three * tiniest);
	feclearexcept(FE_ALL_EXCEPT);
}

static void exceptions(void)
{
	V infinite, nan, x, big = sizeof(REAL) == 4 ? (REAL)0x1p127 : (REAL)0x1p1023;
	volatile int order;

	feclearexcept(FE_ALL_EXCEPT);
	infinite = one / zero;
	check("1 / 0", isinf((double)infinite) && raises(FE_DIVBYZERO));
	x = -one / infinite;
	check("-1 / inf is -0", x == zero && signbit(x) && raises(0));
	nan = zero / zero;
	check("0 / 0", nan != nan && raises(FE_INVALID));
	x = infinite - infinite;
	check("inf - inf", x != x && raises(FE_INVALID));
	x = infinite * zero;
	check("inf * 0", x != x && raises(FE_INVALID));
	x = (REAL)sqrt(-one);
	check("sqrt(-1)", x != x);
	feclearexcept(FE_ALL_EXCEPT);
	x = big * big;
	check("overflow", x == infinite && raises(FE_OVERFLOW | FE_INEXACT));
	x = one / three;
	check("1 / 3 is inexact", x > zero && raises(FE_INEXACT));
	x = one + nan;
	check("a quiet NaN raises nothing", x != x && raises(0));
	order = nan == nan;
	check("== with a NaN", !order && raises(0));
	order = nan < one;
	check("< with a NaN", !order && raises(FE_INVALID));
	order = isless((double)nan, 1.0);
	check("isless() with a NaN", !order && raises(0));
	order = (int)nan;
	check("a NaN as an integer", raises(FE_INVALID) && order == 0);
	order = (int)big;
	check("a large number as an integer", raises(FE_INVALID) && order == 0x7fffffff);
	order = (int)(half + one);
	check("1.5 as an integer", order == 1 && raises(FE_INEXACT));
}

int main(void)
{
	REAL ulp = sizeof(REAL) == 4 ? (REAL)0x1p-23 : (REAL)0x1p-52;

	radix_and_digits();
	rounding(ulp);
	in_every_mode(ulp);
	underflow(ulp);
	exceptions();
	printf("failures: %d\n", failures);
	return failures;
}
