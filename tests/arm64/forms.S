	.arch armv8.5-a+crypto
	.text
	.balign	8
	.global forms
	.type forms, %function
// Executed one by one; after each, the registers and memory are compared with what is said of it.
// x0: 256 bytes of memory; v0 to v31 and x1 to x17 have different bytes everywhere.
forms:
	mov	x1, x2
	mov	w1, w3
	mov	x4, sp
	mov	x5, xzr
	movz	x1, #0x1234, lsl #16
	movk	x1, #0x5678, lsl #32
	movk	w3, #0x9abc
	movn	x6, #7
	mov	x7, #0xff00ff00ff00ff00
	adr	x8, forms
	adrp	x8, forms
	uxtb	w9, w10
	uxth	w9, w11
	sxtb	x9, w12
	sxth	w9, w13
	sxtw	x9, w14
	ubfx	x9, x15, #16, #24
	ubfx	x9, x15, #15, #24
	sbfx	x9, x15, #8, #16
	ubfiz	x9, x16, #24, #16
	sbfiz	x9, x16, #32, #8
	bfi	x9, x10, #16, #16
	bfxil	x9, x11, #40, #8
	bfi	w9, w10, #8, #8
	lsl	x9, x12, #24
	lsr	x9, x12, #40
	asr	x9, x12, #16
	ror	x9, x12, #8
	extr	x9, x12, x13, #24
	extr	w9, w12, w13, #16
	extr	w9, w12, w13, #15
	orr	x9, xzr, x10, lsl #16
	orr	x9, xzr, x10, lsr #16
	orr	w9, wzr, w10, asr #8
	orr	x9, xzr, x10, ror #24
	orr	x9, x10, x11
	and	w9, w10, #0xff
	and	x9, x10, #0xffff
	and	x9, x10, #0xffffffff
	and	x9, x10, #0xff00ff00ff00ff00
	and	x9, x10, #7
	ands	x9, x10, #0xff
	eor	x9, x10, #0xff
	cmp	x1, x1
	csel	x9, x10, x11, eq
	csel	x9, x10, x11, ne
	csel	w9, w10, w11, ge
	csinc	x9, x10, x11, eq
	csinc	x9, x10, x11, ne
	csinv	x9, x10, x11, ne
	csneg	x9, x10, x11, ne
	cset	x9, eq
	csetm	w9, ne
	cmn	x1, x2
	csel	x9, x10, x11, hi
	csel	x9, x10, x11, ls
	csel	x9, x10, x11, mi
	csel	x9, x10, x11, vs
	csel	x9, x10, x11, gt
	csel	x9, x10, x11, le
	csel	x9, x10, x11, cs
	csel	x9, x10, x11, al
	ccmp	x1, x2, #3, ne
	ccmn	w1, #2, #3, eq
	adc	x9, x10, x11
	setf8	w3
	rmif	x3, #4, #7
	add	x9, x10, #0
	add	x9, sp, #0
	add	x9, x10, #1
	adds	xzr, x10, x11
	add	x9, x10, w11, uxtw
	mul	x9, x10, x11
	smulh	x9, x10, x11
	udiv	x9, x10, x11
	rev	x9, x10
	clz	x9, x10
	crc32x	w9, w10, x11
	mrs	x9, NZCV
	msr	NZCV, x9
	mrs	x9, CNTVCT_EL0
	nop
	// loads and stores
	ldr	x9, [x0]
	ldr	w9, [x0, #4]
	ldrh	w9, [x0, #2]
	ldrb	w9, [x0, #3]
	ldrsb	x9, [x0, #5]
	ldrsb	w9, [x0, #6]
	ldrsh	x9, [x0, #10]
	ldrsh	w9, [x0, #12]
	ldrsw	x9, [x0, #8]
	ldur	x9, [x0, #16]
	ldursw	x9, [x0, #24]
	ldr	x9, [x0], #8
	ldr	x9, [x0, #8]!
	sub	x0, x0, #16
	mov	x17, #2
	ldr	w9, [x0, x17, lsl #2]
	ldrsw	x9, [x0, w17, sxtw #2]
	ldr	x9, forms
	ldrsw	x9, forms
	ldr	s9, forms
	ldp	x9, x10, [x0]
	ldp	w9, w10, [x0, #16]
	ldpsw	x9, x10, [x0, #16]
	ldp	x9, x10, [x0], #16
	ldp	x9, x10, [x0, #-16]!
	ldnp	x9, x10, [x0]
	ldar	x9, [x0]
	ldarb	w9, [x0]
	ldapr	x9, [x0]
	ldtr	x9, [x0]
	prfm	pldl1keep, [x0]
	str	x10, [x0]
	str	wzr, [x0, #8]
	strh	w11, [x0, #2]
	strb	w12, [x0, #3]
	stur	x10, [x0, #24]
	stp	x11, x12, [x0, #32]
	stp	w11, w12, [x0, #48]
	stp	x11, xzr, [x0], #16
	stp	x11, x12, [x0, #-16]!
	stnp	x13, x14, [x0]
	stlr	x13, [x0]
	str	x10, [x0, x17, lsl #3]
	ldxr	x9, [x0]
	stxr	w10, x11, [x0]
	ldaxp	x9, x10, [x0]
	stlxp	w11, x12, x13, [x0]
	swp	x9, x10, [x0]
	swpb	w11, w12, [x0]
	ldadd	x9, x10, [x0]
	ldset	w9, w10, [x0]
	ldsmax	x9, xzr, [x0]
	ldr	x9, [x0]
	cas	x9, x10, [x0]
	cas	x9, x11, [x0]
	ldp	x12, x13, [x0]
	casp	x12, x13, x14, x15, [x0]
	// SIMD and floating point
	ldr	q1, [x0]
	ldr	d1, [x0, #8]
	ldr	s1, [x0, #4]
	ldr	h1, [x0, #2]
	ldr	b1, [x0, #1]
	ldur	q1, [x0, #16]
	ldp	q1, q2, [x0]
	ldp	d1, d2, [x0, #16]
	ldp	s1, s2, [x0, #16]
	str	q3, [x0]
	str	d3, [x0, #16]
	str	s3, [x0, #24]
	str	h3, [x0, #28]
	str	b3, [x0, #30]
	stp	q3, q4, [x0]
	stp	d3, d4, [x0, #32]
	ld1	{v1.16b}, [x0]
	ld1	{v1.8b, v2.8b}, [x0]
	ld1	{v1.4s, v2.4s, v3.4s}, [x0]
	ld1	{v30.2d, v31.2d, v0.2d, v1.2d}, [x0]
	ld2	{v1.16b, v2.16b}, [x0]
	ld2	{v1.4h, v2.4h}, [x0]
	ld3	{v1.4s, v2.4s, v3.4s}, [x0]
	ld4	{v1.2d, v2.2d, v3.2d, v4.2d}, [x0]
	ld4	{v1.8b, v2.8b, v3.8b, v4.8b}, [x0]
	ld1	{v1.b}[5], [x0]
	ld1	{v1.h}[3], [x0]
	ld1	{v1.s}[2], [x0]
	ld1	{v1.d}[1], [x0]
	ld2	{v1.h, v2.h}[6], [x0]
	ld3	{v1.s, v2.s, v3.s}[1], [x0]
	ld4	{v1.b, v2.b, v3.b, v4.b}[15], [x0]
	ld1r	{v1.4s}, [x0]
	ld2r	{v1.8b, v2.8b}, [x0]
	ld4r	{v1.2d, v2.2d, v3.2d, v4.2d}, [x0]
	st1	{v5.16b, v6.16b}, [x0]
	st1	{v5.8b, v6.8b, v7.8b}, [x0]
	st2	{v5.8h, v6.8h}, [x0]
	st3	{v5.16b, v6.16b, v7.16b}, [x0]
	st4	{v5.4s, v6.4s, v7.4s, v8.4s}, [x0]
	st1	{v5.b}[9], [x0]
	st1	{v5.s}[3], [x0]
	st1	{v5.d}[0], [x0]
	st2	{v5.h, v6.h}[4], [x0]
	st3	{v5.d, v6.d, v7.d}[1], [x0]
	ld1	{v1.16b}, [x0], #16
	sub	x0, x0, #16
	mov	v1.16b, v9.16b
	mov	v1.8b, v9.8b
	orr	v1.16b, v9.16b, v10.16b
	fmov	d1, d9
	fmov	s1, s9
	fmov	x9, d9
	fmov	w9, s9
	fmov	d1, x10
	fmov	s1, w10
	fmov	x9, v9.d[1]
	fmov	v1.d[1], x10
	fmov	d1, #1.5
	fmov	v1.4s, #2.0
	movi	v1.16b, #0x5a
	movi	v1.2d, #0xff00ff00ff00ff00
	movi	v1.4s, #0x12, lsl #8
	mvni	v1.4s, #3
	orr	v1.4s, #0x12, lsl #8
	bic	v1.8h, #0x12
	umov	w9, v9.b[3]
	umov	w9, v9.h[5]
	umov	w9, v9.s[2]
	umov	x9, v9.d[1]
	smov	w9, v9.b[3]
	smov	x9, v9.h[5]
	smov	x9, v9.s[2]
	dup	v1.16b, v9.b[7]
	dup	v1.4s, v9.s[1]
	dup	v1.2d, v9.d[1]
	dup	v1.8b, w10
	dup	v1.2d, x10
	dup	b1, v9.b[4]
	dup	d1, v9.d[1]
	ins	v1.b[3], w10
	ins	v1.h[2], w10
	ins	v1.s[3], w10
	ins	v1.d[0], x10
	ins	v1.b[1], v9.b[14]
	ins	v1.h[7], v9.h[3]
	ins	v1.s[2], v9.s[3]
	ins	v1.d[1], v9.d[0]
	ext	v1.16b, v9.16b, v10.16b, #5
	add	v1.4s, v9.4s, v10.4s
	fadd	d1, d9, d10
	fcmp	d9, d10
	fccmp	d9, d10, #0, eq
	fcsel	d1, d9, d10, eq
	scvtf	d1, x10
	fcvtzs	x9, d9
	fcvtas	w9, s9
	scvtf	d1, x10, #4
	fcvtzu	x9, d9, #4
	tbl	v1.16b, {v9.16b}, v10.16b
	aese	v1.16b, v9.16b
	sha256su0 v1.4s, v9.4s
	paciza	x9
	xpaci	x9
	pacga	x9, x10, x11
	paciasp
	autiasp
	bl	1f
1:	adr	x9, 2f
	blr	x9
2:	cbz	x9, forms
	tbnz	x9, #0, 3f
3:	ret	x16
	.size forms, . - forms
