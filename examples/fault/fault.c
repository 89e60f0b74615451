/*
 * A guest that goes wrong, and says so itself: it reads memory that is not there, writes to it, and
 * jumps into nothing. Its exception handler reports each and goes on.
 */
#include "guest.h"

#define NOTHING 0x0b000000ul /* between the devices of the `virt` board: nobody answers */

static volatile uint32_t faults;
static uint64_t resume;

void exception(struct frame *frame)
{
	faults++;
	put("  exception class ");
	put_hex(ESR_EC(frame->esr));
	put(", status ");
	put_hex(frame->esr & 0x3f);
	put(", at ");
	put_hex(frame->far);
	put("\n");
	/* A fetch has no instruction to step over: go back to who jumped. */
	frame->elr = ESR_EC(frame->esr) == 0x21 ? resume : frame->elr + 4;
}

static __attribute__((noinline)) void jump(uint64_t to)
{
	__asm__ volatile("adr	x9, 1f\n"
			 "	str	x9, %0\n"
			 "	br	%1\n"
			 "1:\n"
			 : "=m"(resume)
			 : "r"(to)
			 : "x9", "memory");
}

int main(void)
{
	put("reading nothing\n");
	(void)*(volatile uint32_t *)NOTHING;
	put("writing nothing\n");
	*(volatile uint32_t *)NOTHING = 1;
	put("jumping into nothing\n");
	jump(NOTHING);
	put_line("faults: ", faults);
	return 0;
}
