"""The instructions: for each a decoder, a function that executes it, and a row of the decode table.

A module's `install()` adds its rows. The functions read operands through cpu/operands.pxd only.

data_common           what the data_* modules share: flags, shifted operands (.pxd only)
data_imm              data processing with an immediate
data_arith            addition and subtraction of registers
data_logic            logic on registers
condition_codes       the conditions (.pxd only)
data_cond             conditional select and compare
data_flags            CFINV, RMIF, SETF8, SETF16
data_pauth            pointer authentication in registers
data_mul              one, two and three sources: bits, division, shifts, CRC32, multiplication
branch_common         what the next three share: links of the block, PSTATE.BTYPE (.pxd only)
branch                branches
fused_compare_branch  CMP with the B.cond after it, in one function
branch_pauth          branches to an authenticated address
mem_common            what the mem_* modules share: host memory, TLB lookup, checks (.pxd only)
mem_single            what mem_int and mem_reg share: one general-purpose register (.pxd only)
mem_slow              slow paths of loads and stores
mem_int               loads and stores of one register, base + immediate; prefetch
mem_reg               the same, base + register
mem_pair              pairs of registers
mem_fp                SIMD and FP registers
mem_struct_common     what the next two share: the shape, the test for plain memory (.pxd only)
mem_struct            LD1 to LD4, ST1 to ST4
mem_struct_slow       structures of several registers, and slow paths
mem_sync_slow         slow paths of the next two; the exclusive monitor
mem_excl              exclusives, load-acquire, store-release
mem_atomic            LSE atomics
mem_pauth             loads from an authenticated address
mem_zva               DC ZVA
fp                    scalar floating point
simd                  Advanced SIMD
crypto                AES, SHA
system_pstate         MSR (immediate) of PAN, UAO, DIT, SSBS
system                MRS, MSR, hints, barriers, exceptions, cache and TLB maintenance, AT

There are more than fifteen modules because each is a group of the Arm manual's encoding index
(C4.1), and because a slow path in its fast path's module would be inlined into it.
"""
