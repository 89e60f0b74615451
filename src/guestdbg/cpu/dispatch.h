/*
 * How one instruction's function reaches the next: what Cython cannot express.
 *
 * Threaded (default): each function ends by calling the next one. At -O2 the compiler turns the call
 * into a jump; tests/cpu/test_dispatch.py disassembles the built modules to check that it did.
 * GUESTDBG_LOOP: the function stores where to continue and returns to a loop in core.pyx. This is for
 * builds in which tail calls stay calls (sanitizers, coverage, -O0).
 *
 * NEXT, FORWARD and DISPATCH must be the last statement of a function, or be followed by a bare return.
 *
 * Each function receives in a host register what the one before it forwarded: the value of the
 * general-purpose register written last (operand_forwarding.pyx). NEXT forwards no usable value.
 */
#ifndef GUESTDBG_DISPATCH_H
#define GUESTDBG_DISPATCH_H

/* Clang's musttail requires the same parameters on both sides, which slow paths do not have. */
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

/* i + 1, without the compiler knowing that it is a sum. Otherwise it would keep i and i + 1 at the same
   time, which costs two more host instructions for each guest instruction. */
#if defined(__GNUC__)
#define FOLLOWING(i) (__extension__({ __auto_type following = (i) + 1; \
    __asm__("" : "+r"(following)); following; }))
#else
#define FOLLOWING(i) ((i) + 1)
#endif

/* Any value. With GCC and Clang it is what the register happens to hold, so that it costs nothing. */
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

/* Bytes of decoded code that a processor keeps. Builds for fuzzing make it small, so that it is often full. */
#ifndef GUESTDBG_ARENA
#define GUESTDBG_ARENA (64 << 20)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
