/* The console and the end of a program, by semihosting; what picolibc needs of a system. */
#include "guest.h"

#include <stdlib.h>
#include <string.h>

#define SYS_WRITE0 0x04
#define SYS_EXIT 0x18
#define ADP_STOPPED_APPLICATION_EXIT 0x20026

static char pending[4096];
static size_t length;

static void flush(void)
{
	pending[length] = 0;
	if (length)
		semihosting(SYS_WRITE0, pending);
	length = 0;
}

/* A call for each line would take most of the time. */
static int put(char character, FILE *file)
{
	(void)file;
	pending[length++] = character;
	if (length == sizeof(pending) - 1)
		flush();
	return (unsigned char)character;
}

static FILE console = FDEV_SETUP_STREAM(put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdout = &console;
FILE *const stderr = &console;

void finish(int status)
{
	uint64_t block[2] = { ADP_STOPPED_APPLICATION_EXIT, (uint64_t)status };

	flush();
	semihosting(SYS_EXIT, block);
	for (;;)
		;
}

void _exit(int status)
{
	finish(status);
}

void unexpected(uint64_t esr, uint64_t elr, uint64_t far)
{
	printf("unexpected exception: ESR %#llx ELR %#llx FAR %#llx\n", (unsigned long long)esr,
	       (unsigned long long)elr, (unsigned long long)far);
	finish(99);
}
