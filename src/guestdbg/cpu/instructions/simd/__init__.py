"""Advanced SIMD (C4.1.96): vectors, and scalars in SIMD registers.

There are more than fifteen modules because each has one group of the instructions.

simd_common              operands, results (.pxd only)
lanes                    the elements of a 64-bit word (.pxd only)
host_simd                two operations that the host may have an instruction for (.pxd only)
copy                     DUP, INS, SMOV, UMOV
immediate                MOVI, MVNI, ORR, BIC, FMOV of an immediate
permute                  ZIP, UZP, TRN, EXT
table                    TBL, TBX
shift_common             what the shift_* modules share (.pxd only)
shift_immediate          SHL, USHR, SSHR, USRA, SSRA, SLI, SRI
shift_rounding           URSHR, SRSHR, URSRA, SRSRA
shift_saturating         SQSHL, UQSHL, SQSHLU
shift_long               SSHLL, USHLL
shift_narrow             SHRN, RSHRN
shift_narrow_saturating  SQSHRN and the others that saturate
polynomial               PMULL
fp_shape                 format and number of elements of the fp_* modules, decoding (.pxd only)
fp_lanes_common          when the host computes whole vectors as Arm defines it (.pxd only)
fp_lanes                 arithmetic of whole vectors by the host (.pxd only)
fp_lanes_compare         comparison, maximum, minimum of whole vectors by the host (.pxd only)
fp_lanes_convert         conversions and rounding of whole vectors by the host (.pxd only)
fp_each                  element by element: what fits all operands and modes
fp_functions             functions of one element that only SIMD has
fp_same                  FADD, FMLA and the others with three registers of the same kind
fp_misc                  FABS, FSQRT, comparison with zero, FRINT, estimates
fp_convert               FCVT, SCVTF, UCVTF
fp_element               FMUL, FMULX, FMLA, FMLS by element
fp_long                  FMLAL, FMLSL
fp_across                FMAXV, FMINV, scalar FADDP and FMAXP
fp_complex               FCADD, FCMLA
int_lanes                lanes of integers, results, saturation (.pxd only)
int_rows                 how instructions on integers are decoded
int_logic                AND, BSL and so on
int_same                 three registers with lanes of one size
int_saturating           additions and negations that saturate
int_shift_register       shifts by register
int_pairwise             neighbouring lanes
int_across               one result from all lanes
int_misc                 one source: comparisons with zero, counts of bits, reversals
int_long                 results twice as wide as the sources
int_narrow               results half as wide as the sources
int_element              MUL, MLA, MLS by element
int_doubling             products that are doubled and saturated
int_dot                  SDOT, UDOT
"""
