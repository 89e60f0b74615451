"""Floating-point arithmetic as Arm defines it (A1.5; pseudocode FPAdd, FPMul, FPToFixed, …).

formats      the three formats, FPCR and FPSR (.pxd only)
unpacked     a value taken apart; flushing and NaNs (.pxd only)
rounding     rounding to a format, the end of every operation (.pxd only)
arithmetic   add, multiply, divide, square root, fused multiply-add, reciprocal steps
compare      comparison, maximum, minimum
convert      between formats, integers and fixed point; rounding to an integral value
estimate     reciprocal and square root estimates
host         the host's arithmetic, and where it gives the same bits and flags (.pxd only)
host_control the host's control register during a run (.pxd only)

Values are the bits of an element in the low bits of a uint64_t, the rest zero. `fmt` is the format:
the log2 of its bytes (HALF, SINGLE, DOUBLE). The functions read FPCR and accumulate into FPSR.
Half precision is the IEEE format; only fp_to_fp knows the alternative one (FPCR.AHP).
"""
