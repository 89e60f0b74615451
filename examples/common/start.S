/*
 * Entry at EL1 with the MMU off: set the stack, clear .bss, set the vectors to vectors.S, call main,
 * and power off when it returns. The frame record of _start is the end of every backtrace.
 */
	.cfi_sections .debug_frame
	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	.cfi_startproc
	.cfi_undefined x30
	adrp	x1, stack_top
	add	x1, x1, :lo12:stack_top
	msr	SPSel, #1
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	VBAR_EL1, x1
	isb

	adrp	x1, bss_start
	add	x1, x1, :lo12:bss_start
	adrp	x2, bss_end
	add	x2, x2, :lo12:bss_end
1:	cmp	x1, x2
	b.hs	2f
	str	xzr, [x1], #8
	b	1b

2:	mov	x29, xzr
	mov	x30, xzr
	bl	main
	b	power_off
	.cfi_endproc
	.size _start, . - _start

/* PSCI SYSTEM_OFF (0x84000008), SMC calling convention, by HVC, as the device tree says. */
	.text
	.global power_off
	.type power_off, %function
power_off:
	movz	w0, #0x8400, lsl #16
	movk	w0, #0x0008
	hvc	#0
	b	.
	.size power_off, . - power_off
