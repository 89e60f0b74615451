/*
 * 2,048 samples of 16 bits per round through a cascade of four biquads, in single precision: scalar
 * arithmetic, and conversions from and to integers. Every fourth round has the same samples.
 */
#include "suite_fp.h"

#define SAMPLES 2048
#define SECTIONS 4

struct section {
	float b0, b1, b2, a1, a2, z1, z2;
};

/* A high pass, two peaks and a low pass. */
static const float coefficients[SECTIONS][5] = {
	{ 0.9630f, -1.9260f, 0.9630f, -1.9247f, 0.9274f },
	{ 1.0281f, -1.8863f, 0.8901f, -1.8863f, 0.9182f },
	{ 0.9442f, -1.3210f, 0.6115f, -1.3210f, 0.5557f },
	{ 0.3913f, 0.7827f, 0.3913f, 0.3695f, 0.1958f },
};
static struct section sections[SECTIONS];
static int16_t input[4][SAMPLES], output[SAMPLES];

static void equalise(const int16_t *from, int16_t *to)
{
	for (int n = 0; n < SAMPLES; n++) {
		float x = (float)from[n] * (1.0f / 32768);

		for (int k = 0; k < SECTIONS; k++) {
			struct section *s = &sections[k];
			float y = fused_float(s->b0, x, s->z1);

			s->z1 = fused_float(-s->a1, y, fused_float(s->b1, x, s->z2));
			s->z2 = fused_float(-s->a2, y, s->b2 * x);
			x = y;
		}
		x *= 32768;
		x = x > 32767 ? 32767 : x < -32768 ? -32768 : x;
		to[n] = (int16_t)x;
	}
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 8, sum = 0;

	for (int i = 0; i < 4; i++)
		for (int n = 0; n < SAMPLES; n++)
			input[i][n] = (int16_t)(next_random(&state) >> 16);
	for (uint64_t round = 0; round < rounds; round++) {
		for (int k = 0; k < SECTIONS; k++) {
			const float *c = coefficients[k];

			sections[k] = (struct section){ c[0], c[1], c[2], c[3], c[4], 0, 0 };
		}
		equalise(input[round & 3], output);
		for (int n = 0; n < SAMPLES; n += 8)
			sum = mix(sum, (uint16_t)output[n]);
		for (int k = 0; k < SECTIONS; k++)
			sum = mix(mix(sum, bits_of_float(sections[k].z1)), bits_of_float(sections[k].z2));
	}
	return sum;
}
