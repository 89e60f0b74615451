/*
 * The loop of exits in C, to compare the same loop in Python with.
 *
 * For each line on stdin with a number N, single-steps a guest with an endless loop N times and
 * prints the nanoseconds of one KVM_RUN. It reads what a debugger needs of each exit:
 * reason, hsr and far.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define RAM 0x40000000ull
#define SIZE 0x10000
#define SPIN 0x14000000 /* b . */
#define PC (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))

static int checked(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(void)
{
	long count;
	int kvm = checked(open("/dev/kvm", O_RDWR), "/dev/kvm");
	int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	uint32_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = RAM, .memory_size = SIZE, .userspace_addr = (uintptr_t)memory,
	};
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct kvm_vcpu_init init;
	uint64_t pc = RAM, start, hsrs = 0, fars = 0;
	struct kvm_one_reg reg = {.id = PC, .addr = (uintptr_t)&pc};
	struct kvm_run *run;
	int vcpu, size;

	memory[0] = SPIN;
	checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || memory == MAP_FAILED)
		checked(-1, "mmap");
	checked(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	checked(ioctl(vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	checked(ioctl(vcpu, KVM_SET_ONE_REG, &reg), "KVM_SET_ONE_REG");
	checked(ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
	while (scanf("%ld", &count) == 1) {
		start = now();
		for (long n = 0; n < count; n++) {
			checked(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
			if (run->exit_reason != KVM_EXIT_DEBUG) {
				fprintf(stderr, "exit %u\n", run->exit_reason);
				return 1;
			}
			hsrs |= run->debug.arch.hsr;
			fars |= run->debug.arch.far;
		}
		printf("%.1f\n", (double)(now() - start) / count);
		fflush(stdout);
	}
	return hsrs >> 26 == 0x32 ? 0 : 1;
}
