/*
 * Two images of 128 by 128 bytes are blended, and the result is compared with one of them, by the sums of
 * absolute differences of its rows; then its contrast is stretched. Loops over bytes, which GCC makes
 * vector instructions of. Every fourth round has the same weights and images.
 */
#include "suite_fp.h"

#define SIZE 128

static ALIGNED uint8_t first[SIZE][SIZE], second[SIZE][SIZE], blended[SIZE][SIZE];

static void blend(uint8_t *to, const uint8_t *a, const uint8_t *b, uint8_t weight)
{
	to = vector_aligned(to), a = vector_aligned(a), b = vector_aligned(b);
	for (int n = 0; n < SIZE; n++) {
		uint16_t value = (uint16_t)(a[n] * weight + b[n] * (uint8_t)(255 - weight));

		to[n] = (uint8_t)((uint16_t)(value + 128) >> 8);
	}
}

static uint32_t difference(const uint8_t *a, const uint8_t *b)
{
	uint32_t sum = 0;

	a = vector_aligned(a), b = vector_aligned(b);
	for (int n = 0; n < SIZE; n++) {
		int distance = a[n] - b[n];

		sum += (uint32_t)(distance < 0 ? -distance : distance);
	}
	return sum;
}

static void stretch(uint8_t *row, uint8_t low)
{
	row = vector_aligned(row);
	for (int n = 0; n < SIZE; n++) {
		uint8_t above = (uint8_t)(row[n] > low ? row[n] - low : 0);
		uint16_t scaled = (uint16_t)(above * 3 >> 1);

		row[n] = (uint8_t)(scaled > 255 ? 255 : scaled);
	}
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 9, sum = 0;

	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			first[y][x] = (uint8_t)(next_random(&state) >> 24);
			second[y][x] = (uint8_t)(next_random(&state) >> 24);
		}
	for (uint64_t round = 0; round < rounds; round++) {
		for (int y = 0; y < SIZE; y++) {
			int other = (int)(y + 32 * (round & 3)) % SIZE;

			blend(blended[y], first[y], second[other], (uint8_t)(64 + 40 * (round & 3)));
			sum = mix(sum, difference(blended[y], first[y]));
			stretch(blended[y], (uint8_t)y);
			sum = mix(sum, difference(blended[y], second[other]));
		}
	}
	return sum;
}
