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

#ifdef GUESTDBG_STENCIL
/* How a stencil ends (tools/stencils): the one after it follows, or the instruction at hand has no stencil. */
struct __pyx_t_8guestdbg_3cpu_4core_Cpu;
#define GUESTDBG_END(name, ...) \
    __attribute__((visibility("hidden"))) void name(struct __pyx_t_8guestdbg_3cpu_4core_Cpu *, ##__VA_ARGS__)
GUESTDBG_END(guestdbg_hole_next, unsigned long long, unsigned long long);
GUESTDBG_END(guestdbg_hole_next_plain);
GUESTDBG_END(guestdbg_hole_taken);
GUESTDBG_END(guestdbg_hole_not_taken);
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
#ifdef GUESTDBG_STENCIL
#define FORWARD(c, i, value) do { return guestdbg_hole_next((c), guestdbg_unspecified(), (value)); } while (0)
#define NEXT(c, i) do { return guestdbg_hole_next_plain(c); } while (0)
#else
#define FORWARD(c, i, value) DISPATCH((c), FOLLOWING(i), (value))
#define NEXT(c, i) FORWARD((c), (i), UNSPECIFIED())
#endif

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
/* Bytes of machine code; the same holds (translation.pyx). */
#ifndef GUESTDBG_CODE_SIZE
#define GUESTDBG_CODE_SIZE (48 << 20)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
