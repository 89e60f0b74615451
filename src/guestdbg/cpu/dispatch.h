/*
 * How one instruction's function reaches the next: what Cython cannot say.
 *
 * Threaded (default): each function ends by calling the next one. At -O2 the compiler makes a jump
 * of it; tests/cpu/test_dispatch.py disassembles the built modules to see that it did.
 * GUESTDBG_LOOP: the function notes where to go on and returns to a loop in core.pyx; for builds
 * in which tail calls are not made jumps of (sanitizers, coverage, -O0).
 *
 * NEXT, FORWARD and DISPATCH must be the last statement of a function, or be followed by a bare return.
 *
 * Each function gets what the one before it forwarded over, in a register of the host (relay.pyx): the
 * value of the general-purpose register written last. NEXT hands over nothing that may be used.
 */
#ifndef GUESTDBG_DISPATCH_H
#define GUESTDBG_DISPATCH_H

/* Clang's musttail wants the same parameters on both sides, which slow paths do not have. */
#if defined(__has_attribute) && !defined(__clang__)
#if __has_attribute(musttail)
#define GUESTDBG_TAIL __attribute__((musttail)) return
#endif
#endif
#ifndef GUESTDBG_TAIL
#define GUESTDBG_TAIL return
#endif

#ifdef GUESTDBG_LOOP
#define GUESTDBG_THREADED 0
#define DISPATCH(c, i, value) do { (c)->ip = (i); (c)->forwarded = (value); return; } while (0)
#else
#define GUESTDBG_THREADED 1
#define DISPATCH(c, i, value) do { \
    const struct __pyx_t_8guestdbg_3cpu_4core_Insn *go_to = (i); \
    GUESTDBG_TAIL go_to->f((c), go_to, (value)); \
} while (0)
#endif
#define FORWARD(c, i, value) DISPATCH((c), FOLLOWING(i), (value))
#define NEXT(c, i) FORWARD((c), (i), UNSPECIFIED())

/* The same pointer, in which the compiler does not see a sum. It would have i and i + 1 at the same
   time, which is two host instructions more for each of the guest's. */
#if defined(__GNUC__)
#define FOLLOWING(i) (__extension__({ __auto_type following = (i) + 1; \
    __asm__("" : "+r"(following)); following; }))
#else
#define FOLLOWING(i) ((i) + 1)
#endif

/* Any value; with GCC and Clang what happens to be in the register, so that it costs nothing. */
static inline unsigned long long guestdbg_unspecified(void)
{
#if defined(__GNUC__)
    unsigned long long value;
    __asm__("" : "=r"(value));
    return value;
#else
    return 0;
#endif
}
#define UNSPECIFIED() guestdbg_unspecified()

/* Bytes of decoded code that a processor keeps. Fuzzing makes it small, to have it full often. */
#ifndef GUESTDBG_ARENA
#define GUESTDBG_ARENA (64 << 20)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
