#include "guest.h"

/* The default handler: print the exception and power off. */
__attribute__((weak)) void exception(struct frame *frame)
{
	put("unexpected exception: ESR_EL1 ");
	put_hex(frame->esr);
	put(" ELR_EL1 ");
	put_hex(frame->elr);
	put(" FAR_EL1 ");
	put_hex(frame->far);
	put("\n");
	power_off();
}
