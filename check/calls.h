/* SPDX-License-Identifier: MIT */
/*
 * check/calls.h - KVM's calls, touches and children, for programs that know nothing of gmem
 *
 * Shared by the cases of `gmem check` and by tests/run_*.c: the same code runs on a
 * real kernel and under `gmem run`.
 */
#ifndef GMEM_CHECK_CALLS_H
#define GMEM_CHECK_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uapi/kvm.h"

#define PG	4096UL
#define MiB	(1UL << 20)
#define GiB	(1UL << 30)
#define CLAMP63 0x7ffffffffffff000ULL
#define SHAREABLE (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define UNUSED __attribute__((unused))
/* Pointers that the kernel refuses; volatile, so that the compiler does not judge the calls. */
static void *volatile bad_ptr UNUSED = (void *)8;
static void *volatile kernel_ptr UNUSED = (void *)0xffff800000000000UL;
#define BAD_PTR	   bad_ptr
#define KERNEL_PTR kernel_ptr

#define die(...) die_(__FILE__, __LINE__, __VA_ARGS__)

static UNUSED __attribute__((noreturn, format(printf, 3, 4))) void die_(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	int err = errno;

	va_start(ap, fmt);
	printf("cannot go on, %s:%d: ", file, line);
	vprintf(fmt, ap);
	printf(": %s\n", strerror(err));
	va_end(ap);
	exit(99);
}

/* --- KVM objects --------------------------------------------------------- */

static UNUSED int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/kvm");
	return fd;
}

static UNUSED int vm_new(int kvm, unsigned long type)
{
	int fd = ioctl(kvm, KVM_CREATE_VM, type);

	if (fd < 0)
		die("KVM_CREATE_VM(%lu)", type);
	return fd;
}

static UNUSED int gmem_try(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd arg = { .size = size, .flags = flags };

	return ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg);
}

static UNUSED int gmem_new(int vm, uint64_t size, uint64_t flags)
{
	int fd = gmem_try(vm, size, flags);

	if (fd < 0)
		die("KVM_CREATE_GUEST_MEMFD(%#llx, %#llx)", (unsigned long long)size, (unsigned long long)flags);
	return fd;
}

static UNUSED char *map_shared(int fd, size_t len, off_t off)
{
	char *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off);

	if (ptr == MAP_FAILED)
		die("mmap");
	return ptr;
}

static UNUSED char *map_anon(size_t len)
{
	char *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ptr == MAP_FAILED)
		die("mmap");
	return ptr;
}

/* len bytes that end exactly where nothing is mapped. */
static UNUSED void *at_edge(size_t len)
{
	char *ptr = map_anon(2 * PG);

	munmap(ptr + PG, PG);
	return ptr + PG - len;
}

static UNUSED int set_region2(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, uint64_t hva, int fd,
			      uint64_t off)
{
	struct kvm_userspace_memory_region2 arg = { .slot = slot,	  .flags = flags,
						    .guest_phys_addr = gpa, .memory_size = size,
						    .userspace_addr = hva,  .guest_memfd_offset = off,
						    .guest_memfd = (uint32_t)fd };

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &arg);
}

static UNUSED int set_region1(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, uint64_t hva)
{
	struct kvm_userspace_memory_region arg = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = hva
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &arg);
}

/* KVM_SET_MEMORY_ATTRIBUTES2; error_offset comes back in *error where given. */
static UNUSED int set_attr2(int fd, uint64_t off, uint64_t size, uint64_t attributes, uint64_t *error)
{
	struct kvm_memory_attributes2 arg = {
		.offset = off, .size = size, .attributes = attributes, .error_offset = error ? *error : 0
	};
	int ret = ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &arg);

	if (error)
		*error = arg.error_offset;
	return ret;
}

/* --- touching memory ------------------------------------------------------ */

struct touch {
	int sig; /* 0: no signal */
	int code;
	uintptr_t addr;
	int lsb;
	unsigned char value; /* read */
};

static __thread sigjmp_buf touch_env;
static __thread struct touch touch_now;
static __thread volatile sig_atomic_t touch_armed;

static UNUSED void touch_handler(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	if (!touch_armed) {
		signal(sig, SIG_DFL);
		return;
	}
	touch_now.sig = sig;
	touch_now.code = info->si_code;
	touch_now.addr = (uintptr_t)info->si_addr;
	touch_now.lsb = sig == SIGBUS && info->si_code >= 4 ? info->si_addr_lsb : 0;
	siglongjmp(touch_env, 1);
}

static UNUSED void touch_init(void)
{
	struct sigaction sa = { .sa_sigaction = touch_handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

static UNUSED struct touch touch(volatile char *ptr, int store)
{
	touch_now = (struct touch){ 0 };
	if (!sigsetjmp(touch_env, 1)) {
		touch_armed = 1;
		if (store >= 0)
			*ptr = (char)store;
		else
			touch_now.value = (unsigned char)*ptr;
	}
	touch_armed = 0;
	return touch_now;
}

/* --- children -------------------------------------------------------------- */

/* Run fn(arg) in a forked child; its lines come in order, its status is the result. */
static UNUSED int in_child(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		int ret = fn(arg);

		fflush(stdout);
		_exit(ret);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
