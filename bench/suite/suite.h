/*
 * What the programs of the suite share. Each of them is one function over real data: it does its
 * work `rounds` times and answers a checksum of all results. tests/benchmarks/suite_reference.py
 * says in Python what each must answer.
 */
#ifndef SUITE_H
#define SUITE_H

#include <stddef.h>
#include <stdint.h>

uint64_t program(uint64_t rounds);

/* Data that nobody can guess but everybody can make again: a linear congruential generator. */
static inline uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

/* The checksum takes in one more value (after Fowler, Noll and Vo, by words). */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3u;
}

#endif
