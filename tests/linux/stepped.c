/* Runs for ever, on CPU 0: a program in the guest that GDB steps, by lines with known successors. */
#define _GNU_SOURCE
#include <sched.h>

volatile unsigned long rounds, sum;

__attribute__((noinline)) static unsigned long twice(unsigned long n)
{
	n = n + n;  /* line 9 */
	return n;
}

int main(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof set, &set);
	for (;;) {
		rounds++;          /* first */
		sum += twice(rounds);  /* second */
		sum ^= rounds;     /* third */
	}
}
