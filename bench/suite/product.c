/*
 * The product of two matrices of 64 by 64 floats per round, and the length of each of its columns: loops
 * over floats, which GCC makes vector instructions of. Every fourth round has the same factors.
 */
#include "suite_fp.h"

#define N 64

static ALIGNED float left[4][N][N], right[N][N], result[N][N], lengths[N];

static void multiply(float (*c)[N], float (*a)[N], float (*b)[N])
{
	for (int i = 0; i < N; i++) {
		float *row = vector_aligned(c[i]);

		for (int j = 0; j < N; j++)
			row[j] = 0;
		for (int k = 0; k < N; k++) {
			const float *from = vector_aligned(b[k]);
			float factor = a[i][k];

			for (int j = 0; j < N; j++)
				row[j] = fused_float(factor, from[j], row[j]);
		}
	}
}

static void measure(float *lengths_, float (*c)[N])
{
	float *length = vector_aligned(lengths_);

	for (int j = 0; j < N; j++)
		length[j] = 0;
	for (int i = 0; i < N; i++) {
		const float *row = vector_aligned(c[i]);

		for (int j = 0; j < N; j++)
			length[j] += row[j] * row[j];
	}
	for (int j = 0; j < N; j++)
		length[j] = __builtin_sqrtf(length[j]);
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 10, sum = 0;

	for (int n = 0; n < 5; n++)
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				float value = (float)(int32_t)next_random(&state) * (1.0f / 2147483648);

				*(n < 4 ? &left[n][i][j] : &right[i][j]) = value;
			}
	for (uint64_t round = 0; round < rounds; round++) {
		multiply(result, left[round & 3], right);
		measure(lengths, result);
		for (int j = 0; j < N; j++)
			sum = mix(mix(sum, bits_of_float(lengths[j])), bits_of_float(result[j][j]));
	}
	return sum;
}
