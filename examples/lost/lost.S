/*
 * Jumps into nothing with no exception vectors set up: VBAR_EL1 points at nothing either, so that
 * the fetch of the handler faults too, for ever, and not one more instruction is
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
