# cython: language_level=3
"""The formats of floating-point values, and the fields of FPCR and FPSR (C5.2.8, C5.2.10)."""

cdef enum:                 # fmt: log2 of the bytes
    HALF = 1
    SINGLE = 2
    DOUBLE = 3

cdef enum:                 # FPSR
    FPSR_IOC = 1 << 0
    FPSR_DZC = 1 << 1
    FPSR_OFC = 1 << 2
    FPSR_UFC = 1 << 3
    FPSR_IXC = 1 << 4
    FPSR_IDC = 1 << 7
    FPSR_QC = 1 << 27

cdef enum:                 # FPCR
    FPCR_FZ16 = 1 << 19
    FPCR_RMODE = 22        # bits 23..22
    FPCR_FZ = 1 << 24
    FPCR_DN = 1 << 25
    FPCR_AHP = 1 << 26

cdef enum:                 # rounding; the first four are FPCR.RMode's
    ROUND_TIEEVEN = 0
    ROUND_POSINF = 1
    ROUND_NEGINF = 2
    ROUND_ZERO = 3
    ROUND_TIEAWAY = 4
    ROUND_ODD = 5
    ROUND_FPCR = 6         # what FPCR.RMode says
