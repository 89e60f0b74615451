/*
 * Several processors and one counter: the first starts all others (PSCI CPU_ON), each adds to the
 * counter under a spin lock, and the first waits until all have finished.
 * `unlocked` is the same counter without the lock: it is at most as large, and may be smaller.
 * (With the MMU off, the lock's exclusives access memory that is not cacheable. QEMU and guestdbg
 * allow this; real hardware need not.)
 */
#include "guest.h"

#define ROUNDS 1000
#define MAX_CPUS 8
#define PSCI_CPU_ON 0xc4000003ul

void secondary_start(void); /* secondary.S */

volatile uint64_t counter;
volatile uint64_t unlocked;
static uint32_t lock;
static volatile uint32_t started, finished;

/* A stack for each other processor, by number; secondary_start gets its end. */
uint8_t stacks[MAX_CPUS][4096] __attribute__((aligned(16)));

static int64_t psci(uint64_t function, uint64_t first, uint64_t second, uint64_t third)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = first;
	register uint64_t x2 __asm__("x2") = second;
	register uint64_t x3 __asm__("x3") = third;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
	return (int64_t)x0;
}

__attribute__((noinline)) void take_lock(void)
{
	uint32_t seen, failed;

	__asm__ volatile("	sevl\n"
			 "1:	wfe\n"
			 "2:	ldaxr	%w0, [%2]\n"
			 "	cbnz	%w0, 1b\n"
			 "	stxr	%w1, %w3, [%2]\n"
			 "	cbnz	%w1, 2b\n"
			 : "=&r"(seen), "=&r"(failed)
			 : "r"(&lock), "r"(1)
			 : "memory");
}

__attribute__((noinline)) void give_lock(void)
{
	__asm__ volatile("stlr wzr, [%0]\n\tsev" ::"r"(&lock) : "memory");
}

__attribute__((noinline)) void work(void)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		take_lock();
		counter++;
		give_lock();
		unlocked++;
	}
}

static void finish(void)
{
	take_lock();
	finished++;
	give_lock();
}

void secondary_main(void)
{
	work();
	finish();
	for (;;)
		__asm__ volatile("wfi");
}

int main(void)
{
	for (uint64_t cpu = 1; cpu < MAX_CPUS; cpu++) {
		uint64_t stack = (uint64_t)stacks[cpu] + sizeof(stacks[cpu]);

		if (psci(PSCI_CPU_ON, cpu, (uint64_t)secondary_start, stack) == 0)
			started++;
	}
	work();
	while (finished < started)
		;
	put_line("processors: ", started + 1);
	put_line("counter: ", counter);
	put(counter == (uint64_t)ROUNDS * (started + 1) ? "smp: all well\n" : "smp: LOST\n");
	put(unlocked <= counter ? "" : "smp: unlocked counter too large\n");
	return 0;
}
