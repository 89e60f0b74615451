/*
 * Every exception builds a struct frame (guest.h) on the stack, calls exception(frame), restores the
 * registers from the frame and returns. SP_EL1 is always used, also for exceptions from EL0.
 */
	.macro	entry
	.balign	0x80
	sub	sp, sp, #288
	stp	x0, x1, [sp]
	b	save
	.endm

	.cfi_sections .debug_frame
	.text
	.balign	0x800
	.global	vectors
vectors:
	.rept	16
	entry
	.endr

	.type	save, %function
save:
	.cfi_startproc
	.cfi_undefined x30	/* the interrupted code is not a caller: backtraces end here */
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	mrs	x0, SP_EL0
	stp	x30, x0, [sp, #240]
	mrs	x0, ELR_EL1
	mrs	x1, SPSR_EL1
	stp	x0, x1, [sp, #256]
	mrs	x0, ESR_EL1
	mrs	x1, FAR_EL1
	stp	x0, x1, [sp, #272]
	mov	x29, xzr
	mov	x0, sp
	bl	exception
	ldp	x0, x1, [sp, #256]
	msr	ELR_EL1, x0
	msr	SPSR_EL1, x1
	ldp	x30, x0, [sp, #240]
	msr	SP_EL0, x0
	ldp	x28, x29, [sp, #224]
	ldp	x26, x27, [sp, #208]
	ldp	x24, x25, [sp, #192]
	ldp	x22, x23, [sp, #176]
	ldp	x20, x21, [sp, #160]
	ldp	x18, x19, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp]
	add	sp, sp, #288
	eret
	.cfi_endproc
	.size	save, . - save
