/*
 * Jumps to an address without memory. VBAR_EL1 is not set and points to an address without memory,
 * too, so the fetch of the handler faults again, for ever: no further instruction is
 * executed.
 */
	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	movz	x0, #0x0b00, lsl #16
	msr	VBAR_EL1, x0
	isb
	.global into_nothing
into_nothing:
	br	x0
	.size _start, . - _start
