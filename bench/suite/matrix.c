/* The product of two matrices of 64 by 64 integers per round; it is a factor of the next product. */
#include "suite.h"

#define N 64

static uint32_t a[N][N], b[N][N], c[N][N];

uint64_t program(uint64_t rounds)
{
	uint64_t state = 5, sum = 0;

	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = next_random(&state);
			b[i][j] = next_random(&state);
		}
	while (rounds--) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				uint32_t value = 0;

				for (int k = 0; k < N; k++)
					value += a[i][k] * b[k][j];
				c[i][j] = value;
			}
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				a[i][j] = c[i][j];
				sum = mix(sum, c[i][j]);
			}
	}
	return sum;
}
