/*
 * A guest with faults, which it reports itself: it reads and writes an address without memory or
 * device, and jumps there. Its exception handler prints each abort and continues.
 */
#include "guest.h"

#define NOTHING 0x0b000000ul /* an address of the `virt` board without a device */

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
	/* After a fetch there is no instruction to skip: return to the caller. */
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
