/* Functions that GCC may call by itself, even in a freestanding program. */
#include "suite.h"

void *memset(void *to, int value, size_t length)
{
	uint8_t *p = to;

	while (length--)
		*p++ = (uint8_t)value;
	return to;
}

void *memcpy(void *to, const void *from, size_t length)
{
	uint8_t *p = to;
	const uint8_t *q = from;

	while (length--)
		*p++ = *q++;
	return to;
}
