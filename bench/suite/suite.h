/*
 * What the programs of the suite share. Each is one function over real data: it does its work
 * `rounds` times and returns a checksum of all results. tests/benchmarks/suite_reference.py
 * computes the same checksums in Python.
 */
#ifndef SUITE_H
#define SUITE_H

#include <stddef.h>
#include <stdint.h>

uint64_t program(uint64_t rounds);

/* Pseudo-random data that can be reproduced: a linear congruential generator. */
static inline uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

/* Adds a value to the checksum (as in FNV, but by words). */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3u;
}

#endif
