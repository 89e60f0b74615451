/* The smallest guest: it prints one line and powers off. */
#include "guest.h"

int main(void)
{
	put("Hello from EL");
	put_dec(read_sysreg(CurrentEL) >> 2);
	put("\n");
	return 0;
}
