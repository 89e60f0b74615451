/*
 * Runs with the MMU off at the load address: makes page tables, then jumps to the linked address.
 * 4 KiB granule, 39-bit addresses in both halves (three levels). TTBR1 maps the lowest 2 GiB as two
 * blocks: devices, and RAM. TTBR0 is left for the EL0 program; until the jump it identity-maps RAM.
 */
#define KERNEL		0xffffff8000000000

/* AttrIndx 0 is normal write-back memory, 1 is device nGnRnE (MAIR below). */
#define BLOCK_RAM	0x0000000040000701	/* AF, inner shareable, read/write at EL1 */
#define BLOCK_DEVICE	0x0060000000000405	/* AF, UXN, PXN */
#define MAIR		0x00000000000000ff
#define TCR		0x00000002b5193519	/* T0SZ=T1SZ=25, 4K/4K, WBWA, inner shareable, IPS=40 */
#define SCTLR_SET	0x1005			/* M, C, I */

	.cfi_sections .debug_frame
	.section .boot, "ax"
	.global _start
	.type _start, %function
_start:
	adrp	x0, boot_tables
	mov	x1, x0
	add	x2, x0, #0x2000
1:	str	xzr, [x1], #8
	cmp	x1, x2
	b.lo	1b

	ldr	x1, =BLOCK_DEVICE
	str	x1, [x0]		/* upper half: 0 */
	ldr	x2, =BLOCK_RAM
	str	x2, [x0, #8]		/* upper half: 1 GiB */
	add	x3, x0, #0x1000
	str	x2, [x3, #8]		/* lower half: identity map for the next few instructions */
	dsb	sy

	msr	TTBR1_EL1, x0
	msr	TTBR0_EL1, x3
	ldr	x1, =MAIR
	msr	MAIR_EL1, x1
	ldr	x1, =TCR
	msr	TCR_EL1, x1
	tlbi	vmalle1
	dsb	sy
	isb
	mrs	x1, SCTLR_EL1
	mov	x2, #SCTLR_SET
	orr	x1, x1, x2
	msr	SCTLR_EL1, x1
	isb
	ldr	x1, =upper
	br	x1
	.size _start, . - _start
	.ltorg

	.balign	4096
	.global	boot_tables
boot_tables:
	.zero	0x2000

	.section .text.start, "ax"
	.type upper, %function
upper:
	.cfi_startproc
	.cfi_undefined x30
	ldr	x1, =stack_top
	msr	SPSel, #1
	mov	sp, x1
	ldr	x1, =vectors
	msr	VBAR_EL1, x1
	isb
	ldr	x1, =bss_start
	ldr	x2, =bss_end
1:	cmp	x1, x2
	b.hs	2f
	str	xzr, [x1], #8
	b	1b
2:	mov	x29, xzr
	mov	x30, xzr
	bl	main
	b	power_off
	.cfi_endproc
	.size upper, . - upper
	.ltorg

	.text
	.global power_off
	.type power_off, %function
power_off:
	movz	w0, #0x8400, lsl #16
	movk	w0, #0x0008
	hvc	#0
	b	.
	.size power_off, . - power_off

/* void user_enter(uint64_t pc, uint64_t sp): enters EL0; the SVC that ends it returns by user_leave. */
	.global user_enter
	.type user_enter, %function
user_enter:
	stp	x29, x30, [sp, #-96]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	msr	ELR_EL1, x0
	msr	SP_EL0, x1
	msr	SPSR_EL1, xzr
	adrp	x2, user_sp
	mov	x3, sp
	str	x3, [x2, :lo12:user_sp]
	eret
	.size user_enter, . - user_enter

	.global user_leave
	.type user_leave, %function
user_leave:
	adrp	x2, user_sp
	ldr	x3, [x2, :lo12:user_sp]
	mov	sp, x3
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret
	.size user_leave, . - user_leave

	.bss
	.balign	8
user_sp:
	.zero	8

/*
 * The EL0 program: adds up the words of its data page into user_total, asks the kernel to print it
 * (SVC #1, value in x0), accesses memory that it may not (the kernel reports and skips it), and
 * ends (SVC #0).
 */
	.section .user, "ax"
	.global user_start
	.type user_start, %function
user_start:
	.cfi_startproc
	.cfi_undefined x30
	ldr	x1, =0x401000
	mov	x0, xzr
	mov	x2, #16
user_loop:
	ldr	x3, [x1, x2, lsl #3]
	add	x0, x0, x3
	str	x0, [x1]
	subs	x2, x2, #1
	b.ne	user_loop
	svc	#1
	ldr	x4, =KERNEL + 0x40200000
	ldr	x5, [x4]		/* no access from EL0: permission fault */
	ldr	x5, =0x402000
	str	x5, [x5]		/* not mapped: translation fault */
	svc	#0
	.cfi_endproc
	.size user_start, . - user_start
	.ltorg
