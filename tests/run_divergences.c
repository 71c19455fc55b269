// SPDX-License-Identifier: MIT
/*
 * tests/run_divergences.c - what the first table of docs/divergences.md lists, one line each: "name: value"
 *
 * tests/divergences.t runs it on a real kernel and under gmem: these lines may differ, and do.
 * "outside FD" at the end: the script looks at the descriptor from a process without gmem.
 */
#include <signal.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/run_kvm.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

/* The number behind "name:" in a file of /proc, -1 if there is none. */
static long proc_number(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[256];
	long value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name) + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static void maps_text(const char *ptr)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], start[20], *text;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)ptr);
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) != 0)
			continue;
		text = strrchr(line, ' ');
		note("maps-text: %d", text && strstr(line, "kvm-gmem") != NULL);
	}
	if (f)
		fclose(f);
}

static void identity(int fd)
{
	int other = epoll_create1(0);
	char a[64], b[64];
	struct stat st, st2;

	fstat(fd, &st);
	fstat(other, &st2);
	note("st-dev: that of anonymous inodes: %d", st.st_dev == st2.st_dev);
	snprintf(a, sizeof(a), "/proc/self/fdinfo/%d", fd);
	snprintf(b, sizeof(b), "/proc/self/fdinfo/%d", other);
	note("mnt-id: that of anonymous inodes: %d", proc_number(a, "mnt_id:") == proc_number(b, "mnt_id:"));
	close(other);
}

static void accounting(char *ptr)
{
	long before = proc_number("/proc/self/status", "RssShmem:");

	memset(ptr, 1, 4 * MiB);
	note("accounting: shared memory grows: %d", proc_number("/proc/self/status", "RssShmem:") - before > 2048);
}

/* Truncating a page that is mapped drops guard pages at its other mappings; a hole by itself does not. */
static void guard_hole(int fd)
{
	char *a = map_shared(fd, PG, 0), *b = map_shared(fd, PG, 0);

	touch(b, 1);
	if (madvise(a, PG, MADV_GUARD_INSTALL)) {
		note("guard-hole: no guard pages here");
		return;
	}
	fallocate(fd, 3, 0, PG);
	note("guard-hole: guarded still: %d", touch(a, -1).sig == SIGSEGV);
}

/* The policy of the first mapping, at another. */
static void policy(int fd)
{
	char *a = map_shared(fd, PG, 0), *b = map_shared(fd, PG, 0);
	unsigned long node0 = 1;
	int mode = -1;

	syscall(SYS_mbind, a, PG, MPOL_BIND, &node0, 64, 0);
	syscall(SYS_get_mempolicy, &mode, NULL, 0, b, MPOL_F_ADDR);
	note("mbind-file: other mappings have the policy: %d", mode == MPOL_BIND);
}

/* From before the last offset that mmap(2) takes to beyond it. */
static void last_offset(int fd)
{
	char *a = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, INT64_MAX - 2 * PG + 1);

	if (a == MAP_FAILED)
		note("mremap-offset: no such mapping: %s", strerror(errno));
	else
		note("mremap-offset: enlarged: %d", mremap(a, PG, 4 * PG, MREMAP_MAYMOVE) != MAP_FAILED);
}

static void ignored_signal(void)
{
	struct timespec nap = { .tv_nsec = 300000000 };
	pid_t pid;

	signal(SIGSEGV, SIG_IGN);
	pid = fork();
	if (!pid) {
		usleep(100000);
		kill(getppid(), SIGSEGV);
		_exit(0);
	}
	note("ignored-signal: interrupts: %d", nanosleep(&nap, NULL) == -1);
	waitpid(pid, NULL, 0);
	touch_init();
}

/* Asynchronous write protection asks nothing of the file that is mapped. */
static void wp_async(char *ptr)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register reg = { .range = { (uintptr_t)ptr, PG }, .mode = UFFDIO_REGISTER_MODE_WP };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* UFFD_USER_MODE_ONLY */);

	note("wp-async: can be registered: %d", ioctl(uffd, UFFDIO_API, &api) == 0 && ioctl(uffd, UFFDIO_REGISTER, &reg) == 0);
	close(uffd);
}

int main(void)
{
	int kvm = kvm_open(), vm, fd;
	char *ptr, byte;

	touch_init();
	vm = vm_new(kvm, 0);
	fd = gmem_new(vm, 8 * MiB, SHAREABLE);
	ptr = map_shared(fd, 8 * MiB, 0);
	maps_text(ptr);
	identity(fd);
	accounting(ptr);
	guard_hole(fd);
	policy(fd);
	last_offset(fd);
	ignored_signal();
	wp_async(ptr);
	note("outside %d", fd);
	if (read(0, &byte, 1) < 0)
		return 1;
	return 0;
}
