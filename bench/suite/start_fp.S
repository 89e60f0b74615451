/* Enable SIMD and FP (CPACR_EL1.FPEN), then start as the other programs do. */
#define _start enabled
#include "start.S"
#undef _start

	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	mov	x0, #3 << 20
	msr	CPACR_EL1, x0
	isb
	b	enabled
	.size _start, . - _start
