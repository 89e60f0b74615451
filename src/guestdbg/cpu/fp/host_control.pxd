# cython: language_level=3
"""The host's floating-point control register, which host.pxd relies on.

It belongs to the thread, and a library may have changed it: code compiled with -Ofast flushes denormals in
every thread that loads it. So it is set for a run, and put back afterwards.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <xmmintrin.h>
    #define GUESTDBG_CONTROL 0x1F80u   /* MXCSR: exceptions masked, to nearest, no FTZ, no DAZ */
    static inline uint64_t guestdbg_get_control(void) { return _mm_getcsr() & ~0x3Fu; }
    static inline void guestdbg_set_control(uint64_t value) { _mm_setcsr((unsigned)value); }
    #elif defined(__aarch64__) && defined(__GNUC__)
    #define GUESTDBG_CONTROL 0u        /* FPCR */
    static inline uint64_t guestdbg_get_control(void)
    {
        uint64_t value;
        __asm__ volatile("mrs %0, fpcr" : "=r"(value));
        return value;
    }
    static inline void guestdbg_set_control(uint64_t value) { __asm__ volatile("msr fpcr, %0" :: "r"(value)); }
    #else
    #define GUESTDBG_CONTROL 0u
    static inline uint64_t guestdbg_get_control(void) { return GUESTDBG_CONTROL; }
    static inline void guestdbg_set_control(uint64_t value) { (void)value; }
    #endif
    """
    const uint64_t DEFAULT_CONTROL "GUESTDBG_CONTROL"
    uint64_t get_control "guestdbg_get_control"() nogil
    void set_control "guestdbg_set_control"(uint64_t) nogil

cdef inline uint64_t begin_host_arithmetic() noexcept nogil:
    """To nearest, without flushing. Returns what end_host_arithmetic() needs."""
    cdef uint64_t was = get_control()
    if was != DEFAULT_CONTROL:
        set_control(DEFAULT_CONTROL)
    return was

cdef inline void end_host_arithmetic(uint64_t was) noexcept nogil:
    if was != DEFAULT_CONTROL:
        set_control(was)
