"""Scalar floating point (C4.1.96).

fp_common       operands, results, decoding (.pxd only)
fp_slow         the same without the host's arithmetic
fp_arithmetic   two and three sources, FSQRT
fp_move         FMOV, FABS, FNEG, FCSEL
fp_compare      FCMP, FCMPE, FCCMP, FCCMPE
fp_integer      conversion from and to integers and fixed point
fp_round        FCVT, FRINT*
"""
