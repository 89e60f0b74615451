/*
 * Arm's semihosting (version 2.0): the operation number in W0, a block of 64-bit fields at X1, and
 * HLT #0xF000; the result is in X0.
 */
#ifndef CALL_H
#define CALL_H

#include <stdint.h>

enum {
	SYS_OPEN = 0x01,
	SYS_CLOSE = 0x02,
	SYS_WRITE0 = 0x04,
	SYS_WRITE = 0x05,
	SYS_READ = 0x06,
	SYS_READC = 0x07,
	SYS_FLEN = 0x0c,
	SYS_REMOVE = 0x0e,
	SYS_ERRNO = 0x13,
	SYS_GET_CMDLINE = 0x15,
	SYS_EXIT = 0x18,
};

enum { READ = 0, WRITE = 4 };                /* modes of SYS_OPEN: "r" and "w" */
enum { APPLICATION_EXIT = 0x20026 };         /* ADP_Stopped_ApplicationExit */

static inline long semihosting(uint64_t operation, const void *block)
{
	register uint64_t x0 __asm__("x0") = operation;
	register const void *x1 __asm__("x1") = block;

	__asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
	return (long)x0;
}

#endif
