/* SPDX-License-Identifier: MIT */
/*
 * tests/unit_host.h - what the tests of host/ share: files, handlers, touches
 */
#ifndef GMEM_TESTS_UNIT_HOST_H
#define GMEM_TESTS_UNIT_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/engine.h"
#include "host/host.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "tests/tap.h"

#define PAGE   4096UL
#define REGION (2UL << 20)

/* Faults of the thread's own touches: jumps back with the signal that the program would get. */
static __thread sigjmp_buf touch_jmp;
static __thread volatile int touching;
static __thread volatile struct host_fault touch_fault;

static void on_fault(int signo, siginfo_t *info, void *uc)
{
	struct host_fault fault;

	host_fault(signo, info->si_code, info->si_addr, &fault);
	if (fault.kind == HOST_FAULT_RETRY)
		return;
	if (!touching) {
		static const char text[] = "Bail out! fault outside of a touch\n";

		if (write(1, text, sizeof(text) - 1) < 0)
			_exit(98);
		_exit(99);
	}
	touch_fault.kind = fault.kind;
	touch_fault.file = fault.file;
	touch_fault.offset = fault.offset;
	touch_fault.beyond_end = fault.beyond_end;
	siglongjmp(touch_jmp, fault.kind == HOST_FAULT_BUS    ? SIGBUS
			      : fault.kind == HOST_FAULT_GUARD ? SIGSEGV
							       : signo);
}

static inline void handlers_install(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigfillset(&sa.sa_mask);
	sigdelset(&sa.sa_mask, SIGALRM);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

/* 0 when the load went through, else the signal. */
__attribute__((noinline, unused)) static int load(const void *addr)
{
	int signo = sigsetjmp(touch_jmp, 1);

	if (signo) {
		touching = 0;
		return signo;
	}
	touching = 1;
	(void)*(const volatile unsigned char *)addr;
	touching = 0;
	return 0;
}

__attribute__((noinline, unused)) static int store(void *addr, unsigned char byte)
{
	int signo = sigsetjmp(touch_jmp, 1);

	if (signo) {
		touching = 0;
		return signo;
	}
	touching = 1;
	*(volatile unsigned char *)addr = byte;
	touching = 0;
	return 0;
}

/* The kernel's access, as of a system call of the program: bytes read, or -errno; repeated as a wrapper would. */
static inline long peek(const void *addr, size_t len)
{
	static __thread unsigned char buf[1 << 16];
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };

	for (int tries = 0;; tries++) {
		long n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

		if (n >= 0)
			return n;
		if (errno != EFAULT || tries == 3 || !host_fault_fixup((void *)(uintptr_t)addr, len))
			return -errno;
	}
}

static inline int deny_fd(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	}
	return fd;
}

static inline int file_new(struct host_file *file, u64 size, bool is_private)
{
	int ret;

	memset(file, 0, sizeof(*file));
	ret = host_file_init(file, size, deny_fd());
	if (!ret)
		core_store_init(&file->store, file->window, size / PAGE, is_private);
	return ret;
}

/* As device/ does it. */
static inline int convert(struct host_file *file, u64 first, u64 count, bool to_private)
{
	struct rt_pages range = { first, count };
	int ret;

	ret = host_file_lock(file);
	if (ret)
		return ret;
	ret = core_store_reserve(&file->store, range, to_private);
	if (!ret)
		ret = host_convert_begin(file, range, to_private);
	if (!ret) {
		core_store_set(&file->store, range, to_private);
		host_convert_end(file, range, to_private);
	}
	host_file_unlock(file);
	return ret;
}

static inline char *map(struct host_file *file, u64 len, u64 off)
{
	return (char *)host_view_map(file, NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, off);
}

static inline int audit(struct host_file *file)
{
	u64 bad = 0;
	int ret = host_audit(file, &bad);

	if (ret)
		printf("# audit: page %llu, %s\n", (unsigned long long)bad,
		       core_store_is_private(&file->store, bad) ? "private" : "shared");
	return ret;
}

static inline double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Lines of /proc/self/maps that hold text. */
static inline int maps_with(const char *text)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* Run body once for each engine that this host can run; names it in the output. */
#define FOR_EACH_ENGINE(body)                                                                                          \
	for (const char *const *name_ = host_engine_names(); *name_; name_++) {                                         \
		if (!host_engine_runs(*name_)) {                                                                       \
			skip(1, "engine %s cannot run here", *name_);                                                  \
			continue;                                                                                      \
		}                                                                                                      \
		diag("engine %s", *name_);                                                                             \
		if (is(host_init(*name_), 0, "%s: init", *name_))                                                      \
			body(*name_);                                                                                  \
	}

#endif
