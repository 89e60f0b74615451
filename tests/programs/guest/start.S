/*
 * Entry at EL1 with the MMU off: enable SIMD and FP, map memory one to one, clear .bss, set the thread
 * pointer (picolibc's errno is a thread-local variable), and exit with the result of main.
 *
 * The MMU is on because all data accesses are to Device memory while it is off, and an unaligned access
 * to Device memory faults: compilers emit such accesses, for vectors above all.
 */
	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:
	mov	x0, #3 << 20		/* CPACR_EL1.FPEN: no trap at EL1 and EL0 */
	msr	CPACR_EL1, x0
	adrp	x0, stack_top
	add	sp, x0, :lo12:stack_top
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	VBAR_EL1, x0

	movz	x0, #0x00ff		/* attribute 0: Normal, write-back; 1: Device-nGnRnE */
	msr	MAIR_EL1, x0
	/* T0SZ 25, 4 KiB granule, inner shareable write-back tables, no TTBR1, 36 bits of addresses */
	movz	x0, #0x3519
	movk	x0, #0x0080, lsl #16
	movk	x0, #0x0001, lsl #32
	msr	TCR_EL1, x0
	adrp	x0, map
	add	x0, x0, :lo12:map
	msr	TTBR0_EL1, x0
	isb
	mrs	x0, SCTLR_EL1
	mov	x1, #1 << 0 | 1 << 2	/* M, C */
	orr	x0, x0, x1
	orr	x0, x0, #1 << 12	/* I */
	bic	x0, x0, #1 << 1		/* A: unaligned accesses do not fault */
	msr	SCTLR_EL1, x0
	isb

	adrp	x1, bss_start
	add	x1, x1, :lo12:bss_start
	adrp	x2, bss_end
	add	x2, x2, :lo12:bss_end
1:	cmp	x1, x2
	b.hs	2f
	str	xzr, [x1], #8
	b	1b
2:	adrp	x0, thread_pointer
	add	x0, x0, :lo12:thread_pointer
	msr	TPIDR_EL0, x0
	mov	x29, xzr
	mov	x30, xzr
	bl	__libc_init_array
	bl	main
	bl	finish
	.size _start, . - _start

	/* Any exception is an error of the test; unexpected() prints it and exits. */
	.balign 2048
vectors:
	.rept 16
	.balign 128
	mrs	x0, ESR_EL1
	mrs	x1, ELR_EL1
	mrs	x2, FAR_EL1
	b	unexpected
	.endr

	.global semihosting
	.type semihosting, %function
semihosting:
	hlt	#0xf000
	ret
	.size semihosting, . - semihosting

	/* One block for each of the first two gigabytes: devices, and RAM. */
	.data
	.balign 4096
map:	.xword	0x0000000000000405 | 3 << 53
	.xword	0x0000000040000701
	.fill	510, 8, 0
