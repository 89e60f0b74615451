/* Doubles and floats as text and back: each line begins with the bits, so that Python can compare. */
#include "guest.h"

#include <math.h>
#include <stdlib.h>

static const double values[] = {
	0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 0.2, 0.3, 1.0 / 3, 2.0 / 3, 100.0, 123456789.0, 1e15, 1e16, 1e17,
	1e21, 1e22, 1e23, 1e-4, 1e-5, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308,
	1.7976931348623157e308, 3.141592653589793, 2.718281828459045, 9007199254740993.0, 0.001, 1e100,
	6.02214076e23, 299792458.0, 4.35, 2.675, 1.005, 0.045, 8.5, 9.5, 0.0625,
};

static void show(double value)
{
	char text[64];
	double again;

	snprintf(text, sizeof(text), "%.17g", value);
	again = strtod(text, NULL);
	printf("%016llx %s %.16e %.6f %.3g %s\n", (ull)bits_of_double(value), text, value,
	       fabs(value) < 1e10 ? value : 0.0, value, bits_of_double(again) == bits_of_double(value)
	       ? "same" : "DIFFERENT");
}

static int failures;

static void there_and_back(float value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", (double)value);
	if (bits_of_float(strtof(text, NULL)) != bits_of_float(value))
		failures++;
}

int main(void)
{
	uint64_t state = 31;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		show(values[i]);
	for (int i = 0; i < 400; i++) {
		uint64_t high = next_random(&state), bits = high << 32 | next_random(&state);

		if ((bits >> 52 & 0x7ff) != 0x7ff)
			show(double_of_bits(bits));
	}
	for (int i = 0; i < 400; i++)
		show((int32_t)next_random(&state) / 1000.0);
	for (int i = 0; i < 1000; i++) {
		uint32_t bits = next_random(&state);

		if ((bits >> 23 & 0xff) != 0xff)
			there_and_back(float_of_bits(bits));
	}
	printf("%f %F %e %g %a\n", INFINITY, -INFINITY, NAN, INFINITY, 1.0);
	printf("%d of 1000 floats did not come back\n", failures);
	return 0;
}
