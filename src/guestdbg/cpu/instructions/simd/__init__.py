"""Advanced SIMD (C4.1.96): vectors, and scalars in SIMD registers.

simd_common   operands, results (.pxd only)
"""
