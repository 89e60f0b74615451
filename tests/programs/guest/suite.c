/* A program of bench/suite, which the tests build with vector instructions: its checksum. */
#include "guest.h"

uint64_t program(uint64_t rounds);

int main(void)
{
	printf("%016llx\n", (ull)program(2));
	return 0;
}
