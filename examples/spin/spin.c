/* Computes for ever and prints nothing: to try limits of time and instructions with. */
#include "guest.h"

volatile uint64_t turns;

int main(void)
{
	for (;;)
		turns++;
}
