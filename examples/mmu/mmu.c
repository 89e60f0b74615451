/*
 * A small kernel: it runs in the upper half of the address space through TTBR1, maps two pages
 * for a program at EL0 through TTBR0, runs it, serves its SVCs and reports its faults.
 */
#include "guest.h"

#define KERNEL 0xffffff8000000000ul
#define USER_CODE 0x400000ul
#define USER_DATA 0x401000ul

#define TABLE 3ul
#define PAGE 3ul
#define AF (1ul << 10)
#define INNER_SHAREABLE (3ul << 8)
#define NOT_GLOBAL (1ul << 11)
#define EL0_READ_WRITE (1ul << 6)
#define EL0_READ_ONLY (3ul << 6)
#define UXN (1ul << 54)
#define PXN (1ul << 53)
#define PAGE_USER (PAGE | AF | INNER_SHAREABLE | NOT_GLOBAL | PXN)

void user_enter(uint64_t pc, uint64_t sp);
void user_leave(void);
extern char user_load[];

static uint64_t level1[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t user_data[512] __attribute__((aligned(4096)));

volatile uint64_t syscalls;
volatile uint64_t user_faults;

static uint64_t physical(const void *address)
{
	return (uint64_t)address - KERNEL;
}

static void map_user(void)
{
	level1[0] = physical(level2) | TABLE;
	level2[2] = physical(level3) | TABLE;
	level3[0] = (uint64_t)user_load | PAGE_USER | EL0_READ_ONLY;
	level3[1] = physical(user_data) | PAGE_USER | EL0_READ_WRITE | UXN;
	__asm__ volatile("dsb sy" ::: "memory");
	write_sysreg(TTBR0_EL1, physical(level1) | (1ul << 48)); /* ASID 1 */
	__asm__ volatile("tlbi vmalle1\n\tdsb sy\n\tisb" ::: "memory");
}

static __attribute__((noinline)) void serve(struct frame *frame)
{
	syscalls++;
	switch (frame->esr & 0xffff) {
	case 0:
		frame->elr = (uint64_t)user_leave;
		frame->spsr = 0x3c5; /* EL1, SP_EL1, all exceptions masked */
		break;
	case 1:
		put_line("EL0 says ", frame->x[0]);
		break;
	}
}

void exception(struct frame *frame)
{
	uint64_t ec = ESR_EC(frame->esr);

	if (ec == 0x15) {
		serve(frame);
		return;
	}
	put("exception class ");
	put_hex(ec);
	put(", status ");
	put_hex(frame->esr & 0x3f);
	put(", address ");
	put_hex(frame->far);
	put("\n");
	if (ec != 0x24)
		power_off();
	user_faults++;
	frame->elr += 4;
}

int main(void)
{
	put("mmu: on, running at the upper half\n");
	for (uint64_t i = 1; i <= 16; i++)
		user_data[i] = i * i;
	map_user();
	user_enter(USER_CODE, USER_DATA + 4096);
	put_line("system calls: ", syscalls);
	put_line("faults at EL0: ", user_faults);
	put_line("total: ", user_data[0]);
	return 0;
}
