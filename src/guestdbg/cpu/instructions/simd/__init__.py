"""Advanced SIMD (C4.1.96): vectors, and scalars in SIMD registers.

simd_common              operands, results (.pxd only)
lanes                    the elements of a 64-bit word (.pxd only)
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
"""
