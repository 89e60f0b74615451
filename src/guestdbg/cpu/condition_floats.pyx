# cython: language_level=3
"""Floating-point operations of conditions, on the bits of double-precision values.

They are Python's: rounding to nearest, its floor division and modulo, and exact comparisons of integers
with floating-point values. No operation here sets FPSR.

This is a module of its own so that the loop over a condition's operations (conditions.pyx), most of which
compute with integers, does not become slower by what it seldom calls.
"""
from guestdbg.cpu.conditions cimport *


cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    static inline double guestdbg_as_double(guestdbg_s128 bits)
    {
        uint64_t low = (uint64_t)bits;
        double value;
        memcpy(&value, &low, 8);
        return value;
    }
    static inline guestdbg_s128 guestdbg_bits_of(double value)
    {
        uint64_t bits;
        memcpy(&bits, &value, 8);
        return (guestdbg_s128)(guestdbg_u128)bits;
    }
    /* From IEEE 754 half or single precision, exactly. bytes: 2, 4 or 8. */
    static guestdbg_s128 guestdbg_widen(guestdbg_s128 value, uint32_t bytes)
    {
        uint64_t bits = (uint64_t)value;
        if (bytes == 4) {
            uint32_t low = (uint32_t)bits;
            float single;
            memcpy(&single, &low, 4);
            return guestdbg_bits_of((double)single);
        }
        if (bytes == 2) {
            uint64_t sign = (bits & 0x8000) << 48, fraction = bits & 0x3ff;
            uint32_t exponent = (uint32_t)(bits >> 10) & 31;
            double denormal;
            if (exponent == 31)
                return (guestdbg_s128)(guestdbg_u128)(sign | 0x7ff0000000000000 | fraction << 42);
            if (exponent)
                return (guestdbg_s128)(guestdbg_u128)
                    (sign | (uint64_t)(exponent + 1023 - 15) << 52 | fraction << 42);
            denormal = (double)fraction * 0x1p-24;
            return guestdbg_bits_of(sign ? -denormal : denormal);
        }
        return (guestdbg_s128)(guestdbg_u128)bits;
    }
    static inline guestdbg_s128 guestdbg_from_integer(guestdbg_s128 value)
    {
        return guestdbg_bits_of((double)value);
    }
    /* What Python computes for x // y and x % y; y is not 0. */
    static guestdbg_s128 guestdbg_float_divide(double x, double y, int modulo)
    {
        double rest = fmod(x, y);
        double quotient = (x - rest) / y, whole;
        if (rest != 0) {
            if ((y < 0) != (rest < 0)) {
                rest += y;
                quotient -= 1.0;
            }
        } else {
            rest = copysign(0.0, y);
        }
        if (modulo)
            return guestdbg_bits_of(rest);
        if (quotient == 0)
            return guestdbg_bits_of(copysign(0.0, x / y));
        whole = floor(quotient);
        if (quotient - whole > 0.5)
            whole += 1.0;
        return guestdbg_bits_of(whole);
    }
    /* -1, 0 or 1 as the integer is below, equal to or above the value; 2: that is not a number. */
    static guestdbg_s128 guestdbg_compare(guestdbg_s128 integer, double value)
    {
        guestdbg_s128 whole;
        if (value != value)
            return 2;
        if (value >= 0x1p127)
            return -1;
        if (value < -0x1p127)
            return 1;
        whole = (guestdbg_s128)value;      /* towards zero */
        if (integer != whole)
            return integer < whole ? -1 : 1;
        return (double)whole < value ? -1 : (double)whole > value;
    }
    /* Whether a double holds the integer for certain. */
    #define guestdbg_is_exact(a) ((a) <= (guestdbg_s128)1 << 53 && (a) >= -((guestdbg_s128)1 << 53))
    """
    double as_double "guestdbg_as_double"(s128 bits) nogil
    s128 bits_of "guestdbg_bits_of"(double value) nogil
    s128 widen "guestdbg_widen"(s128 value, uint32_t bytes) nogil
    s128 from_integer "guestdbg_from_integer"(s128 value) nogil
    s128 float_divide "guestdbg_float_divide"(double x, double y, int modulo) nogil
    s128 compare_with_float "guestdbg_compare"(s128 integer, double value) nogil
    bint is_exact "guestdbg_is_exact"(s128 value) nogil


cdef s128 float_unary(uint32_t op, s128 a, uint32_t size) noexcept nogil:
    return widen(a, size) if op == WIDEN else from_integer(a)


cdef s128 float_binary(uint32_t op, s128 a, s128 b, bint* ok) noexcept nogil:
    """ok becomes False where Python raises an exception, or rounds in another way."""
    cdef double x = as_double(a)
    cdef double y = as_double(b)
    if op == FADD:
        return bits_of(x + y)
    elif op == FSUB:
        return bits_of(x - y)
    elif op == FMUL:
        return bits_of(x * y)
    elif op == FDIV or op == FFLOORDIV or op == FMOD:
        if y == 0:
            ok[0] = False
            return 0
        return bits_of(x / y) if op == FDIV else float_divide(x, y, op == FMOD)
    elif op == TRUEDIV:
        # Python rounds the quotient of two integers once, however large they are.
        if b == 0 or not is_exact(a) or not is_exact(b):
            ok[0] = False
            return 0
        return bits_of(<double>a / <double>b)
    elif op == COMPARE_FLOAT:
        return compare_with_float(a, y)
    elif op == FEQ:
        return x == y
    elif op == FNE:
        return x != y
    elif op == FLT:
        return x < y
    elif op == FLE:
        return x <= y
    elif op == FGT:
        return x > y
    else:
        return x >= y
