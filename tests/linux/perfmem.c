/* What `perf record -e mem:ADDR:w` asks the kernel for: a count of the stores to a variable. */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile uint64_t value;

int main(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_BREAKPOINT,
        .size = sizeof attr,
        .bp_type = HW_BREAKPOINT_W,
        .bp_addr = (uintptr_t)&value,
        .bp_len = HW_BREAKPOINT_LEN_8,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    uint64_t count = 0;
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) {
        perror("perf_event_open");
        return 1;
    }
    for (int i = 1; i <= 5; i++)
        value += i;
    if (read(fd, &count, sizeof count) != sizeof count)
        perror("read");
    printf("value %d counted %d\n", (int)value, (int)count);
    return 0;
}
