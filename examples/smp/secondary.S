/* The entry of processors that PSCI CPU_ON starts: x0, the context argument, is the stack. */
	.cfi_sections .debug_frame
	.text
	.global secondary_start
	.type secondary_start, %function
secondary_start:
	.cfi_startproc
	.cfi_undefined x30
	msr	SPSel, #1
	mov	sp, x0
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	VBAR_EL1, x1
	isb
	mov	x29, xzr
	mov	x30, xzr
	bl	secondary_main
	b	.
	.cfi_endproc
	.size secondary_start, . - secondary_start
