/*
 * What translation.pyx needs of the host: leave to execute memory, and what machine code looks like.
 *
 * A header for each processor has:
 *   GUESTDBG_JUMP, GUESTDBG_VENEER   bytes of a jump near by, and of one to anywhere
 *   GUESTDBG_ENTRY                   bytes before a block's machine code: its bridge; a multiple of 16
 *   guestdbg_takes(kind, value)      whether a patch has room for a number
 *   guestdbg_apply(at, kind, value)  does it; 0: a distance is too long
 *   guestdbg_write_jump, guestdbg_write_veneer
 *   guestdbg_fill(at, size)          instructions that do nothing
 *   guestdbg_divert(block, entry)    a block's first instruction becomes a jump to `entry`, which is just before
 *                                    it: one write of GUESTDBG_DIVERSION bytes
 *   guestdbg_written(at, size)       before what was written is executed
 */
#ifndef GUESTDBG_STENCIL_HOST_H
#define GUESTDBG_STENCIL_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "stencil_table.h"

#if defined(__linux__) && defined(__x86_64__) && !defined(__ILP32__)
#define GUESTDBG_HAS_STENCILS 1
#include "stencil_host_x86_64.h"
#elif defined(__linux__) && defined(__AARCH64EL__) && !defined(__ILP32__)
#define GUESTDBG_HAS_STENCILS 1
#include "stencil_host_aarch64.h"
#else
#define GUESTDBG_HAS_STENCILS 0
enum { GUESTDBG_JUMP = 4, GUESTDBG_VENEER = 16, GUESTDBG_ENTRY = 16, GUESTDBG_DIVERSION = 4 };
static inline int guestdbg_takes(int kind, uint64_t value) { (void)kind; (void)value; return 0; }
static inline int guestdbg_apply(uint8_t *at, int kind, uint64_t value)
{ (void)at; (void)kind; (void)value; return 0; }
static inline void guestdbg_write_jump(uint8_t *at, const uint8_t *to) { (void)at; (void)to; }
static inline void guestdbg_write_veneer(uint8_t *at, uint64_t to) { (void)at; (void)to; }
static inline void guestdbg_fill(uint8_t *at, size_t size) { (void)at; (void)size; }
static inline void guestdbg_divert(uint8_t *block, const uint8_t *entry) { (void)block; (void)entry; }
static inline void guestdbg_written(uint8_t *at, size_t size) { (void)at; (void)size; }
#endif

#if GUESTDBG_HAS_STENCILS
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static inline size_t guestdbg_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Whether the host forbids memory to be executed, and why. Some do: SELinux without execmem, seccomp filters, PaX. */
static inline int guestdbg_forbidden(uint8_t *p, const char **why)
{
    static char text[160];
    size_t page = guestdbg_page_size();
    p[0] = 0;
    if (!mprotect(p, page, PROT_READ | PROT_EXEC) && !mprotect(p, page, PROT_READ | PROT_WRITE))
        return 0;
    snprintf(text, sizeof text, "the host forbids executable memory (mprotect: %s)", strerror(errno));
    *why = text;
    return 1;
}

static inline int guestdbg_protect(uint8_t *p, size_t size, int executable)
{
    uintptr_t page = guestdbg_page_size();
    uintptr_t start = (uintptr_t)p & ~(page - 1);
    uintptr_t end = ((uintptr_t)p + size + page - 1) & ~(page - 1);
    return mprotect((void *)start, end - start, PROT_READ | (executable ? PROT_EXEC : PROT_WRITE));
}

/* Why guestdbg_protect() has just failed. */
static inline const char *guestdbg_refusal(void)
{
    static char text[160];
    snprintf(text, sizeof text, "the host forbids executable memory now (mprotect: %s)", strerror(errno));
    return text;
}

static inline const struct guestdbg_stencils *guestdbg_stencils_of(const char *path)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    return library ? (const struct guestdbg_stencils *)dlsym(library, "guestdbg_stencils") : NULL;
}
#else
static inline size_t guestdbg_page_size(void) { return 4096; }
static inline int guestdbg_forbidden(uint8_t *p, const char **why)
{
    (void)p;
    *why = "there are no stencils for this host";
    return 1;
}
static inline int guestdbg_protect(uint8_t *p, size_t size, int executable)
{ (void)p; (void)size; (void)executable; return -1; }
static inline const char *guestdbg_refusal(void) { return "there are no stencils for this host"; }
static inline const struct guestdbg_stencils *guestdbg_stencils_of(const char *path) { (void)path; return NULL; }
#endif

#endif
