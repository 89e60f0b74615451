/* A process that works when it is sent a signal: it writes n times to a variable, which has the same
 * virtual address in every process of this program.
 *
 *   worker N
 *
 * SIGUSR1: write. SIGUSR2: a child writes, then its parent. SIGALRM: a second thread writes, then the
 * first one. SIGHUP: execute the program again. SIGTERM: end.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long counter;
volatile long other[512];

__attribute__((noinline)) void work(long n)
{
    for (long i = 1; i <= n; i++) {
        counter = i;
        other[i & 255] = i;
    }
}

static void *thread(void *n)
{
    work((long)n);
    return 0;
}

__attribute__((noinline)) static void act(int number, long n, char **argv)
{
    pthread_t second;
    switch (number) {
    case SIGUSR2:
        if (fork() == 0) {
            work(n);
            _exit(0);
        }
        wait(0);
        break;
    case SIGALRM:
        pthread_create(&second, 0, thread, (void *)n);
        pthread_join(second, 0);
        break;
    case SIGHUP:
        execv("/worker", argv);
        _exit(1);
    }
    work(n);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 1;
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigaddset(&signals, SIGALRM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, 0);
    for (;;) {
        sigwait(&signals, &number);
        act(number, n, argv);
    }
}
