/* Works for ever and never says a word: what time and instruction limits are for. */
#include "guest.h"

volatile uint64_t turns;

int main(void)
{
	for (;;)
		turns++;
}
