/*
 * Entry at EL1 with the MMU off: set the stack, clear .bss, run the program, power off by PSCI.
 * At `finished` the checksum is in memory; Unicorn, which has no PSCI, stops there.
 */
	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	mov	sp, x1
	adrp	x1, bss_start
	add	x1, x1, :lo12:bss_start
	adrp	x2, bss_end
	add	x2, x2, :lo12:bss_end
1:	cmp	x1, x2
	b.hs	2f
	str	xzr, [x1], #8
	b	1b
2:	adrp	x19, rounds
	ldr	x0, [x19, :lo12:rounds]
	bl	program
	adrp	x1, checksum
	str	x0, [x1, :lo12:checksum]
	.global finished
finished:
	movz	w0, #0x8400, lsl #16	/* SYSTEM_OFF, 0x84000008 */
	movk	w0, #0x0008
	hvc	#0
	b	.
	.size _start, . - _start

	/* Each program is assembled with its own number of rounds. */
	.data
	.balign 8
	.global rounds
	.type rounds, %object
rounds:	.xword	ROUNDS
	.size rounds, 8
	.global checksum
	.type checksum, %object
checksum: .xword 0
	.size checksum, 8
