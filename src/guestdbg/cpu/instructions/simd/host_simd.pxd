# cython: language_level=3
"""Two operations for which some hosts have an instruction that compilers do not find: bytes looked up in a
register (x86's PSHUFB), and products of polynomials (PCLMULQDQ).

Whether the host has it is known at run time only. Those who use this have a way without it, too.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifndef GUESTDBG_HOST_SIMD
    #define GUESTDBG_HOST_SIMD
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>

    static int guestdbg_has_lookup(void) { return __builtin_cpu_supports("ssse3") != 0; }
    static int guestdbg_has_product(void) { return __builtin_cpu_supports("pclmul") != 0; }

    __attribute__((target("ssse3"), noinline))
    static void guestdbg_lookup(uint64_t *v, uint32_t d, uint32_t n, uint32_t m, uint32_t count, uint64_t upper)
    {
        const __m128i bias = _mm_set1_epi8(0x70), step = _mm_set1_epi8(16);
        __m128i index = _mm_loadu_si128((const __m128i *)&v[2 * m]), result = _mm_setzero_si128();
        for (;; n = (n + 1) & 31) {
            __m128i table = _mm_loadu_si128((const __m128i *)&v[2 * n]);
            /* 0 to 15 keep bit 7 clear; for the others it is set, and PSHUFB gives 0. */
            result = _mm_or_si128(result, _mm_shuffle_epi8(table, _mm_adds_epu8(index, bias)));
            if (--count == 0)
                break;
            index = _mm_sub_epi8(index, step);
        }
        result = _mm_and_si128(result, _mm_set_epi64x((long long)upper, -1));
        _mm_storeu_si128((__m128i *)&v[2 * d], result);
    }

    __attribute__((target("ssse3"), noinline))
    static void guestdbg_lookup_or_keep(uint64_t *v, uint32_t d, uint32_t n, uint32_t m, uint32_t count,
                                        uint64_t upper)
    {
        const __m128i index = _mm_loadu_si128((const __m128i *)&v[2 * m]);
        const __m128i last = _mm_set1_epi8((char)(16 * count - 1));
        const __m128i within = _mm_cmpeq_epi8(_mm_max_epu8(index, last), last);
        const __m128i kept = _mm_andnot_si128(within, _mm_loadu_si128((const __m128i *)&v[2 * d]));
        __m128i *to = (__m128i *)&v[2 * d];
        guestdbg_lookup(v, d, n, m, count, upper);
        _mm_storeu_si128(to, _mm_and_si128(_mm_or_si128(_mm_loadu_si128(to), kept),
                                           _mm_set_epi64x((long long)upper, -1)));
    }

    __attribute__((target("pclmul"), noinline))
    static void guestdbg_product(uint64_t *to, uint64_t n, uint64_t m)
    {
        _mm_storeu_si128((__m128i *)to, _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)n),
                                                             _mm_cvtsi64_si128((long long)m), 0));
    }
    #else
    #define guestdbg_has_lookup() 0
    #define guestdbg_has_product() 0
    #define guestdbg_lookup(v, d, n, m, count, upper) ((void)0)
    #define guestdbg_lookup_or_keep(v, d, n, m, count, upper) ((void)0)
    #define guestdbg_product(to, n, m) ((void)0)
    #endif
    #endif
    """
    bint host_has_lookup "guestdbg_has_lookup"() nogil
    bint host_has_product "guestdbg_has_product"() nogil
    # TBL, TBX: v are all registers, d, n, m numbers of some, count the registers of the table.
    void host_tbl "guestdbg_lookup"(uint64_t* v, uint32_t d, uint32_t n, uint32_t m, uint32_t count,
                                    uint64_t upper) nogil
    void host_tbx "guestdbg_lookup_or_keep"(uint64_t* v, uint32_t d, uint32_t n, uint32_t m, uint32_t count,
                                            uint64_t upper) nogil
    # PMULL of 64 bits.
    void host_pmull "guestdbg_product"(uint64_t* to, uint64_t n, uint64_t m) nogil
