/* What the programs share. Each prints its results, bit for bit, and returns its exit status. */
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

uint64_t semihosting(uint32_t operation, const void *block);
void finish(int status) __attribute__((noreturn));
void unexpected(uint64_t esr, uint64_t elr, uint64_t far);

/* Pseudo-random data that can be reproduced: a linear congruential generator. */
static inline uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

/* Adds a value to a checksum (as in FNV, but by words). */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3u;
}

/* The same of every byte of an object. */
static inline uint64_t mix_bytes(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)data;

	while (size--)
		sum = mix(sum, *bytes++);
	return sum;
}

static inline uint64_t bits_of_double(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, 8);
	return bits;
}

static inline double double_of_bits(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, 8);
	return value;
}

static inline uint32_t bits_of_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, 4);
	return bits;
}

static inline float float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, 4);
	return value;
}

/* The barriers keep compilers from moving arithmetic across. */
static inline uint64_t read_fpsr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, FPSR" : "=r"(value) : : "memory");
	return value;
}

static inline void write_fpsr(uint64_t value)
{
	__asm__ volatile("msr FPSR, %0" : : "r"(value) : "memory");
}

static inline void write_fpcr(uint64_t value)
{
	__asm__ volatile("msr FPCR, %0\n\tisb" : : "r"(value) : "memory");
}

/* printf's %llx wants this type. */
typedef unsigned long long ull;

#ifdef __cplusplus
}
#endif

#endif
