/*
 * All kinds of writes, to try breakpoints, watchpoints and steps with: a counter with one writer and
 * one reader, members of every size, a pair, an array, an atomic (load-exclusive/store-exclusive),
 * a recursive function and a chain of calls. Every run is the same.
 */
#include "guest.h"

#define ROUNDS 1000

struct sizes {
	uint8_t byte;
	uint16_t half;
	uint32_t word;
	uint64_t doubleword;
};

uint64_t counter;
struct sizes sizes;
uint64_t pair[2] __attribute__((aligned(16)));
uint32_t table[64];
uint32_t lock;

__attribute__((noinline)) void count(void)
{
	counter++;
}

__attribute__((noinline)) void write_sizes(uint64_t value)
{
	sizes.byte = (uint8_t)value;
	sizes.half = (uint16_t)value;
	sizes.word = (uint32_t)value;
	sizes.doubleword = value;
}

__attribute__((noinline)) void write_pair(uint64_t first, uint64_t second)
{
	__asm__ volatile("stp %1, %2, [%0]" ::"r"(pair), "r"(first), "r"(second) : "memory");
}

__attribute__((noinline)) void fill_table(uint32_t value)
{
	for (uint32_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		table[i] = value + i;
}

__attribute__((noinline)) void take_lock(void)
{
	uint32_t seen, failed;

	__asm__ volatile("1:	ldaxr	%w0, [%2]\n"
			 "	cbnz	%w0, 1b\n"
			 "	stxr	%w1, %w3, [%2]\n"
			 "	cbnz	%w1, 1b\n"
			 : "=&r"(seen), "=&r"(failed)
			 : "r"(&lock), "r"(1)
			 : "memory");
}

__attribute__((noinline)) void give_lock(void)
{
	__asm__ volatile("stlr wzr, [%0]" ::"r"(&lock) : "memory");
}

__attribute__((noinline)) uint64_t factorial(uint64_t n)
{
	if (n < 2)
		return 1;
	return n * factorial(n - 1);
}

__attribute__((noinline)) void inner(void)
{
	count();
}

__attribute__((noinline)) void middle(void)
{
	inner();
	__asm__ volatile(""); /* prevents a tail call */
}

__attribute__((noinline)) void outer(void)
{
	middle();
	__asm__ volatile("");
}

int main(void)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		outer();
		if (i % 100 == 0) {
			write_sizes(i);
			write_pair(i, i + 1);
			fill_table(i);
			take_lock();
			give_lock();
		}
	}
	put_line("counter: ", counter);
	put_line("factorial of 10: ", factorial(10));
	put_line("pair: ", pair[0] + pair[1]);
	put_line("table: ", table[63]);
	return 0;
}
