/* Prints lines for ever. */
#include "guest.h"

int main(void)
{
	for (uint64_t line = 0;; line++)
		put_line("flood: line ", line);
}
