/* The smallest guest there is: one line on the console, and off. */
#include "guest.h"

int main(void)
{
	put("Hello from EL");
	put_dec(read_sysreg(CurrentEL) >> 2);
	put("\n");
	return 0;
}
