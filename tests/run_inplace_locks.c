// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_locks.c - conversions in mappings that are locked (mlockall), sealed (mseal) or advised by pidfd
 *
 * The kernel converts pages whatever their mappings are; what the program may not do to these stays refused.
 */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/run_inplace.h"

#define SIZE (8 * MiB)
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int vm;

/* Single pages, parts of regions, all; through a mapping from before and one from after. */
static void convert_in(char *ptr, int fd, const char *name)
{
	char *late;

	ptr[0] = 'a';
	ptr[PG] = 'b';
	ptr[5 * MiB] = 'c';
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "%s: a page to private", name);
	is_private(ptr + PG, "it");
	is_shared(ptr, 'a', "the page beside it");
	is(set_attr2(fd, 2 * MiB, 4 * MiB, PRIVATE, NULL), 0, "%s: regions to private", name);
	is_private(ptr + 5 * MiB, "one of them");
	is(set_attr2(fd, 0, SIZE, PRIVATE, NULL), 0, "%s: all to private", name);
	is_private(ptr, "the first");
	is(set_attr2(fd, PG, PG, SHARED, NULL), 0, "%s: a page to shared", name);
	is_shared(ptr + PG, 'b', "it");
	is_private(ptr, "the page beside it");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "%s: all to shared", name);
	is_shared(ptr + 5 * MiB, 'c', "one of them");
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "%s: a page to private, again", name);
	late = map_shared(fd, SIZE, 0);
	is_private(late + PG, "it, in a later mapping");
	is_shared(late, 'a', "the page beside it");
	is(fallocate(fd, 3, 0, SIZE), 0, "%s: punch", name);
	is_private(late + PG, "it");
	is_shared(ptr, 0, "the page beside it");
	munmap(late, SIZE);
}

/* How many pages of the mapping are in memory. */
static size_t resident(char *ptr)
{
	static unsigned char vec[SIZE / PG];
	size_t n = 0;

	if (mincore(ptr, SIZE, vec))
		die("mincore");
	for (size_t i = 0; i < SIZE / PG; i++)
		n += vec[i] & 1;
	return n;
}

static void locked(int flags, const char *name)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = flags & MCL_CURRENT ? map_shared(fd, SIZE, 0) : NULL;

	if (mlockall(flags)) {
		skip(1, "mlockall: %s", strerror(errno));
		close(fd);
		return;
	}
	if (!ptr)
		ptr = map_shared(fd, SIZE, 0);
	is(resident(ptr), flags & MCL_ONFAULT ? 0 : SIZE / PG, "%s: pages that are there", name);
	fails(madvise(ptr, PG, MADV_DONTNEED), EINVAL, "DONTNEED of locked memory");
	convert_in(ptr, fd, name);
	fails(madvise(ptr, PG, MADV_DONTNEED), EINVAL, "DONTNEED, still");
	munlockall();
	is(madvise(ptr, PG, MADV_DONTNEED), 0, "DONTNEED once nothing is locked");
	munmap(ptr, SIZE);
	close(fd);
}

static int unmap(void *ptr)
{
	return munmap(ptr, PG) ? errno : 0;
}

static void sealed(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	if (syscall(SYS_mseal, ptr, SIZE / 2, 0)) {
		skip(1, "mseal: %s", strerror(errno));
		close(fd);
		return;
	}
	fails(syscall(SYS_mseal, ptr, SIZE, 1), EINVAL, "flags of mseal");
	convert_in(ptr, fd, "sealed");
	fails(munmap(ptr, SIZE), EPERM, "munmap");
	fails(mprotect(ptr, SIZE, PROT_READ), EPERM, "mprotect");
	is_shared(ptr, 0, "it");
	is(munmap(ptr + SIZE / 2, SIZE / 2), 0, "munmap of what is not sealed");
	is(in_child(unmap, ptr), EPERM, "a child inherits the seal");
	close(fd);
}

/* process_madvise(2) on the process itself, by any of its names, opens nothing. */
static void advised(void)
{
	static const int advices[] = { MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, 24 /* DONTNEED_LOCKED */, 103 /* GUARD_REMOVE */,
				       22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */, MADV_REMOVE };
	int fd = gmem_new(vm, SIZE, SHAREABLE), pidfds[] = { (int)syscall(SYS_pidfd_open, getpid(), 0), -10000, -10001 };
	char *ptr = map_shared(fd, SIZE, 0);
	struct iovec whole = { ptr, 4 * PG }, one = { ptr + PG, PG };
	struct iovec both[2] = { { ptr + 2 * PG, PG }, { ptr + PG, PG } };

	set_attr2(fd, PG, PG, PRIVATE, NULL);
	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
		for (size_t j = 0; j < sizeof(pidfds) / sizeof(*pidfds); j++) {
			process_madvise(pidfds[j], &whole, 1, advices[i], 0);
			syscall(SYS_process_madvise, pidfds[j], &one, 1, advices[i], 0);
			syscall(SYS_process_madvise, pidfds[j], both, 2, advices[i], 0);
			is_private(ptr + PG, "after process_madvise");
			is_shared(ptr + 2 * PG, 0, "the page beside it");
		}
	fails(process_madvise(-1, &whole, 1, MADV_COLD, 0), EBADF, "no such process");
	fails(process_madvise(pidfds[0], &whole, 1, MADV_COLD, 1), EINVAL, "flags");
	is(process_madvise(pidfds[0], &whole, 1, MADV_COLD, 0), 4 * PG, "COLD");
	munmap(ptr, SIZE);
	close(pidfds[0]);
	close(fd);
}

int main(void)
{
	int kvm;

	vm = inplace_vm(&kvm);
	locked(MCL_CURRENT, "MCL_CURRENT");
	locked(MCL_FUTURE, "MCL_FUTURE");
	locked(MCL_CURRENT | MCL_FUTURE, "both");
	locked(MCL_CURRENT | MCL_ONFAULT, "MCL_CURRENT, on fault");
	locked(MCL_FUTURE | MCL_ONFAULT, "MCL_FUTURE, on fault");
	sealed();
	advised();
	return done_testing();
}
