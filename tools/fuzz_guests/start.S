	.section .text.start, "ax"
	.global _start
	.type _start, %function
_start:	ldr	x0, =stack_top
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
	bl	main
	ldr	w0, =0x84000008		// PSCI SYSTEM_OFF
	hvc	#0
	b	.
	.size _start, . - _start
	.bss
	.balign 16
	.skip 0x1000
	.global stack_top
stack_top:
