/* A tracer that sets a hardware breakpoint and a watchpoint in its child, and counts the stops. */
#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 3

struct debug_state {
    uint32_t info, pad;
    struct {
        uint64_t address;
        uint32_t control, pad;
    } registers[1];
};

static volatile uint64_t value;

static __attribute__((noinline)) void round_begins(void) { __asm__ volatile("nop"); }

static void child(void)
{
    raise(SIGSTOP);
    for (int i = 1; i <= ROUNDS; i++) {
        round_begins();
        value = i;
    }
    _exit(value == ROUNDS ? 7 : 8);
}

static void set(pid_t pid, int type, const struct debug_state *state)
{
    struct iovec vector = {(void *)state, sizeof *state};
    if (ptrace(PTRACE_SETREGSET, pid, type, &vector))
        perror("PTRACE_SETREGSET");
}

/* Whether the register reads back as it was set. */
static int reads_back(pid_t pid, int type, const struct debug_state *state)
{
    struct debug_state found = {0};
    struct iovec vector = {&found, sizeof found};
    if (ptrace(PTRACE_GETREGSET, pid, type, &vector))
        perror("PTRACE_GETREGSET");
    return found.registers[0].address == state->registers[0].address &&
           found.registers[0].control == state->registers[0].control;
}

int main(void)
{
    const struct debug_state none = {0};
    struct debug_state watch = {.registers = {{(uintptr_t)&value, 0xff << 5 | 2 << 3 | 2 << 1 | 1}}};
    struct debug_state brk = {.registers = {{(uintptr_t)round_begins, 0xf << 5 | 2 << 1 | 1}}};
    int status, watched = 0, reached = 0, good = 1;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        child();
    }
    waitpid(pid, &status, 0);
    for (;;) {
        set(pid, NT_ARM_HW_WATCH, &watch);
        set(pid, NT_ARM_HW_BREAK, &brk);
        good &= reads_back(pid, NT_ARM_HW_WATCH, &watch);
        good &= reads_back(pid, NT_ARM_HW_BREAK, &brk);
        ptrace(PTRACE_CONT, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status))
            break;
        siginfo_t info;
        ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
        if (info.si_addr == (void *)round_begins)
            reached++;
        else
            watched++;
        set(pid, NT_ARM_HW_WATCH, &none);
        set(pid, NT_ARM_HW_BREAK, &none);
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status))
            break;
    }
    printf("watched %d reached %d registers %s exit %d\n", watched, reached,
           good ? "kept" : "lost", WEXITSTATUS(status));
    return 0;
}
