/*
 * The benchmark loop: six instructions with one store and one load, MMU off. It runs
 * loop_count times (a doubleword of data, so that a debugger can set it before the start) and
 * powers off.
 */
#ifndef LOOP_COUNT
#define LOOP_COUNT 10000000
#endif

	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	adrp	x1, loop_count
	ldr	x4, [x1, :lo12:loop_count]
	adrp	x1, loop_data
	add	x1, x1, :lo12:loop_data
	mov	x0, xzr
	mov	x3, xzr
	.global loop
loop:
	add	x0, x0, #1
	str	x0, [x1]
	ldr	x2, [x1, #64]
	eor	x3, x3, x2
	cmp	x0, x4
	b.lt	loop

	.global loop_done
loop_done:
	movz	w0, #0x8400, lsl #16	/* PSCI SYSTEM_OFF */
	movk	w0, #0x0008
	hvc	#0
	b	.
	.size _start, . - _start

	.data
	.balign	8
	.global	loop_count
	.type	loop_count, %object
	.size	loop_count, 8
loop_count:
	.quad	LOOP_COUNT

	.balign	4096
	.global	loop_data
	.type	loop_data, %object
	.size	loop_data, 4096
loop_data:
	.zero	4096
