/*
 * How one instruction's function reaches the next: what Cython cannot say.
 *
 * Threaded (default): each function ends by calling the next one. At -O2 the compiler makes a jump
 * of it; tests/cpu/test_dispatch.py disassembles the built modules to see that it did.
 * GUESTDBG_LOOP: the function notes where to go on and returns to a loop in core.pyx; for builds
 * in which tail calls are not made jumps of (sanitizers, coverage, -O0).
 *
 * NEXT and GO must be the last statement of a function, or be followed by a bare return.
 */
#ifndef GUESTDBG_DISPATCH_H
#define GUESTDBG_DISPATCH_H

#if defined(__has_attribute)
#if __has_attribute(musttail)
#define GUESTDBG_TAIL __attribute__((musttail)) return
#endif
#endif
#ifndef GUESTDBG_TAIL
#define GUESTDBG_TAIL return
#endif

#ifdef GUESTDBG_LOOP
#define GUESTDBG_THREADED 0
#define GO(c, i) do { (c)->ip = (i); return; } while (0)
#else
#define GUESTDBG_THREADED 1
#define GO(c, i) do { GUESTDBG_TAIL (i)->f((c), (i)); } while (0)
#endif
#define NEXT(c, i) GO((c), (i) + 1)

/* Bytes of decoded code that a processor keeps. Fuzzing makes it small, to have it full often. */
#ifndef GUESTDBG_ARENA
#define GUESTDBG_ARENA (64 << 20)
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
