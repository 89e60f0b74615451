/*
 * What all example guests share: a console on the PL011 of QEMU's `virt` board, power-off through
 * PSCI, and exceptions that call a C function. No C library is needed.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdint.h>

/* Console (console.c): polled, no interrupts. */
void put_char(char c);
void put(const char *text);
void put_dec(uint64_t value);
void put_hex(uint64_t value);
void put_line(const char *text, uint64_t value); /* text, value in decimal, newline */

/* Power (start.S): PSCI SYSTEM_OFF by HVC. */
void power_off(void) __attribute__((noreturn));

/* Exceptions (vectors.S): the registers at the exception, restored before ERET. */
struct frame {
	uint64_t x[31];
	uint64_t sp_el0;
	uint64_t elr;
	uint64_t spsr;
	uint64_t esr;
	uint64_t far;
};

/* A guest may define this handler; the default prints the exception and powers off. */
void exception(struct frame *frame);

#define ESR_EC(esr) (((esr) >> 26) & 0x3f)

#define read_sysreg(name)                                                                          \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                       \
		value_;                                                                            \
	})
#define write_sysreg(name, value)                                                                  \
	__asm__ volatile("msr " #name ", %0\n\tisb" ::"r"((uint64_t)(value)) : "memory")

#endif
