/*
 * A guest that debugs itself: breakpoint, watchpoints, software step and BRK at EL1, handled by its
 * own exception handler. It prints whether each worked. A hypervisor that debugs the guest from
 * outside must restore the guest's debug registers afterwards.
 */
#include "guest.h"

#define MDSCR_SS (1ul << 0)
#define MDSCR_KDE (1ul << 13)
#define MDSCR_MDE (1ul << 15)

/* E (enable), PMC/PAC 01 (EL1), BAS 0xff or 0xf (whole), and for watchpoints LSC. */
#define BCR_EL1 ((0xful << 5) | (1ul << 1) | 1)
#define WCR_EL1(lsc, bas) (((uint64_t)(bas) << 5) | ((uint64_t)(lsc) << 3) | (1ul << 1) | 1)
#define WCR_LOAD 1
#define WCR_STORE 2

#define SPSR_SS (1ul << 21)
#define SPSR_D (1ul << 9)

#define EC_BREAKPOINT 0x31
#define EC_STEP 0x33
#define EC_WATCHPOINT 0x35
#define EC_BRK 0x3c

volatile uint64_t watched[2];
static volatile uint64_t hits, last_ec, last_esr, last_far, last_elr, steps_wanted, steps_taken;
static int good = 1;

void exception(struct frame *frame)
{
	uint64_t mdscr = read_sysreg(MDSCR_EL1);

	last_ec = ESR_EC(frame->esr);
	last_esr = frame->esr;
	last_far = frame->far;
	last_elr = frame->elr;
	switch (last_ec) {
	case EC_BREAKPOINT:
		hits++;
		write_sysreg(DBGBCR0_EL1, 0); /* disable it, or it would hit again */
		break;
	case EC_WATCHPOINT:
		hits++;
		write_sysreg(DBGWCR0_EL1, 0);
		break;
	case EC_STEP:
		steps_taken++;
		if (steps_taken < steps_wanted) {
			frame->spsr |= SPSR_SS;
		} else {
			write_sysreg(MDSCR_EL1, mdscr & ~MDSCR_SS);
			frame->spsr &= ~SPSR_SS;
		}
		break;
	case EC_BRK:
		hits++;
		if ((frame->esr & 0xffff) == 0x57e9) { /* the BRK that starts single-stepping */
			write_sysreg(MDSCR_EL1, mdscr | MDSCR_SS);
			frame->spsr |= SPSR_SS;
			frame->spsr &= ~SPSR_D;
		}
		frame->elr += 4;
		break;
	default:
		put("unexpected: ESR_EL1 ");
		put_hex(frame->esr);
		put("\n");
		power_off();
	}
}

static void check(const char *what, int ok)
{
	put(what);
	put(ok ? ": yes\n" : ": NO\n");
	if (!ok)
		good = 0;
}

__attribute__((noinline)) void target(void)
{
	__asm__ volatile("nop");
}

int main(void)
{
	uint64_t dfr0 = read_sysreg(ID_AA64DFR0_EL1);
	uint64_t value;

	put_line("breakpoints: ", ((dfr0 >> 12) & 15) + 1);
	put_line("watchpoints: ", ((dfr0 >> 20) & 15) + 1);

	write_sysreg(OSLAR_EL1, 0);
	write_sysreg(MDSCR_EL1, MDSCR_MDE | MDSCR_KDE);
	__asm__ volatile("msr DAIFClr, #8\n\tisb");

	hits = 0;
	write_sysreg(DBGBVR0_EL1, (uint64_t)&target);
	write_sysreg(DBGBCR0_EL1, BCR_EL1);
	check("register keeps its value", read_sysreg(DBGBVR0_EL1) == (uint64_t)&target);
	target();
	check("breakpoint", hits == 1 && last_ec == EC_BREAKPOINT && last_elr == (uint64_t)&target);

	hits = 0;
	write_sysreg(DBGWVR0_EL1, (uint64_t)&watched[0]);
	write_sysreg(DBGWCR0_EL1, WCR_EL1(WCR_STORE, 0xff));
	value = watched[0];
	watched[1] = 1;
	check("no hit on a load, nor beside", hits == 0);
	watched[0] = value + 5;
	check("watchpoint on a store", hits == 1 && last_ec == EC_WATCHPOINT &&
					       last_far == (uint64_t)&watched[0] && (last_esr & 0x40));
	check("the store is done after it", watched[0] == value + 5);

	hits = 0;
	write_sysreg(DBGWVR0_EL1, (uint64_t)&watched[0]);
	write_sysreg(DBGWCR0_EL1, WCR_EL1(WCR_LOAD, 0xff));
	value = watched[0];
	check("watchpoint on a load", hits == 1 && !(last_esr & 0x40) && value == 5);

	hits = 0;
	write_sysreg(DBGWCR0_EL1, WCR_EL1(WCR_STORE, 0xf0));
	*(volatile uint32_t *)&watched[0] = 7;
	check("no hit on bytes not selected", hits == 0);
	*((volatile uint32_t *)&watched[0] + 1) = 7;
	check("watchpoint on selected bytes", hits == 1);
	write_sysreg(DBGWCR0_EL1, 0);

	hits = 0;
	__asm__ volatile("brk #0x123");
	check("BRK", hits == 1 && last_ec == EC_BRK && (last_esr & 0xffff) == 0x123);

	steps_wanted = 3;
	steps_taken = 0;
	__asm__ volatile("brk #0x57e9\n\tnop\n\tnop\n\tnop\n\tnop" ::: "memory");
	check("software step", steps_taken == 3 && last_ec == EC_STEP);

	hits = 0;
	write_sysreg(DBGBCR0_EL1, BCR_EL1);
	__asm__ volatile("msr DAIFSet, #8\n\tisb");
	target();
	check("PSTATE.D masks", hits == 0);
	write_sysreg(DBGBCR0_EL1, 0);

	put(good ? "selfdebug: all well\n" : "selfdebug: FAILED\n");
	return 0;
}
